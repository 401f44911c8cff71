"""Corrections by users of the prediction page: rows of ``inbox.jsonl``, offered to the reviewer, never applied.

A row is ``{"at", "sha256", "predicted", "label", "who"}``. Only images of the data set can be candidates; a
corrected picture that is not in it comes in with the next run, by way of ``keepset.inbox``.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, fields
from typing import Any

from keepset.files import read_rows
from keepset.review.memory import Past
from keepset.workspace import SHA256, Workspace

__all__ = ["Correction", "pending", "read", "strangers"]

LONGEST = 100
"""Characters of a field that are taken: the file is written on behalf of strangers."""


@dataclass(frozen=True)
class Correction:
    """What a user said that a picture shows, and when (ISO 8601, UTC)."""

    sha256: str
    label: str
    predicted: str
    who: str
    at: str


def read(ws: Workspace) -> list[Correction]:
    """All readable rows, oldest first. The file is written by a web page, so a bad line is passed over."""
    return [c for row in read_rows(ws.root / "inbox.jsonl") if (c := _correction(row)) is not None]


def _correction(row: dict[str, Any]) -> Correction | None:
    found = Correction(**{f.name: str(row.get(f.name) or "")[:LONGEST] for f in fields(Correction)})
    return found if SHA256.fullmatch(found.sha256) else None


def pending(ws: Workspace, active: Mapping[str, Mapping[str, Any]], past: Past) -> dict[str, Correction]:
    """By sha256 the last correction of each active image that disagrees with its label and is newer than
    the last decision on it."""
    found: dict[str, Correction] = {}
    for c in read(ws):
        row = active.get(c.sha256)
        decided = past.decided.get(c.sha256)
        if row is None or (decided is not None and decided.at >= c.at):
            continue
        found[c.sha256] = c
    return {s: c for s, c in found.items() if c.label != active[s]["label"]}


def strangers(ws: Workspace, known: Container[str]) -> int:
    """Number of corrected pictures that the data set does not hold, and that nobody can decide on here."""
    return len({c.sha256 for c in read(ws) if c.sha256 not in known})
