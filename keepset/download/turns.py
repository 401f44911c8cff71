"""Whose turn it is: hosts take turns, each within its own rate and number of requests in flight.

A host that is slow, or that asked us to wait, holds up nobody else; only a window of the list is in memory.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from keepset.errors import KeepsetError
from keepset.sources import IN_FLIGHT, PER_SECOND, asked_of

__all__ = ["Turns"]

T = TypeVar("T")
_WINDOW = 20_000


@dataclass
class _Host(Generic[T]):
    name: str
    most: int
    gap: float
    waiting: deque[T] = field(default_factory=deque)
    in_flight: int = 0
    next_at: float = 0.0
    listed: bool = False  # in the heap; once at most, so that a host's length of queue costs nothing there


class Turns(Generic[T]):
    """Items of many hosts, in an order that is polite to each.

    ``items`` yields (host, item); the host "" is this machine, which has no limits. Every item taken with ``take`` (by
    one task) is ended with ``done``, or given back with ``again``.
    """

    def __init__(self, items: Iterator[tuple[str, T]], *, per_host: int, rate: float) -> None:
        """``rate``: requests a second to one host, at most."""
        self.items, self.per_host, self.gap = items, per_host, 1 / rate
        self.hosts: dict[str, _Host[T]] = {}
        self.ready: list[tuple[float, int, _Host[T]]] = []  # hosts that may be asked, by when
        self.order = itertools.count()
        self.held = self.away = 0  # in the window; taken or waiting to come back
        self.more = asyncio.Event()
        self.ended = False

    async def each(self, one: Callable[[str, T, asyncio.Semaphore], Awaitable[None]], at_once: int) -> None:
        """Call ``one(host, item, free)`` for every item, in a task of its own; it releases ``free`` when another may begin.

        Raises the first ``KeepsetError`` of a task, after the others were ended.
        """
        free = asyncio.Semaphore(at_once)
        stopped: BaseException | None = None

        async def begun(turn: tuple[str, T]) -> None:
            await one(*turn, free)

        try:
            async with asyncio.TaskGroup() as group:
                await free.acquire()
                while (turn := await self.take()) is not None:
                    group.create_task(begun(turn))
                    await free.acquire()
        except* KeepsetError as several:
            stopped = several.exceptions[0]
        if stopped:  # raised here, not above: a cycle of contexts cannot travel from a Dask worker
            raise stopped

    async def take(self) -> tuple[str, T] | None:
        """The next item whose host may be asked now; waits for it. None: nothing is left."""
        loop = asyncio.get_running_loop()
        while True:
            self._fill()
            now = loop.time()
            if self.ready and self.ready[0][0] <= now:
                _, _, host = heapq.heappop(self.ready)
                host.listed = False
                if host.next_at <= now and host.in_flight < host.most and host.waiting:
                    return self._give(host, now)
                self._list(host)  # its time moved on meanwhile; the heap held the old one
                continue
            if self.ended and not self.held and not self.away:
                return None
            self.more.clear()
            wait = self.ready[0][0] - now if self.ready else None
            try:
                await asyncio.wait_for(self.more.wait(), wait)
            except TimeoutError:
                continue

    def waits(self, host: str) -> bool:
        """Whether anything is still to be asked of ``host``."""
        name = asked_of(host)
        return name in self.hosts and bool(self.hosts[name].waiting)

    def done(self, host: str) -> None:
        self._back(host)

    def again(self, host: str, item: T, after_s: float, *, whole_host: bool = False) -> None:
        """Try ``item`` again later. ``whole_host``: leave its host alone until then."""
        loop = asyncio.get_running_loop()
        if whole_host:
            known = self.hosts[host]
            known.next_at = max(known.next_at, loop.time() + after_s)
        self._back(host, ended=False)
        loop.call_later(after_s, self._return, host, item)

    def _return(self, host: str, item: T) -> None:
        self.away -= 1
        self._put(host, item, first=True)
        self.more.set()

    def _back(self, name: str, *, ended: bool = True) -> None:
        host = self.hosts[name]
        host.in_flight -= 1
        self.away -= ended
        self._list(host)
        # A list of a million hosts must not keep them all; one whose time has not come yet keeps its limit.
        if ended and not host.in_flight and not host.waiting and host.next_at <= asyncio.get_running_loop().time():
            self.hosts.pop(name, None)
        self.more.set()

    def _fill(self) -> None:
        while not self.ended and self.held < _WINDOW:
            found = next(self.items, None)
            if found is None:
                self.ended = True
            else:
                self._put(*found)

    def _put(self, name: str, item: T, *, first: bool = False) -> None:
        host = self.hosts.get(name)
        if host is None:
            most = min(self.per_host, IN_FLIGHT.get(name, self.per_host))
            gap = max(self.gap, 1 / PER_SECOND.get(name, float("inf")))
            host = _Host(name, most, gap) if name else _Host(name, sys.maxsize, 0.0)
            self.hosts[name] = host
        # A retry goes first: it is older than all that waits, and a host that is down is known as such sooner.
        (host.waiting.appendleft if first else host.waiting.append)(item)
        self.held += 1
        self._list(host)

    def _give(self, host: _Host[T], now: float) -> tuple[str, T]:
        item = host.waiting.popleft()
        host.in_flight += 1
        # A token bucket: an idle host's time falls behind the clock, by ten gaps at most, and that is the burst.
        host.next_at = max(host.next_at + host.gap, now - 10 * host.gap)
        self.held -= 1
        self.away += 1
        self._list(host)
        return host.name, item

    def _list(self, host: _Host[T]) -> None:
        if host.waiting and host.in_flight < host.most and not host.listed:
            host.listed = True
            heapq.heappush(self.ready, (host.next_at, next(self.order), host))
