"""Fetch one URL: redirects checked one by one, a total deadline, byte caps, streamed to a ``.part`` file."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx

from keepset import __version__
from keepset.config import DownloadConfig
from keepset.download.address import Blocked, Resolver, Unresolved
from keepset.download.robots import Robots
from keepset.download.transport import Connections
from keepset.files import refusals
from keepset.formats import sniff
from keepset.reasons import DownloadReason as Reason

__all__ = ["Answer", "Fetched", "Fetcher", "Trouble", "Wanted", "retry_after", "user_agent"]

_TRANSIENT = {
    Reason.DNS, Reason.CONNECT, Reason.TIMEOUT, Reason.TOO_SLOW, Reason.TRUNCATED, Reason.PROTOCOL,
    Reason.RATE_LIMITED, Reason.HTTP_SERVER, Reason.EMPTY, Reason.CHECKSUM,
}  # fmt: skip
_SLOW_AFTER_S, _SILENCE_S = 10.0, 15.0
_LIBRARIES = {"httpx", "httpcore", "h11", "aiohttp", "yarl"}
T = TypeVar("T")
_NUMERIC = re.compile(r"https?://[0-9a-fx.]+(?=[:/?#]|$)", re.IGNORECASE)


class Trouble(Exception):
    """Why this URL was not fetched, for its row."""

    def __init__(self, reason: Reason, detail: str, *, wait_s: float | None = None) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.wait_s = reason, detail, wait_s

    @property
    def transient(self) -> bool:
        """Whether asking again may help."""
        return self.reason in _TRANSIENT


@dataclass
class Fetched:
    """What is known after the last attempt; the fields of a downloads row."""

    attempts: int = 0
    seconds: float = 0.0
    http_status: int | None = None
    final_url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    sha256: str | None = None
    bytes: int | None = None
    format: str | None = None


@dataclass(frozen=True)
class Wanted:
    """One URL to fetch into ``<name>.part``.

    ``sha1`` is what the source promised; ``etag`` and ``last_modified`` are of the copy that is here already.
    """

    url: str
    name: str
    sha1: str | None = None
    etag: str | None = None
    last_modified: str | None = None

    def conditions(self) -> dict[str, str]:
        """RFC 9110, section 13.1."""
        asked = {"If-None-Match": self.etag, "If-Modified-Since": None if self.etag else self.last_modified}
        return {k: v for k, v in asked.items() if v}


@dataclass(frozen=True)
class Answer:
    """A small document, read whole: a page, an API's answer, a robots.txt."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes


