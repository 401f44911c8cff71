"""``1 error``, ``2 errors``."""

from __future__ import annotations

__all__ = ["count"]


def count(n: int, noun: str) -> str:
    """``n`` and the noun, with an s unless ``n`` is 1."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
