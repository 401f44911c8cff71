"""Bytes of bodies in memory: a request waits for its share before its body is read, so that memory stays bounded.

What a waiting client sends stays in the kernel's buffers, and then with the client.
"""

from __future__ import annotations

import asyncio

from keepset.predict.queueing import Busy

__all__ = ["Budget"]


class Budget:
    """First come, first served, on one event loop. One that is larger than all of it passes when it is alone."""

    def __init__(self, size: int, *, patience: float, waiting: int) -> None:
        """``patience``: longest wait, seconds. ``waiting``: how many may wait."""
        self.size, self.patience, self.most = size, patience, waiting
        self.used = self.waiting = 0
        self.turn, self.freed = asyncio.Lock(), asyncio.Event()  # the lock lets its waiters in in their order

    async def take(self, n: int) -> None:
        """Raises ``Busy`` if too many wait, or it takes too long."""
        if self.waiting >= self.most:
            raise Busy(2)
        self.waiting += 1
        try:
            async with asyncio.timeout(self.patience), self.turn:
                while self.used and self.used + n > self.size:
                    self.freed.clear()
                    await self.freed.wait()
                self.used += n
        except TimeoutError as e:
            raise Busy(int(self.patience)) from e
        finally:
            self.waiting -= 1

    def add(self, n: int) -> None:
        """What turned out to be larger than announced."""
        self.used += n

    def give(self, n: int) -> None:
        self.used -= n
        self.freed.set()
