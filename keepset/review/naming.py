"""Names that people type: a reviewer's, and the first digits of an image's sha256."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keepset.errors import ReviewError

__all__ = ["needs_name", "whole"]

SHORTEST = 8
"""Digits of a sha256 that a person must give at least; the command line and the gallery show 12."""


def needs_name(who: str) -> None:
    """Raise ``ReviewError`` unless somebody stands for the decision."""
    if not who.strip():
        raise ReviewError("A decision needs a name.", "Give one with --who, or set KEEPSET_REVIEWER.")


def whole(names: Sequence[str], among: Iterable[str], where: str) -> list[str]:
    """The full sha256 of each name: itself, or the only one in ``among`` that begins with it.

    Raises ``ReviewError`` for a name that fits none or several.
    """
    known = set(among)
    return [n if n in known else _only(n.strip().lower(), known, where) for n in names]


def _only(name: str, known: set[str], where: str) -> str:
    fits = [s for s in known if s.startswith(name)] if len(name) >= SHORTEST else []
    if len(fits) != 1:
        trouble = "is in several images of" if fits else "is not in"
        raise ReviewError(
            f"The image {name[:64]!r} {trouble} {where}.",
            f"Give its whole sha256, or its first {SHORTEST} digits or more.",
        )
    return fits[0]
