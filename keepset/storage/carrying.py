"""Carrying many small files from and to the object store, some at a time, beside the work on them.

With a local workspace all of this does nothing, and costs nothing.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from keepset.storage.copies import copy_of, local, staged, uploading
from keepset.storage.paths import StoredPath

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Held", "bring", "delivered", "landing"]

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 32
"""Requests on their way at the same time."""


def bring(paths: Iterable[Path]) -> Iterator[Path]:
    """Local files with the content of ``paths``, in their order, fetched ahead of the one that is asked for.

    For one that is not there the name is yielded that its copy would have: opening it raises ``FileNotFoundError``.
    """
    for path, copy in _in_order(paths, lambda p: partial(_brought, p) if isinstance(p, StoredPath) else None):
        yield copy or path


def _brought(path: StoredPath) -> Path:
    with contextlib.suppress(FileNotFoundError):
        return local(path)
    return copy_of(path)


def landing(path: Path) -> Path:
    """Where a process that does not speak to the store is to write what shall become ``path``: see ``delivered``."""
    return staged(path) if isinstance(path, StoredPath) else path


def delivered(work: Iterable[T], cargo: Callable[[T], tuple[Path, Path] | None]) -> Iterator[T]:
    """The items of ``work`` in their order, each once its cargo, (file, path it shall become), has arrived there."""

    def sending(item: T) -> Callable[[], None] | None:
        part, path = cargo(item) or (None, None)
        return partial(_send, part, path) if part and isinstance(path, StoredPath) else None

    for item, _ in _in_order(work, sending, at_once=True):
        yield item


def _send(part: Path, path: StoredPath) -> None:
    with uploading(path) as fresh:
        part.replace(fresh)


def _in_order(
    work: Iterable[T], job: Callable[[T], Callable[[], R] | None], *, at_once: bool = False
) -> Iterator[tuple[T, R | None]]:
    """Each item with the result of its job, None if it has none; further jobs run meanwhile in threads.

    ``at_once``: a finished item is yielded before others are begun, so that it is not held back.
    """
    pool: ThreadPoolExecutor | None = None
    going: deque[tuple[T, Future[R] | None]] = deque()

    def first() -> tuple[T, R | None]:
        item, future = going.popleft()
        return item, future.result() if future else None

    try:
        for item in work:
            if (do := job(item)) is not None:
                pool = pool or ThreadPoolExecutor(AT_ONCE, "carrying")
            going.append((item, pool.submit(do) if pool and do else None))
            while going and (len(going) > 2 * AT_ONCE or (f := going[0][1]) is None or (at_once and f.done())):
                yield first()
        while going:
            yield first()
    finally:
        if pool:
            pool.shutdown(cancel_futures=True)


class Held:
    """Which pictures (or thumbnails) there are, and of how many bytes.

    On disk each is looked at when it is asked for. On the object store the folder is listed once, a request for a
    thousand of them, when the first is asked for; 16 bytes of memory each.
    """

    def __init__(self, folder: Path, place: Callable[[str], Path]) -> None:
        self.folder, self.place = folder, place
        self._numbers: array[int] | None = None
        self._sizes = array("Q")

    def size(self, sha256: str) -> int | None:
        """Bytes of the file; None if it is not there."""
        if not isinstance(self.folder, StoredPath):
            try:
                return self.place(sha256).stat().st_size
            except FileNotFoundError:
                return None
        numbers, number = self._list(self.folder), _number(sha256)
        at = bisect_left(numbers, number)
        return self._sizes[at] if at < len(numbers) and numbers[at] == number else None

    def names(self) -> pa.Array:
        """The sha256 of every one that there is, listed now."""
        import pyarrow as pa

        if isinstance(self.folder, StoredPath):
            keys = self.folder.bucket.sizes(f"{self.folder.key}/")
            return pa.array((key.rpartition("/")[2] for key, _ in keys), pa.string())
        inside = [f for f in self.folder.iterdir() if f.is_dir()] if self.folder.is_dir() else []
        pieces = [pa.array(os.listdir(f), pa.string()) for f in inside]  # noqa: PTH208 - a Path each costs ten times as much
        return pa.concat_arrays([pa.array([], pa.string()), *pieces])

    def _list(self, folder: StoredPath) -> array[int]:
        if self._numbers is None:
            self._numbers = array("Q")
            for key, size in folder.bucket.sizes(f"{folder.key}/"):  # sorted, so the numbers are
                self._numbers.append(_number(key.rpartition("/")[2]))
                self._sizes.append(size)
        return self._numbers


def _number(sha256: str) -> int:
    """The first 64 bits: of a million pictures two share them once in forty million data sets."""
    return int(sha256[:16], 16)
