"""What glibc does with memory that is freed: kept for the next layer of a network, or given back at once.

A training and a server want opposite things. Other C libraries (macOS, Windows, musl) are left as they are.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any

__all__ = ["give_back", "held", "keep_small"]

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8  # of malloc.h
USUAL = {TRIM_THRESHOLD: 2**26, MMAP_THRESHOLD: 2**25, ARENA_MAX: 0}
"""The largest thresholds that glibc comes to by itself, as it does with blocks of a layer's size; arenas by its own rule."""


def keep_small() -> None:
    """For a process of many threads and large short-lived buffers.

    Two arenas instead of eight a core; buffers over 256 kB are given back as soon as they are freed. By default glibc
    learns to keep blocks as large as the largest it has seen, up to 32 MB: a dozen photos on their way leave holes that
    no later one fits into. See mallopt(3).
    """
    _set({ARENA_MAX: 2, MMAP_THRESHOLD: 256_000, TRIM_THRESHOLD: 1_000_000})


def give_back() -> None:
    """What is free, to the system: after loading a model 30 MB, which would else pile up with each swap."""
    if libc := _glibc():
        libc.malloc_trim(0)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Within, blocks under 1 GiB are reused rather than given back; at the end all that is free is given back.

    What a layer gives is a block of megabytes, freed as soon as the next layer has it. glibc would hand it back to the
    system at once, which gives the same pages out again, zeroed, for the next layer: up to a third of the CPU time of a
    forward pass at 224 px (docs/training.md). Threads share one arena: one of their own holds no block over 64 MB, so
    that a forward pass in a thread would take nearly twice as long.
    """
    _set({TRIM_THRESHOLD: 2**31 - 1, MMAP_THRESHOLD: 2**30, ARENA_MAX: 1})
    try:
        yield
    finally:
        _set(USUAL)
        give_back()


def _set(options: dict[int, int]) -> None:
    if libc := _glibc():
        for option, value in options.items():
            libc.mallopt(option, value)


def _glibc() -> Any:
    """This process's C library if it is glibc, else None (musl has no ``malloc_trim``)."""
    try:
        libc = ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows
        return None
    return libc if hasattr(libc, "gnu_get_libc_version") else None
