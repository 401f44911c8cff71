"""Fetch one URL: redirects checked one by one, a total deadline, byte caps, streamed to a ``.part`` file."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx

from keepset import __version__
from keepset.config import DownloadConfig
from keepset.download.address import Blocked, Unresolved, resolve
from keepset.reasons import DownloadReason as Reason

__all__ = ["Answer", "Fetched", "Fetcher", "Trouble", "retry_after", "sniff", "user_agent"]

_TRANSIENT = {
    Reason.DNS, Reason.CONNECT, Reason.TIMEOUT, Reason.TOO_SLOW, Reason.TRUNCATED, Reason.PROTOCOL,
    Reason.RATE_LIMITED, Reason.HTTP_SERVER, Reason.EMPTY,
}  # fmt: skip
_SLOW_AFTER_S = 10.0
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
    http_status: int | None = None
    final_url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    sha256: str | None = None
    bytes: int | None = None
    format: str | None = None


@dataclass(frozen=True)
class Answer:
    """A small document, read whole: a page, an API's answer, a robots.txt."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes


class Fetcher:
    """Fetches with one small client a host: httpcore rescans every connection for each queued request."""

    def __init__(self, config: DownloadConfig, parts: Path, user_agent: str, seed: int) -> None:
        self.config, self.parts, self.user_agent = config, parts, user_agent
        self.clients: dict[str, httpx.AsyncClient] = {}
        self.rng = random.Random(seed)  # noqa: S311 - jitter, not secrets
        parts.mkdir(parents=True, exist_ok=True)

    async def close(self) -> None:
        for client in self.clients.values():
            await client.aclose()

    async def fetch(self, url: str, name: str) -> tuple[Fetched, Path]:
        """Fetch with retries of what is transient. Raises ``Trouble``; its facts are in ``trouble.args``."""
        facts = Fetched()
        while True:
            facts.attempts += 1
            try:
                return facts, await self._attempt(url, name, facts)
            except Trouble as e:
                if not e.transient or facts.attempts > self.config.retries:
                    e.args = (*e.args, facts)
                    raise
                full = min(30.0, 0.5 * 2**facts.attempts)
                await asyncio.sleep(self.rng.uniform(0, full) if e.wait_s is None else min(e.wait_s, 60.0))

    async def read(self, url: str, *, most: int) -> Answer:
        """One request, guarded like the others, whose body of up to ``most`` bytes is kept in memory.

        Every status is an answer; a longer body is cut. Raises ``Trouble``.
        """
        return await self._mapped(url, self._read(url, most))

    async def _read(self, url: str, most: int) -> Answer:
        target = httpx.URL(url)
        for _ in range(self.config.max_redirects + 1):
            async with await self._open(target) as response:
                if response.is_redirect and "location" in response.headers:
                    target = target.join(response.headers["location"])
                    continue
                body = bytearray()
                async for chunk in response.aiter_bytes(65_536):
                    body += chunk
                    if len(body) >= most:
                        break
                return Answer(response.status_code, str(target), dict(response.headers), bytes(body[:most]))
        raise Trouble(Reason.TOO_MANY_REDIRECTS, f"more than {self.config.max_redirects} redirects")

    async def _attempt(self, url: str, name: str, facts: Fetched) -> Path:
        return await self._mapped(url, self._follow(url, name, facts))

    async def _mapped(self, url: str, work: Coroutine[Any, Any, T]) -> T:
        """``work`` under the deadline; what httpx raises becomes ``Trouble``."""
        try:
            async with asyncio.timeout(self.config.deadline_s):
                return await work
        except TimeoutError as e:
            raise Trouble(Reason.TIMEOUT, f"not done after {self.config.deadline_s:g} s") from e
        except httpx.TimeoutException as e:
            raise Trouble(Reason.TIMEOUT, str(e) or type(e).__name__) from e
        except httpx.ConnectError as e:
            tls = "SSL" in str(e) or "certificate" in str(e)
            raise Trouble(Reason.TLS if tls else Reason.CONNECT, str(e) or "refused") from e
        except (httpx.RemoteProtocolError, httpx.ReadError) as e:
            cut = "incomplete" in str(e) or "without sending complete" in str(e) or not str(e)
            raise Trouble(Reason.TRUNCATED if cut else Reason.PROTOCOL, str(e) or "connection lost") from e
        except httpx.DecodingError as e:
            raise Trouble(Reason.PROTOCOL, str(e)) from e
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as e:
            odd = _NUMERIC.match(url) is not None  # octal and the like: an address in disguise, never a name
            raise Trouble(Reason.BLOCKED_ADDRESS if odd else Reason.BAD_URL, str(e)) from e
        except httpx.TransportError as e:
            raise Trouble(Reason.CONNECT, str(e) or type(e).__name__) from e

    async def _follow(self, url: str, name: str, facts: Fetched) -> Path:
        target = httpx.URL(url)
        for _ in range(self.config.max_redirects + 1):
            async with await self._open(target) as response:
                facts.http_status, facts.final_url = response.status_code, str(target)
                if response.is_redirect and "location" in response.headers:
                    target = target.join(response.headers["location"])
                    continue
                if self.config.robots:
                    _check_opt_out(response)
                _check_status(response)
                facts.headers = dict(response.headers)
                return await self._save(response, name, facts)
        raise Trouble(Reason.TOO_MANY_REDIRECTS, f"more than {self.config.max_redirects} redirects")

    async def _open(self, url: httpx.URL) -> Any:
        if url.scheme not in ("http", "https"):
            raise Trouble(Reason.BLOCKED_SCHEME, f"{url.scheme}: only http and https are fetched")
        if not url.host:
            raise Trouble(Reason.BAD_URL, "no host")
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            address = await resolve(url.host, port, self.config.allow_private)
        except Blocked as e:
            raise Trouble(Reason.BLOCKED_ADDRESS, str(e)) from e
        except Unresolved as e:
            raise Trouble(Reason.DNS, str(e)) from e
        client = self._client(f"{url.scheme}://{url.host}:{port}")
        headers = {
            "Host": url.netloc.decode("ascii"),
            "User-Agent": self.user_agent,
            "Accept": "image/*,*/*;q=0.5",
        }
        request = client.build_request(
            "GET", url.copy_with(host=address), headers=headers, extensions={"sni_hostname": url.host}
        )
        return _Streaming(client, request)

    def _client(self, origin: str) -> httpx.AsyncClient:
        if origin not in self.clients:
            limits = httpx.Limits(max_connections=self.config.per_host)
            timeout = httpx.Timeout(self.config.deadline_s, connect=15.0)
            self.clients[origin] = httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=False)
        return self.clients[origin]

    async def _save(self, response: httpx.Response, name: str, facts: Fetched) -> Path:
        cap, begin, size, digest = self.config.max_bytes, time.monotonic(), 0, hashlib.sha256()
        if int(response.headers.get("content-length") or 0) > cap:
            raise Trouble(
                Reason.TOO_LARGE, f"{response.headers['content-length']} bytes announced, {cap} allowed"
            )
        part, head = self.parts / f"{name}.part", b""
        with part.open("wb") as f:
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size > cap:
                    packed = response.num_bytes_downloaded < size / 2
                    reason = Reason.DECOMPRESSION if packed else Reason.TOO_LARGE
                    raise Trouble(reason, f"more than {cap} bytes")
                head = head if len(head) >= 4096 else head + chunk[:4096]
                digest.update(chunk)
                f.write(chunk)
                took = time.monotonic() - begin
                if took > _SLOW_AFTER_S and size / took < self.config.min_bytes_per_s:
                    raise Trouble(Reason.TOO_SLOW, f"{size / took:.0f} bytes/s")
        if size == 0:
            raise Trouble(Reason.EMPTY, "the body is empty")
        found = sniff(head)
        if found is None:
            raise Trouble(Reason.NOT_AN_IMAGE, f"its first bytes are {head[:24]!r}")
        facts.sha256, facts.bytes, facts.format = digest.hexdigest(), size, found
        return part


class _Streaming:
    def __init__(self, client: httpx.AsyncClient, request: httpx.Request) -> None:
        self.client, self.request = client, request

    async def __aenter__(self) -> httpx.Response:
        self.response = await self.client.send(self.request, stream=True)
        return self.response

    async def __aexit__(self, *_: object) -> None:
        await self.response.aclose()


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


def sniff(head: bytes) -> str | None:
    """The image format by its first bytes, or None."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM"):
        return "bmp"
    if head[4:12] in (b"ftypavif", b"ftypavis"):
        return "avif"
    return None
