"""What the gallery shows of a batch: which cards, on which page, and the facts of their pictures."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepset import manifests
from keepset.errors import ManifestError
from keepset.reasons import Action
from keepset.review import Batch, Mark, MarkState
from keepset.workspace import Workspace

__all__ = [
    "FEW",
    "PAGE",
    "SIZES",
    "Page",
    "Suggested",
    "facts",
    "group_of",
    "page_of",
    "rows",
    "suggested",
    "tile_size",
]

FEW = 9
"""Up to so many classes each has a button and a digit; beyond, the class is typed."""
PAGE = 120
"""Pictures per page: enough to scroll through, few enough to draw at once."""
SIZES = range(1, 8)
"""Tile sizes, the smallest first; ``batch.css`` says how wide each is."""
_USUAL_SIZE = 3
FILTERS = ("label", "split", "reason", "show")

Row = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """One page of the cards that fit the filters. ``focus`` is the image to begin at, or ""."""

    rows: Sequence[Row]
    found: int
    number: int
    pages: int
    focus: str
    filters: Mapping[str, str]

    def near(self) -> Iterator[int]:
        """Page numbers worth a link: the first, the last, and those around; 0 stands for a gap."""
        shown = {1, self.pages, *range(self.number - 2, self.number + 3)}
        before = 0
        for n in sorted(n for n in shown if 1 <= n <= self.pages):
            if n - before > 1:
                yield 0
            yield n
            before = n


def rows(batch: Batch) -> tuple[Row, ...]:
    """The candidates, the likeliest trouble first."""
    return _read_rows(batch.folder)


@functools.lru_cache(maxsize=8)
def _read_rows(folder: Path) -> tuple[Row, ...]:
    """They are immutable, so a cache cannot go stale."""
    return tuple(manifests.read(folder / "candidates.parquet", "candidates").rows())


def page_of(batch: Batch, query: Mapping[str, str], marks: Mapping[str, MarkState]) -> Page:
    """The page that ``query`` asks for: by ``page``, else that of the rank ``at``, or of the first undecided card
    after the rank ``next`` (round the end). Numbers that make no sense give the first page."""
    shown = [r for r in rows(batch) if _fits(r, query, marks)]
    pages = max(1, -(-len(shown) // PAGE))
    place = _place(shown, query, marks)
    number = min(max(1, _number(query, "page") or 1 + (place or 0) // PAGE), pages)
    filters = {k: query[k] for k in FILTERS if query.get(k)}
    focus = "" if place is None else shown[place]["sha256"]
    return Page(shown[(number - 1) * PAGE : number * PAGE], len(shown), number, pages, focus, filters)


def _place(shown: Sequence[Row], query: Mapping[str, str], marks: Mapping[str, MarkState]) -> int | None:
    after, at = _number(query, "next"), _number(query, "at")
    if after is not None:
        left = [i for i, r in enumerate(shown) if r["sha256"] not in marks]
        return next((i for i in left if shown[i]["rank"] > after), left[0] if left else None)
    if at is not None:
        return next((i for i, r in enumerate(shown) if r["rank"] >= at), len(shown) - 1 if shown else None)
    return None


def _number(query: Mapping[str, str], name: str) -> int | None:
    value = query.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None


def _fits(row: Row, query: Mapping[str, str], marks: Mapping[str, MarkState]) -> bool:
    wanted = query.get("show", "")
    return (
        query.get("label", "") in ("", row["label"])
        and query.get("split", "") in ("", row["split"])
        and (not query.get("reason") or query["reason"] in row["reasons"])
        and (wanted != "undecided" or row["sha256"] not in marks)
        and (wanted != "marked" or row["sha256"] in marks)
    )


# -- suggestions -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Suggested:
    """Of the undecided pictures that fit the filters: how many would be deleted and relabelled if all suggestions
    were taken, and how many that would leave to a person."""

    delete: int
    relabel: int
    left: int

    @property
    def all(self) -> int:
        return self.delete + self.relabel


def suggested(
    batch: Batch, query: Mapping[str, str], marks: Mapping[str, MarkState]
) -> tuple[Suggested, list[Mark]]:
    """What taking all suggestions would do, and the marks that do it. Whether a picture is marked is no filter here."""
    wanted = _suggestions(batch.folder, tuple(query.get(k, "") for k in ("label", "split", "reason")))
    undecided = [m for sha, m in wanted.items() if sha not in marks]
    found = [m for m in undecided if m.action in (Action.DELETE, Action.RELABEL)]
    deleted = sum(m.action == Action.DELETE for m in found)
    return Suggested(deleted, len(found) - deleted, len(undecided) - len(found)), found


@functools.lru_cache(maxsize=32)
def _suggestions(folder: Path, filters: tuple[str, ...]) -> dict[str, Mark]:
    query = dict(zip(("label", "split", "reason"), filters, strict=True))
    return {
        r["sha256"]: Mark(r["sha256"], Action(r["suggestion"]), r["suggested_label"])
        for r in _read_rows(folder)
        if _fits(r, query, {})
    }


def tile_size(wanted: str) -> int:
    """The size that a browser remembers, or the usual one."""
    return int(wanted) if wanted in map(str, SIZES) else _USUAL_SIZE


# -- facts of pictures -----------------------------------------------------------------------------

_IMAGE = ("sha256", "width", "height", "bytes", "format", "url", "landing_page", "license", "creator")
_ROW = ("sha256", "label", "split", "active", "dup_of")


def facts(batch: Batch) -> dict[str, Row]:
    """By sha256, of the batch's images and their duplicates: size, format and source, and how they stand in the
    current revision (label, split, active)."""
    ws = batch.ws
    revision = (ws.revisions() or [0])[-1]
    try:
        stamp = ws.images.stat().st_mtime_ns
    except FileNotFoundError:
        return {}
    return _read_facts(ws, batch.folder / "candidates.parquet", batch.markable(), revision, stamp)


@functools.lru_cache(maxsize=4)
def _read_facts(
    ws: Workspace, _batch: Path, wanted: frozenset[str], revision: int, _stamp: int
) -> dict[str, Row]:
    found: dict[str, Row] = {}
    try:
        for path, schema, columns in (
            (ws.images, "images", _IMAGE),
            (ws.dataset(revision), "dataset", _ROW),
        ):
            for row in manifests.picked(path, schema, columns, wanted):
                found.setdefault(row["sha256"], {}).update(row)
    except ManifestError:
        return {}
    return found


def group_of(batch: Batch, sha: str) -> list[str]:
    """A candidate and the other members of its duplicate group, the one that is kept first."""
    row = next((r for r in rows(batch) if r["sha256"] == sha), None)
    if row is None:
        return []
    known = facts(batch)
    members = [sha, *row["group_members"]]
    return sorted(members, key=lambda s: (known.get(s, {}).get("dup_of") is not None, _pixels(known, s), s))


def _pixels(known: Mapping[str, Row], sha: str) -> int:
    fact = known.get(sha, {})
    return -(fact.get("width") or 0) * (fact.get("height") or 0)