class Fetcher:
    """Fetches: every address checked, every redirect checked again, within time, speed and size."""

    def __init__(
        self, config: DownloadConfig, parts: Path, user_agent: str, *, transport: str = "auto"
    ) -> None:
        self.config, self.parts = config, parts
        self.headers = {"User-Agent": user_agent, "Accept": "image/*,*/*;q=0.5"}
        self.resolver = Resolver(config.allow_private)
        self.connections = Connections(
            total=config.connections, per_host=config.per_host, transport=transport,
            read_s=min(config.deadline_s, _SILENCE_S),
        )  # fmt: skip
        self.robots = Robots(self.read, user_agent.partition("/")[0]) if config.robots else None
        parts.mkdir(parents=True, exist_ok=True)

    async def close(self) -> None:
        self.resolver.close()
        await self.connections.close()

    async def fetch(self, wanted: Wanted, facts: Fetched) -> Path | None:
        """One attempt, within what is left of the deadline; ``facts`` is filled as far as it comes.

        Returns the file with the body, or None if the copy that is here still stands (HTTP 304). Raises ``Trouble``,
        or ``WorkspaceNotWritable`` if the disk refuses.
        """
        begin, part = time.monotonic(), self.parts / f"{wanted.name}.part"
        facts.attempts += 1
        try:
            left = max(0.001, self.config.deadline_s - facts.seconds)
            return await self._mapped(wanted.url, self._follow(wanted, part, facts), left)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        finally:
            facts.seconds += time.monotonic() - begin

    async def read(self, url: str, *, most: int) -> Answer:
        """One request, guarded like the others, whose body of up to ``most`` bytes is kept in memory.

        Every status is an answer; a longer body is cut. Raises ``Trouble``.
        """
        return await self._mapped(url, self._read(url, most), self.config.deadline_s)

    async def _read(self, url: str, most: int) -> Answer:
        async with self._end_of(httpx.URL(url), {}, permitted=False) as (response, target):
            body = bytearray()
            async for chunk in response.aiter_bytes(65_536):
                body += chunk
                if len(body) >= most:
                    break
            return Answer(response.status_code, str(target), dict(response.headers), bytes(body[:most]))

    async def _mapped(self, url: str, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """``work`` under the deadline; what httpx raises becomes ``Trouble``."""
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError as e:
            raise Trouble(Reason.TIMEOUT, f"not done after {self.config.deadline_s:g} s") from e
        except (
            OSError
        ) as e:  # of a socket: the libraries let some through, and the disk's have become KeepsetErrors
            raise Trouble(Reason.TRUNCATED, str(e) or type(e).__name__) from e
        except Exception as e:
            if type(e).__module__.partition(".")[0] not in _LIBRARIES and not isinstance(e, UnicodeError):
                raise
            raise _trouble(url, e) from e

    @contextlib.asynccontextmanager
    async def _end_of(
        self, target: httpx.URL, headers: dict[str, str], *, permitted: bool
    ) -> AsyncIterator[tuple[httpx.Response, httpx.URL]]:
        """The response at the end of the redirects, each of them checked like the first."""
        for _ in range(self.config.max_redirects + 1):
            address = await self._checked(target)
            if permitted and self.robots and (why := await self.robots.refusal(target)):
                raise Trouble(Reason.ROBOTS, f"forbidden by {why}")
            response, key = await self.connections.send(target, address, self.headers | headers)
            try:
                if not (response.is_redirect and "location" in response.headers):
                    yield response, target
                    return
            finally:
                await self.connections.release(response, key)
            target = target.join(response.headers["location"])
        raise Trouble(Reason.TOO_MANY_REDIRECTS, f"more than {self.config.max_redirects} redirects")

    async def _checked(self, url: httpx.URL) -> str:
        if url.scheme not in ("http", "https"):
            raise Trouble(Reason.BLOCKED_SCHEME, f"{url.scheme}: only http and https are fetched")
        if not url.host:
            raise Trouble(Reason.BAD_URL, "no host")
        try:
            return await self.resolver.resolve(url.host, url.port or (443 if url.scheme == "https" else 80))
        except Blocked as e:
            raise Trouble(Reason.BLOCKED_ADDRESS, str(e)) from e
        except Unresolved as e:
            raise Trouble(Reason.DNS, str(e)) from e

    async def _follow(self, wanted: Wanted, part: Path, facts: Fetched) -> Path | None:
        url, conditions = httpx.URL(wanted.url), wanted.conditions()
        async with self._end_of(url, conditions, permitted=True) as (response, target):
            facts.http_status, facts.final_url = response.status_code, str(target)
            if self.config.robots:
                _check_opt_out(response)
            if response.status_code == 304 and conditions:
                return None
            _check_status(response)
            facts.headers = dict(response.headers)
            await self._save(response, part, wanted.sha1, facts)
            return part

    async def _save(self, response: httpx.Response, part: Path, sha1: str | None, facts: Fetched) -> None:
        cap, begin, size = self.config.max_bytes, time.monotonic(), 0
        digest, promised = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
        announced = response.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > cap:
            raise Trouble(Reason.TOO_LARGE, f"{announced} bytes announced, {cap} allowed")
        head = b""
        with refusals(part):
            file = part.open("wb", buffering=0)
        with file:
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size > cap:
                    packed = response.num_bytes_downloaded < size / 2
                    reason = Reason.DECOMPRESSION if packed else Reason.TOO_LARGE
                    raise Trouble(reason, f"more than {cap} bytes")
                head = head if len(head) >= 64 else head + chunk[:64]
                digest.update(chunk)
                if sha1:
                    promised.update(chunk)
                with refusals(part):
                    file.write(chunk)
                took = time.monotonic() - begin
                if took > _SLOW_AFTER_S and size / took < self.config.min_bytes_per_s:
                    raise Trouble(Reason.TOO_SLOW, f"{size / took:.0f} bytes/s")
        if size == 0:
            raise Trouble(Reason.EMPTY, "the body is empty")
        if announced.isdigit() and "content-encoding" not in response.headers and size < int(announced):
            raise Trouble(Reason.TRUNCATED, f"{size} of {announced} bytes came")
        found = sniff(head)
        if found is None:
            raise Trouble(Reason.NOT_AN_IMAGE, f"its first bytes are {head[:24]!r}")
        if sha1 and promised.hexdigest() != sha1.lower():
            raise Trouble(Reason.CHECKSUM, f"its sha1 is {promised.hexdigest()}, {sha1} was promised")
        facts.sha256, facts.bytes, facts.format = digest.hexdigest(), size, found


def _trouble(url: str, e: Exception) -> Trouble:
    """What httpx, or aiohttp under it, says went wrong."""
    said, cause = str(e), type(e.__cause__).__name__
    if isinstance(e, httpx.InvalidURL | httpx.UnsupportedProtocol | UnicodeError):
        odd = _NUMERIC.match(url) is not None  # octal and the like: an address in disguise, never a name
        return Trouble(Reason.BLOCKED_ADDRESS if odd else Reason.BAD_URL, said)
    if "SSL" in said or "certificate" in said:
        return Trouble(Reason.TLS, said)
    if cause in ("ServerDisconnectedError", "ClientOSError"):  # the transport calls them time-outs
        return Trouble(Reason.TRUNCATED, said or "connection lost")
    if isinstance(e, httpx.ConnectError) or cause.startswith("ClientConnector"):
        return Trouble(Reason.CONNECT, said or "refused")
    if isinstance(e, httpx.TimeoutException):
        return Trouble(Reason.TIMEOUT, said or f"nothing came ({type(e).__name__})")
    if isinstance(e, httpx.RemoteProtocolError | httpx.ReadError):
        cut = "ncomplete" in said or "without sending complete" in said or "not enough data" in said.lower()
        return Trouble(Reason.TRUNCATED if cut or not said else Reason.PROTOCOL, said or "connection lost")
    return Trouble(Reason.PROTOCOL, said or type(e).__name__)


def _check_opt_out(response: httpx.Response) -> None:
    robots = response.headers.get("x-robots-tag", "").lower()
    if any(word in robots for word in ("noai", "noimageai", "noindex")):
        raise Trouble(Reason.OPTED_OUT, f"X-Robots-Tag: {robots[:100]}")


def _check_status(response: httpx.Response) -> None:
    code = response.status_code
    if code < 300:
        return
    if code in (404, 410):
        raise Trouble(Reason.NOT_FOUND, f"HTTP {code}")
    if code in (401, 403, 451):
        raise Trouble(Reason.FORBIDDEN, f"HTTP {code}")
    if code == 429:
        raise Trouble(Reason.RATE_LIMITED, "HTTP 429", wait_s=retry_after(response.headers))
    if code >= 500:
        raise Trouble(Reason.HTTP_SERVER, f"HTTP {code}", wait_s=retry_after(response.headers))
    raise Trouble(Reason.HTTP_CLIENT, f"HTTP {code}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """RFC 9110, section 10.2.3: seconds, or an HTTP date."""
    value = headers.get("retry-after", "")
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def user_agent(contact: str) -> str:
    """What we call ourselves to servers, with whom to write to if that is given."""
    return f"keepset/{__version__} (image data sets{f'; {contact}' if contact else ''})"
