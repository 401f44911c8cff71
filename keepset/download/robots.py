"""robots.txt: asked for once per host, obeyed as RFC 9309 says."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

from keepset.download.address import heard
from keepset.download.answers import SmallResponse, Trouble, check_status
from keepset.download.target import Target
from keepset.reasons import DownloadReason as Reason

__all__ = ["Robots", "Rules", "parse"]

_MOST_KNOWN = 10_000
_MOST_BYTES = 512_000  # RFC 9309, section 2.5: at least 500 KiB must be read
_ESCAPE = re.compile("%([0-9a-f]{2})", re.IGNORECASE)
_UNRESERVED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")


@dataclass(frozen=True)
class Rules:
    """The rules of the group that is meant for us: (allow, pattern)."""

    lines: tuple[tuple[bool, str], ...] = ()

    def allow(self, path: str) -> bool:
        """The longest matching pattern decides; of equals the one that allows (section 2.2.2)."""
        plain = _plain(path)
        found = [(len(pattern), allow) for allow, pattern in self.lines if _matches(pattern, plain)]
        return max(found)[1] if found else True


def parse(text: str, agent: str) -> Rules:
    """The group that names ``agent`` (a product token such as ``keepset``), else the one for ``*``."""
    groups: dict[str, list[tuple[bool, str]]] = {}
    names: list[str] = []
    in_rules = False
    for line in text.removeprefix("\ufeff").splitlines():
        key, _, value = line.split("#", 1)[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if key == "user-agent":
            names = [value.lower()] if in_rules else [*names, value.lower()]
            in_rules = False
            groups.setdefault(value.lower(), [])
        elif key in ("allow", "disallow"):
            in_rules = True
            for name in names if value else ():
                groups[name].append((key == "allow", _plain(value)))
    return Rules(tuple(groups.get(agent.lower(), groups.get("*", []))))


def _plain(path: str) -> str:
    """One spelling of each address (section 2.2.2): beyond ASCII percent-encoded, what needs no escape without one."""

    def spelled(escape: re.Match[str]) -> str:
        sign = chr(int(escape[1], 16))
        return sign if sign in _UNRESERVED else escape[0].upper()

    ascii_only = "".join(c if c.isascii() else quote(c, safe="") for c in path)
    return _ESCAPE.sub(spelled, ascii_only)


def _matches(pattern: str, path: str) -> bool:
    """Stars by search for one piece after the other: linear, whatever a hostile file holds."""
    anchored = pattern.endswith("$")
    first, *others = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    if not others:
        return not anchored or path == first
    at, last = len(first), others.pop() if anchored else ""
    for piece in others:
        found = path.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(path) - at >= len(last) and path.endswith(last)


class Robots:
    """What each host allows. One question a host, however many URLs wait for the answer."""

    def __init__(self, read: Callable[..., Awaitable[SmallResponse]], agent: str = "keepset") -> None:
        """``read`` is ``Fetcher.read``."""
        self.read, self.agent = read, agent
        self.known: OrderedDict[str, asyncio.Future[Rules]] = OrderedDict()

    async def refusal(self, target: Target) -> str | None:
        """Why ``target`` may not be fetched, or None if it may.

        Raises ``Trouble`` while its host's robots.txt cannot be had: until then nothing may be fetched there.
        """
        origin = target.origin
        if origin not in self.known:
            self.known[origin] = asyncio.ensure_future(self._ask(origin))
            self.known[origin].add_done_callback(heard)
            if len(self.known) > _MOST_KNOWN:
                self.known.popitem(last=False)
        asked = self.known[origin]
        try:
            rules = await asyncio.shield(asked)
        except Trouble as e:
            if self.known.get(origin) is asked:  # the next try asks again
                del self.known[origin]
            raise Trouble(e.reason, f"{origin}/robots.txt: {e.detail}", wait_s=e.wait_s) from e
        return None if rules.allow(target.path) else f"{origin}/robots.txt"

    async def _ask(self, origin: str) -> Rules:
        """Section 2.3.1: no such file (4xx), or none at the end of its redirects, allows all; no answer forbids all."""
        try:
            answer = await self.read(f"{origin}/robots.txt", most=_MOST_BYTES)
            if answer.status >= 500 or answer.status == 429:
                check_status(answer.status, answer.headers)
        except Trouble as e:
            if e.transient or e.reason in (Reason.TOO_SLOW, Reason.TLS):
                raise
            return Rules()
        if answer.status >= 300:
            return Rules()
        return parse(answer.body.decode("utf-8", "replace"), self.agent)
