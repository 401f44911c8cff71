"""robots.txt, asked once a host and obeyed as RFC 9309 says."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepset.download.answers import Answer, Trouble

if TYPE_CHECKING:
    import httpx

__all__ = ["Robots", "Rules", "parse"]

_MOST_KNOWN = 10_000
_MOST_BYTES = 512_000  # RFC 9309, section 2.5: at least 500 KiB must be read


@dataclass(frozen=True)
class Rules:
    """The rules of the group that is meant for us: (allow, pattern)."""

    lines: tuple[tuple[bool, str], ...] = ()

    def allow(self, path: str) -> bool:
        """The longest matching pattern decides; of equals the one that allows (section 2.2.2)."""
        found = [(len(pattern), allow) for allow, pattern in self.lines if _matches(pattern, path)]
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
                groups[name].append((key == "allow", value))
    return Rules(tuple(groups.get(agent.lower(), groups.get("*", []))))


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

    def __init__(self, read: Callable[..., Awaitable[Answer]], agent: str = "keepset") -> None:
        """``read`` is ``Fetcher.read``."""
        self.read, self.agent = read, agent
        self.known: OrderedDict[str, asyncio.Future[Rules]] = OrderedDict()

    async def refusal(self, url: httpx.URL) -> str | None:
        """Why ``url`` may not be fetched, in words, or None if it may."""
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
        if origin not in self.known:
            self.known[origin] = asyncio.ensure_future(self._ask(origin))
            if len(self.known) > _MOST_KNOWN:
                self.known.popitem(last=False)
        rules = await asyncio.shield(self.known[origin])
        return None if rules.allow(url.raw_path.decode("ascii")) else f"{origin}/robots.txt"

    async def _ask(self, origin: str) -> Rules:
        """Section 2.3.1: no file (4xx) allows all; a server error forbids all.

        A host that does not answer at all allows: the picture's own request then says what is wrong with it.
        """
        try:
            answer = await self.read(f"{origin}/robots.txt", most=_MOST_BYTES)
        except Trouble:
            return Rules()
        if answer.status >= 500:
            return Rules(((False, "/"),))
        if answer.status >= 300:
            return Rules()
        return parse(answer.body.decode("utf-8", "replace"), self.agent)
