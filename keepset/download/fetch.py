"""Fetch one URL: redirects checked one by one, a total deadline, byte caps, streamed to a ``.part`` file."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from keepset import __version__
from keepset.config import DownloadConfig
from keepset.download.address import Blocked, Resolver, Unresolved
from keepset.download.answers import (
    Answer,
    Trouble,
    check_opt_out,
    check_status,
    is_foreign,
    trouble_from,
)
from keepset.download.body import Body
from keepset.download.robots import Robots
from keepset.download.transport import Connections
from keepset.reasons import DownloadReason as Reason

__all__ = ["Answer", "Fetched", "Fetcher", "Trouble", "Wanted", "user_agent"]

_SILENCE_S = 15.0
T = TypeVar("T")


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
            if not is_foreign(e):
                raise
            raise trouble_from(url, e) from e

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
                check_opt_out(response)
            if response.status_code == 304 and conditions:
                return None
            check_status(response)
            facts.headers = dict(response.headers)
            await self._save(response, part, wanted.sha1, facts)
            return part

    async def _save(self, response: httpx.Response, part: Path, sha1: str | None, facts: Fetched) -> None:
        announced = response.headers.get("content-length", "")
        size = int(announced) if announced.isdigit() else None
        if size is not None and size > self.config.max_bytes:
            raise Trouble(Reason.TOO_LARGE, f"{size} bytes announced, {self.config.max_bytes} allowed")
        with Body(part, self.config, sha1) as body:
            async for piece in response.aiter_bytes():
                body.take(piece, response.num_bytes_downloaded)
            found = body.check(None if "content-encoding" in response.headers else size)
        facts.sha256, facts.bytes, facts.format = body.sha256, body.size, found


def user_agent(contact: str) -> str:
    """What we call ourselves to servers, with whom to write to if that is given."""
    return f"keepset/{__version__} (image data sets{f'; {contact}' if contact else ''})"
