"""glibc's heap, kept small in a process of many threads and large short-lived buffers. Elsewhere nothing is done."""

from __future__ import annotations

import contextlib
import ctypes

__all__ = ["give_back", "keep_small"]

# malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def keep_small() -> None:
    """Two arenas instead of eight a core; buffers over 256 kB are given back as soon as they are freed.

    By default glibc learns to keep blocks as large as the largest it has seen, up to 32 MB: a dozen photos on their
    way leave holes that no later one fits into. See mallopt(3).
    """
    for option, value in ((_ARENA_MAX, 2), (_MMAP_THRESHOLD, 256_000), (_TRIM_THRESHOLD, 1_000_000)):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(option, value)


def give_back() -> None:
    """What is free, to the system: after loading a model 30 MB, which would else pile up with each swap."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
