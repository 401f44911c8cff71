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
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from keepset.storage.copies import copy_of, local, staged, uploading
from keepset.storage.paths import StoredPath

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Held", "bring", "delivered", "landing"]

T = TypeVar("T")
AT_ONCE = 32
"""Requests on their way at the same time."""


def bring(paths: Iterable[Path]) -> Iterator[Path]:
    """Local files with the content of ``paths``, in their order, fetched ahead of the one that is asked for.

    For one that is not there the name is yielded that its copy would have: opening it raises ``FileNotFoundError``.
    """
    first, rest = _first(paths)
    if not isinstance(first, StoredPath):
        yield from rest
        return
    with ThreadPoolExecutor(AT_ONCE, "bring") as pool:
        coming: deque[Future[Path]] = deque()
        try:
            for path in rest:
                coming.append(pool.submit(_brought, path))
                if len(coming) >= 2 * AT_ONCE:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for one in coming:
                one.cancel()


def _brought(path: Path) -> Path:
    if not isinstance(path, StoredPath):
        return path
    with contextlib.suppress(FileNotFoundError):
        return local(path)
    return copy_of(path)


def landing(path: Path) -> Path:
    """Where a process that does not speak to the store is to write what shall become ``path``: see ``delivered``."""
    return staged(path) if isinstance(path, StoredPath) else path


def delivered(work: Iterable[T], cargo: Callable[[T], tuple[Path, Path] | None]) -> Iterator[T]:
    """The items of ``work`` in their order, each once its cargo, (file, path it shall become), has arrived there."""
    with contextlib.ExitStack() as stack:
        pool: ThreadPoolExecutor | None = None
        going: deque[tuple[T, Future[None] | None]] = deque()
        for item in work:
            load = cargo(item)
            sent = None
            if load is not None and isinstance(load[1], StoredPath):
                pool = pool or stack.enter_context(ThreadPoolExecutor(AT_ONCE, "deliver"))
                sent = pool.submit(_send, load[0], load[1])
            going.append((item, sent))
            while going and (len(going) > 2 * AT_ONCE or _arrived(going[0][1])):
                yield _settled(*going.popleft())
        while going:
            yield _settled(*going.popleft())


def _send(part: Path, path: StoredPath) -> None:
    with uploading(path) as fresh:
        part.replace(fresh)


def _arrived(sent: Future[None] | None) -> bool:
    return sent is None or sent.done()


def _settled(item: T, sent: Future[None] | None) -> T:
    if sent is not None:
        sent.result()
    return item


def _first(paths: Iterable[Path]) -> tuple[Path | None, Iterator[Path]]:
    rest = iter(paths)
    first = next(rest, None)
    return first, rest if first is None else chain([first], rest)


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
