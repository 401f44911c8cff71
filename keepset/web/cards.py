"""What the gallery shows of a batch: which pictures, in which order, on which page, and the facts about them.

A batch may hold every image, so candidates stay columns; only those of a page become rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.errors import ManifestError
from keepset.machine.remembered import remembered
from keepset.reasons import Action
from keepset.review import Batch, Mark, MarkState
from keepset.review.ordering import Group, Sort, grouped, like, ordered
from keepset.review.rows import Rows, read_rows
from keepset.web.pages import number
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

__all__ = [
    "FEW",
    "LIKE_PAGE",
    "PAGE",
    "SIZES",
    "Head",
    "Page",
    "Suggested",
    "facts",
    "group_of",
    "marks_suggested",
    "page_of",
    "suggested",
    "tile_size",
    "values_of",
]

FEW = 9
"""Up to so many classes each has a button and a digit; beyond, the class is typed."""
PAGE = 120
"""Pictures per page: enough to scroll through, few enough to draw at once."""
LIKE_PAGE = 240
"""Of pictures that are like one, or in stacks: more, since several of them are decided at once."""
EXAMPLES = 50
"""Pictures that others may be like, at most: their addresses stand in the page's own."""
SIZES = range(1, 8)
"""Tile sizes, the smallest first; ``batch.css`` says how wide each is."""
_USUAL_SIZE = 3
NARROWING = ("label", "split", "reason", "show")
FILTERS = (*NARROWING, "sort", "like")

Facts = dict[str, Any]


@dataclass(frozen=True)
class Head:
    """A group that begins on a page: its whole size, and its pictures that are on this page."""

    group: Group
    shas: Sequence[str]


@dataclass(frozen=True)
class Page:
    """One page of the pictures that fit the filters. ``focus`` is the image to begin at, or "". ``heads`` goes by the
    image that a group begins with; ``likeness`` (by image) is empty unless pictures like ``examples`` were asked for."""

    rows: Sequence[Facts]
    found: int
    number: int
    pages: int
    focus: str
    filters: Mapping[str, str]
    sort: Sort
    heads: Mapping[str, Head]
    examples: Sequence[str]
    likeness: Mapping[str, float]

    @property
    def narrowed(self) -> bool:
        """Whether some pictures are left out."""
        return any(self.filters.get(k) for k in NARROWING)

    def near(self) -> Iterator[int]:
        """Page numbers worth a link: the first, the last, and those around; 0 stands for a gap."""
        shown = {1, self.pages, *range(self.number - 2, self.number + 3)}
        before = 0
        for n in sorted(n for n in shown if 1 <= n <= self.pages):
            if n - before > 1:
                yield 0
            yield n
            before = n


