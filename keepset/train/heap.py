"""Memory that a training frees stays with the process until the training ends.

What a layer gives is a block of megabytes, freed as soon as the next layer has it. glibc hands such blocks back to the
system at once, which gives the same pages out again, zeroed, for the next layer: up to a third of the CPU time of a
forward pass at 224 px (docs/training.md). Other C libraries (macOS, Windows, musl) are left as they are.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any

__all__ = ["held"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
WITHIN = 2**31 - 1, 2**30
USUAL = 2**26, 2**25
"""The largest that glibc comes to by itself, as it does with blocks of this size."""


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Within, blocks under 1 GiB are reused rather than given back; at the end all that is free is given back."""
    libc = _glibc()
    if libc is None:
        yield
        return
    _set(libc, *WITHIN)
    try:
        yield
    finally:
        _set(libc, *USUAL)
        libc.malloc_trim(0)


def _set(libc: Any, trim: int, mmap: int) -> None:
    libc.mallopt(M_TRIM_THRESHOLD, trim)
    libc.mallopt(M_MMAP_THRESHOLD, mmap)


def _glibc() -> Any:
    """This process's C library, if it is glibc (musl has no ``malloc_trim``)."""
    try:
        libc = ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows
        return None
    return libc if hasattr(libc, "gnu_get_libc_version") else None
