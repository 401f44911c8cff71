"""Names that people type or read: a reviewer's, the first digits of an image's sha256, an image's file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keepset.errors import ReviewError
from keepset.text import file_name

__all__ = ["batch_name", "called", "needs_name", "whole"]

SHORTEST = 8
"""Digits of a sha256 that a person must give at least; the command line and the gallery show 12."""


LONGEST = 100
"""Characters of a reviewer's name."""


def needs_name(who: str) -> None:
    """Raise ``ReviewError`` unless somebody stands for the decision, by a name that every log and page can show."""
    if not who.strip():
        raise ReviewError("A decision needs a name.", "Give one with --who, or set KEEPSET_REVIEWER.")
    if len(who) > LONGEST:
        raise ReviewError(f"The name of the reviewer has {len(who)} characters.", f"Give one of at most {LONGEST}.")


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


def called(sha256: str, images: Mapping[str, Mapping[str, Any]]) -> str:
    """What a person knows an image by: the end of the address that it came from, such as ``teddys/00000033.jpg``.

    ``images``: rows of the manifest by sha256. Without an address that ends in a name, the first digits of the sha256.
    """
    return file_name(images.get(sha256, {}).get("url")) or sha256[:SHORTEST]


def batch_name(batch_id: str) -> str:
    """``Batch 1`` of ``b0001-37ad7df1``: what people call it."""
    return f"Batch {int(batch_id[1:].partition('-')[0])}"
