"""A cache for what several threads ask for at once: ``functools.lru_cache`` computes a value once per thread that misses it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["remembered"]

P = ParamSpec("P")
R = TypeVar("R")


def remembered(maxsize: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Like ``functools.lru_cache``, but while one thread computes a value the others wait for it."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        cached = functools.lru_cache(maxsize=maxsize)(function)
        computing = threading.RLock()

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            with computing:
                return cached(*args, **kwargs)  # type: ignore[arg-type]

        call.cache_clear = cached.cache_clear  # type: ignore[attr-defined]
        return call

    return decorate
