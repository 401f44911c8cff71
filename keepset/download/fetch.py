"""Fetch one URL: redirects checked one by one, a total deadline, byte caps, streamed to a ``.part`` file."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
from yarl import URL

from keepset import __version__
from keepset.config import DownloadConfig
from keepset.download.address import Blocked, Resolver, Unresolved
from keepset.download.answers import SmallResponse, Trouble, check_opt_out, check_status, told, trouble_from
from keepset.download.body import ResponseBody
from keepset.download.proxies import Proxy
from keepset.download.robots import Robots
from keepset.download.target import BadUrl, ForeignScheme, Target
from keepset.download.transport import Connections
from keepset.download.unpacking import Pieces
from keepset.reasons import DownloadReason as Reason

__all__ = ["FetchRequest", "Fetched", "Fetcher", "SmallResponse", "Trouble", "user_agent"]

_SILENCE_S = 15.0
_LED_TO = 100
_MAX_REDIRECTS = 8
_NO_NAMES_S = 3.0
"""Behind a proxy there is often no name service for the world outside: its silence is not waited for."""
_REDIRECTS = {301, 302, 303, 307, 308}
T = TypeVar("T")


@dataclass
class Fetched:
    """What is known after the last attempt; the fields of a downloads row."""

    attempts: int = 0
    seconds: float = 0.0
    http_status: int | None = None
    final_url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""
    bytes: int | None = None
    format: str | None = None


@dataclass(frozen=True)
class FetchRequest:
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


class Fetcher:
    """Fetches: every address checked, every redirect checked again, within time, speed and size."""

    def __init__(self, config: DownloadConfig, parts: Path, user_agent: str) -> None:
        """Raises ``ConfigError`` for proxies or certificates of the environment that cannot be used."""
        self.config, self.parts = config, parts
        self.waits: Callable[[str], bool] = lambda _: True  # whether more is to be asked of a host
        self.led_to: OrderedDict[str, None] = OrderedDict()  # hosts that redirects led to lately
        self.headers = {"User-Agent": user_agent, "Accept": "image/*,*/*;q=0.5"}
        self.resolver = Resolver(config.allow_private)
        self.connections = Connections(total=config.connections, read_s=min(config.deadline_s, _SILENCE_S))
        self.robots = Robots(self.read, user_agent.partition("/")[0]) if config.robots else None
        parts.mkdir(parents=True, exist_ok=True)

    async def close(self) -> None:
        self.resolver.close()
        await self.connections.close()

    async def fetch(self, wanted: FetchRequest, facts: Fetched) -> Path | None:
        """One attempt, within what is left of the deadline; ``facts`` is filled as far as it comes.

        Returns the file with the body, or None if the copy that is here still stands (HTTP 304). Raises ``Trouble``,
        or ``WorkspaceNotWritable`` if the disk refuses.
        """
        begin, part = time.monotonic(), self.parts / f"{wanted.name}.part"
        facts.attempts += 1
        try:
            left = max(0.001, self.config.deadline_s - facts.seconds)
            return await self._mapped(self._follow(wanted, part, facts), left)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        finally:
            facts.seconds += time.monotonic() - begin

    async def take(self, url: str, name: str) -> Path:
        """As ``fetch``, of something that is not here yet."""
        part = await self.fetch(FetchRequest(url, name), Fetched())
        if part is None:  # no conditions were sent, so there is nothing to be unchanged
            raise Trouble(Reason.PROTOCOL, "HTTP 304 to an unconditional request")
        return part

    async def glance(self, wanted: FetchRequest) -> tuple[int, str, Mapping[str, str]]:
        """Status, address after redirects, and headers of what is there now; nothing of its body is read. Raises ``Trouble``."""
        return await self._mapped(self._glance(wanted), self.config.deadline_s)

    async def _glance(self, wanted: FetchRequest) -> tuple[int, str, Mapping[str, str]]:
        async with self._end_of(Target.parse(wanted.url), wanted.conditions(), permitted=True) as (response, target):
            found = told(response)
            if self.config.robots:
                check_opt_out(found)
            return response.status, str(target), found

    async def read(self, url: str, *, most: int) -> SmallResponse:
        """One request, guarded like the others, whose body of up to ``most`` bytes is kept in memory.

        Every status is an answer; a longer body is cut. Raises ``Trouble``.
        """
        return await self._mapped(self._read(url, most), self.config.deadline_s)

    async def refusal(self, url: str) -> str | None:
        """Why robots.txt forbids ``url``, or None if it does not. Raises ``Trouble``."""
        return await self._mapped(self._refusal(url), self.config.deadline_s) if self.robots else None

    async def _refusal(self, url: str) -> str | None:
        return await self.robots.refusal(Target.parse(url)) if self.robots else None

    async def _read(self, url: str, most: int) -> SmallResponse:
        async with self._end_of(Target.parse(url), {}, permitted=False) as (response, target):
            body = bytearray()
            async for piece in Pieces(response, self.config.min_bytes_per_s):
                body += piece
                if len(body) >= most:
                    break
            return SmallResponse(response.status, str(target), told(response), bytes(body[:most]))

    async def _mapped(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """``work`` under the deadline; what a URL, a server or a socket did wrong becomes ``Trouble``."""
        try:
            async with asyncio.timeout(seconds):
                return await work
        except ForeignScheme as e:
            raise Trouble(Reason.BLOCKED_SCHEME, str(e)) from e
        except BadUrl as e:
            raise Trouble(Reason.BAD_URL, str(e)) from e
        except aiohttp.ClientError as e:
            raise trouble_from(e) from e
        except TimeoutError as e:
            raise Trouble(Reason.TIMEOUT, f"not done after {self.config.deadline_s:g} s") from e
        except OSError as e:  # of a socket: the disk's have become KeepsetErrors
            raise trouble_from(e) from e

    @contextlib.asynccontextmanager
    async def _end_of(
        self, target: Target, headers: dict[str, str], *, permitted: bool
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, Target]]:
        """The response at the end of the redirects, each of them checked like the first; their cookies go along."""
        cookies, again = _Cookies(), False
        for _ in range(_MAX_REDIRECTS + 1):
            address, proxy = await self._checked(target)
            if permitted and self.robots and (why := await self.robots.refusal(target)):
                raise Trouble(Reason.ROBOTS, f"forbidden by {why}")
            asked = self.headers | headers | cookies.of(target)
            if permitted and not (again or self.waits(target.netloc)):
                asked["Connection"] = "close"  # of thousands of hosts, each kept open would use up all files
            response = await self.connections.send(target, address, asked, proxy)
            try:
                location = response.headers.get("location")
                if response.status not in _REDIRECTS or location is None:
                    yield response, target
                    return
                cookies.take(response, target)
            finally:
                response.release()
            target = target.join(location)
            again = target.netloc in self.led_to
            self.led_to[target.netloc] = None
            if len(self.led_to) > _LED_TO:
                self.led_to.popitem(last=False)
        raise Trouble(Reason.TOO_MANY_REDIRECTS, f"more than {_MAX_REDIRECTS} redirects")

    async def _checked(self, target: Target) -> tuple[str, Proxy | None]:
        """The address to connect to, or the proxy to ask by name. A name that only the proxy knows is left to it."""
        proxy = self.connections.proxies.of(target)
        try:
            async with asyncio.timeout(None if proxy is None else _NO_NAMES_S):
                return await self.resolver.resolve(target.host, target.port), proxy
        except Blocked as e:
            raise Trouble(Reason.BLOCKED_ADDRESS, str(e)) from e
        except (Unresolved, TimeoutError) as e:
            if proxy is None:
                raise Trouble(Reason.DNS, str(e)) from e
            return "", proxy

    async def _follow(self, wanted: FetchRequest, part: Path, facts: Fetched) -> Path | None:
        conditions = wanted.conditions()
        async with self._end_of(Target.parse(wanted.url), conditions, permitted=True) as (response, target):
            headers = told(response)
            facts.http_status, facts.final_url = response.status, str(target)
            if self.config.robots:
                check_opt_out(headers)
            if response.status == 304 and conditions:
                return None
            check_status(response.status, headers, str(target))
            facts.headers = headers
            await self._save(response, part, wanted.sha1, facts)
            return part

    async def _save(self, response: aiohttp.ClientResponse, part: Path, sha1: str | None, facts: Fetched) -> None:
        announced = facts.headers.get("content-length", "")
        size = int(announced) if announced.isdecimal() and len(announced) < 20 else None
        if size is not None and size > self.config.max_bytes:
            raise Trouble(Reason.TOO_LARGE, f"{size} bytes announced, {self.config.max_bytes} allowed")
        pieces = Pieces(response, self.config.min_bytes_per_s)
        with ResponseBody(part, self.config, sha1) as body:
            async for piece in pieces:
                body.take(piece, pieces.wired)
            found = body.check(None if pieces.codings else size)
        facts.sha256, facts.bytes, facts.format = body.sha256, body.size, found


class _Cookies:
    """What the redirects of one URL set, and nobody else's: a consent page wants its cookie back."""

    def __init__(self) -> None:
        self.jar: aiohttp.CookieJar | None = None

    def take(self, response: aiohttp.ClientResponse, target: Target) -> None:
        if "set-cookie" in response.headers:
            self.jar = self.jar or aiohttp.CookieJar(unsafe=True, quote_cookie=False)
            self.jar.update_cookies_from_headers(response.headers.getall("set-cookie"), URL(str(target), encoded=True))

    def of(self, target: Target) -> dict[str, str]:
        if self.jar is None:
            return {}
        found = self.jar.filter_cookies(URL(str(target), encoded=True))
        sent = [f"{k}={m.coded_value}" for k, m in found.items()]
        sent = [pair for pair in sent if pair.isascii() and pair.isprintable()]
        return {"Cookie": "; ".join(sent)} if sent else {}


def user_agent(contact: str) -> str:
    """What we call ourselves to servers, with whom to write to if that is given; beyond ASCII it is percent-encoded."""
    plain = "".join(c if " " <= c <= "~" else quote(c, safe="") for c in contact)
    return f"keepset/{__version__} (image data sets{f'; {plain}' if plain else ''})"
