"""Bytes of bodies in memory: a request waits for its share before its body is read, so that memory stays bounded.

What a waiting client sends stays in the kernel's buffers, and then with the client.
"""

from __future__ import annotations

import asyncio
from collections import deque

from keepset.predict.queueing import Busy

__all__ = ["Budget"]


class Budget:
    """First come, first served, on one event loop. One that is larger than all of it passes when it is alone."""

    def __init__(self, size: int, *, patience: float, waiting: int) -> None:
        """``patience``: longest wait, seconds. ``waiting``: how many may wait."""
        self.size, self.patience, self.most = size, patience, waiting
        self.used = 0
        self.queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, n: int) -> None:
        """Raises ``Busy`` if too many wait, or it takes too long."""
        if not self.queue and self._fits(n):
            self.used += n
            return
        if len(self.queue) >= self.most:
            raise Busy(2)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.queue.append((n, turn))
        try:
            async with asyncio.timeout(self.patience):
                await turn
        except BaseException as e:
            self._leave(n, turn)
            if isinstance(e, TimeoutError):
                raise Busy(int(self.patience)) from e
            raise

    def add(self, n: int) -> None:
        """What turned out to be larger than announced."""
        self.used += n

    def give(self, n: int) -> None:
        self.used -= n
        self._call()

    def _leave(self, n: int, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():  # its turn came in the same moment
            self.give(n)
            return
        self.queue = deque(x for x in self.queue if x[1] is not turn)
        self._call()

    def _fits(self, n: int) -> bool:
        return self.used + n <= self.size or not self.used

    def _call(self) -> None:
        while self.queue and self._fits(self.queue[0][0]):
            n, turn = self.queue.popleft()
            if not turn.done():
                self.used += n
                turn.set_result(None)