def page_of(
    batch: Batch, query: Mapping[str, str], marks: Mapping[str, MarkState], without: Sequence[str] = ()
) -> Page:
    """The page that ``query`` asks for: by ``page``, else that of the rank ``at``, or of the first undecided picture
    after the rank ``next`` (round the end); without these, in the order that learns, that of the first undecided.

    What makes no sense in ``query`` counts as not given. ``without``: images that are on the screen already.
    """
    filters = {k: query[k] for k in FILTERS if query.get(k)}
    sort = Sort(filters["sort"]) if filters.get("sort") in set(Sort) else Sort.LEARNED
    decided = batch.rows().among(marks)
    order, examples, how = _order(batch, filters, marks, sort)
    fits = _fits(batch, filters, decided) & ~batch.rows().among(without)
    shown = order[fits[order]]
    size = LIKE_PAGE if examples or sort == Sort.ALIKE else PAGE
    pages = max(1, -(-len(shown) // size))
    place = _place(shown, query, decided, sort)
    begin = place if place is not None else _first_left(shown, decided) if sort == Sort.LEARNED else 0
    current = min(max(1, number(query.get("page", "")) or 1 + begin // size), pages)
    ranks = shown[(current - 1) * size : current * size]
    rows = batch.rows().at(ranks)
    focus = examples[0] if examples else ""
    if place is not None:
        focus = batch.rows().at([shown[place]])[0]["sha256"]
    likeness = {r["sha256"]: round(float(how[r["rank"]]), 3) for r in rows} if examples else {}
    heads = {} if examples else _heads(batch, sort, rows)
    return Page(rows, len(shown), current, pages, focus, filters, sort, heads, examples, likeness)


def _order(
    batch: Batch, filters: Mapping[str, str], marks: Mapping[str, MarkState], sort: Sort
) -> tuple[Ints, list[str], npt.NDArray[np.float32]]:
    """Ranks in their order, the pictures that they are to be like, and how like each rank is."""
    asked = [s for s in filters.get("like", "").split(",")[:EXAMPLES] if s in batch.rows()]
    order, how = like(batch, asked) if asked else (np.empty(0, np.int64), np.empty(0, np.float32))
    if not len(order):
        return ordered(batch, marks, sort), [], how
    by_rank = np.empty_like(how)
    by_rank[order] = how
    return order, asked, by_rank


def _heads(batch: Batch, sort: Sort, rows: Sequence[Facts]) -> dict[str, Head]:
    """The groups that begin on a page, or go on from the page before."""
    groups, of = grouped(batch, sort)
    members: dict[int, list[str]] = {}
    for row in rows if groups else ():
        if (group := int(of[row["rank"]])) >= 0:
            members.setdefault(group, []).append(row["sha256"])
    return {shas[0]: Head(groups[i], shas) for i, shas in members.items()}


def _place(shown: Ints, query: Mapping[str, str], decided: Mask, sort: Sort) -> int | None:
    """In an order that marks change, the next undecided picture is the first of them, not the one behind another."""
    after, at = number(query.get("next", "")), number(query.get("at", ""))
    if after is not None:
        left = np.flatnonzero(~decided[shown])
        behind = np.flatnonzero(shown == after)
        later = left[left > behind[0]] if len(behind) and sort != Sort.LEARNED else left
        return int((later if len(later) else left)[0]) if len(left) else None
    if at is not None and len(shown):
        there = np.flatnonzero(shown == at)
        return int(there[0]) if len(there) else int(np.argmin(np.abs(shown - at)))
    return None


def _first_left(shown: Ints, decided: Mask) -> int:
    """The place of the first undecided picture, or 0."""
    left = np.flatnonzero(~decided[shown])
    return int(left[0]) if len(left) else 0


def _fits(batch: Batch, filters: Mapping[str, str], decided: Mask) -> Mask:
    found, shown = _of_kind(batch.rows(), filters), filters.get("show")
    return found & (decided if shown == "marked" else ~decided) if shown in ("marked", "undecided") else found


def _of_kind(rows: Rows, filters: Mapping[str, str]) -> Mask:
    """Which candidates have the label, the split and the reason asked for."""
    import pyarrow.compute as pc

    found = np.ones(len(rows), bool)
    for column in ("label", "split"):
        if wanted := filters.get(column):
            found &= _is(rows, column, wanted)
    if reason := filters.get("reason"):
        lists = rows.table["reasons"].combine_chunks()
        has = np.asarray(pc.list_parent_indices(lists))[np.asarray(pc.equal(lists.flatten(), reason))]
        found &= np.isin(np.arange(len(rows)), has)
    return found


def _is(rows: Rows, column: str, value: str) -> Mask:
    import pyarrow.compute as pc

    return np.asarray(pc.equal(rows.table[column], value))


def values_of(batch: Batch, column: str) -> list[str]:
    """What stands in a column of the candidates, each once, sorted."""
    return sorted(batch.rows().table[column].unique().to_pylist())


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


def suggested(batch: Batch, query: Mapping[str, str], marks: Mapping[str, MarkState]) -> Suggested:
    """What taking all suggestions would do. Whether a picture is marked is no filter here."""
    delete, relabel, undecided = (int(mask.sum()) for mask in _asked(batch, query, marks))
    return Suggested(delete, relabel, undecided - delete - relabel)


def marks_suggested(batch: Batch, query: Mapping[str, str], marks: Mapping[str, MarkState]) -> list[Mark]:
    """The marks that take all suggestions of ``suggested``."""
    delete, relabel, _ = _asked(batch, query, marks)
    rows = batch.rows().at(np.flatnonzero(delete | relabel))
    return [Mark(r["sha256"], Action(r["suggestion"]), r["suggested_label"]) for r in rows]


def _asked(batch: Batch, query: Mapping[str, str], marks: Mapping[str, MarkState]) -> tuple[Mask, Mask, Mask]:
    """Of the undecided candidates that fit the filters: those to delete, those to relabel to what still is a class, and all."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = batch.rows()
    left = _of_kind(rows, query) & ~rows.among(marks)
    known = np.asarray(pc.is_in(rows.table["suggested_label"], pa.array(batch.labels, pa.string())))
    return left & _is(rows, "suggestion", Action.DELETE), left & _is(rows, "suggestion", Action.RELABEL) & known, left


def tile_size(wanted: str) -> int:
    """The size that a browser remembers, or the usual one."""
    return int(wanted) if wanted in map(str, SIZES) else _USUAL_SIZE


# -- facts of pictures -----------------------------------------------------------------------------

_IMAGE = ("sha256", "width", "height", "bytes", "format", "url", "landing_page", "license", "creator")
_ROW = ("sha256", "label", "split", "active", "dup_of")


def facts(batch: Batch, rows: Sequence[Facts]) -> dict[str, Facts]:
    """By sha256, of the images in ``rows`` and their duplicates: size, format and source, and how they stand in the
    current revision (label, split, active)."""
    ws = batch.ws
    revision = (ws.revisions() or [0])[-1]
    shas = [s for r in rows for s in (r["sha256"], *r["group_members"])]
    found: dict[str, Facts] = {}
    try:
        stamp = ws.images.stat().st_mtime_ns
        for known in _tables(ws, batch.folder, revision, stamp, batch.markable()):
            for row in known.at([p for p in known.places(shas) if p >= 0]):
                found.setdefault(row["sha256"], {}).update(row)
    except (FileNotFoundError, ManifestError):
        return {}
    return found


@remembered(4)
def _tables(ws: Workspace, _batch: Path, revision: int, _stamp: int, wanted: frozenset[str]) -> tuple[Rows, ...]:
    from pyarrow import default_memory_pool

    found = (read_rows(ws.images, "images", _IMAGE, wanted), read_rows(ws.dataset(revision), "dataset", _ROW, wanted))
    default_memory_pool().release_unused()  # what decoding took
    return found


def group_of(batch: Batch, sha: str) -> list[str]:
    """A candidate and the other members of its duplicate group, the one that is kept first."""
    row = batch.rows().get(sha)
    if row is None:
        return []
    known = facts(batch, [row])
    members = [sha, *row["group_members"]]
    return sorted(members, key=lambda s: (known.get(s, {}).get("dup_of") is not None, _pixels(known, s), s))


def _pixels(known: Mapping[str, Facts], sha: str) -> int:
    fact = known.get(sha, {})
    return -(fact.get("width") or 0) * (fact.get("height") or 0)
