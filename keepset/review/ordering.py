"""In which order the candidates of a batch are shown, and in which groups. Pure functions of the batch and its marks: two people
with the same marks see the same order, and undoing a mark undoes what it taught."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import numpy as np

from keepset.machine.remembered import remembered
from keepset.reasons import CandidateReason
from keepset.review.batch import Batch, load_batch
from keepset.review.learning import learnt_odds
from keepset.review.log import MarkState
from keepset.review.rows import read_rows
from keepset.review.similar import likeness, space_of
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    Ints = npt.NDArray[np.int64]
    Singles = npt.NDArray[np.float32]

__all__ = ["ALIKE", "FEWEST", "Group", "Sort", "Stack", "grouped", "like", "ordered", "stacks_of"]


ALIKE = 0.35
"""Mean likeness of the pictures of a stack, at least."""
FEWEST = 3
"""Pictures in a stack."""
MOST = 2000
"""Candidates that are grouped, the likeliest trouble first: the time grows with their square."""
MAIN = 0.6
"""A stack is named by what so large a share of its pictures have in common."""

Thing = TypeVar("Thing", bound=Hashable)


class Sort(StrEnum):
    LEARNED = "learned"  # what is decided, then the rest by what the marks teach
    SUSPICION = "suspicion"  # as the review proposed them
    ALIKE = "alike"  # stacks of pictures that look alike, then the others
    CLASS = "class"
    SOURCE = "source"  # the host or folder that the picture comes from


@dataclass(frozen=True)
class Stack:
    """``ranks`` of the candidates, ascending; the ``reason`` for which most of them are shown (in a batch of an earlier version
    perhaps one that is no ``CandidateReason`` any more), and, if they look like another class than their own, that class; None
    if they have nothing in common."""

    ranks: tuple[int, ...]
    reason: str | None
    looks_like: str | None


@dataclass(frozen=True)
class Group:
    """``size`` candidates that stand together: a ``stack``, or those of one class or source (``name``). Of the sources the
    largest comes first."""

    size: int
    name: str = ""
    stack: Stack | None = None


def ordered(batch: Batch, marks: Mapping[str, MarkState], sort: Sort) -> Ints:
    """The ranks of all candidates in this order."""
    if sort == Sort.LEARNED:
        return _learned(batch, marks)
    groups, of = grouped(batch, sort)
    return np.argsort(np.where(of < 0, len(groups), of), kind="stable")


def _learned(batch: Batch, marks: Mapping[str, MarkState]) -> Ints:
    """Decided ones first, so that their pages stay as they were; then the others, the likeliest trouble first."""
    ranks = batch.ranks(list(marks))
    decided = np.sort(ranks[ranks >= 0])
    rest = np.setdiff1d(np.arange(len(batch.rows())), decided)
    odds = learnt_odds(batch, marks)
    if odds is not None:
        moves = ~np.isin(rest, batch.ranks(list(batch.drawn())))  # random looks stay where they were mixed in
        sorts = rest[moves]
        rest[moves] = sorts[np.lexsort((sorts, -np.round(odds[sorts], 6)))]
    return np.concatenate([decided, rest])


def grouped(batch: Batch, sort: Sort) -> tuple[Sequence[Group], Ints]:
    """The groups of an order that has any (stacks of look-alikes, classes, or sources), and the number of the group of each
    candidate, [candidates] by rank, -1 for none. Marks change nothing."""
    return _grouped(batch.ws, batch.id, sort)


@remembered(8)
def _grouped(ws: Workspace, batch_id: str, sort: Sort) -> tuple[Sequence[Group], Ints]:
    """Candidates are immutable, so a cache cannot go stale."""
    batch = load_batch(ws, batch_id)
    if sort == Sort.ALIKE:
        stacks = stacks_of(batch)
        of = np.full(len(batch.rows()), len(stacks))
        for number, stack in enumerate(stacks):
            of[list(stack.ranks)] = number
        others = Group(int((of == len(stacks)).sum()), "not in a stack")
        return [*(Group(len(s.ranks), stack=s) for s in stacks), others], of
    if sort in (Sort.CLASS, Sort.SOURCE):
        names = batch.rows().table["label"].to_pylist() if sort == Sort.CLASS else _sources(batch)
        counts = Counter(names)
        known = sorted(counts, key=lambda n: (-counts[n] if sort == Sort.SOURCE else 0, n))
        number_of = {name: i for i, name in enumerate(known)}
        return [Group(counts[n], n) for n in known], np.array([number_of[n] for n in names], np.int64)
    return (), np.full(len(batch.rows()), -1)


def _sources(batch: Batch) -> list[str]:
    shas = batch.rows().table["sha256"].to_pylist()
    known = read_rows(batch.ws.images, "images", ("sha256", "url"), shas)
    urls = [_place(url or "") for url in known.table["url"].to_pylist()]
    return [urls[p] if p >= 0 else "" for p in known.places(shas).tolist()]


def _place(url: str) -> str:
    """The host of a picture from the web; of a local one its folder, and the one that holds it."""
    parts = urlsplit(url)
    return parts.hostname or "/".join(parts.path.split("/")[-3:-1])


def like(batch: Batch, shas: Sequence[str]) -> tuple[Ints, Singles]:
    """Ranks of all candidates, the most like one of ``shas`` (candidates) first, and how like each is, from -1 to 1.

    The pictures themselves come first, with 1. Empty if nothing is known of their looks.
    """
    space = space_of(batch)
    examples = batch.ranks(shas)
    examples = examples[examples >= 0]
    if space is None or not (space.places[examples] >= 0).any():
        return np.empty(0, np.int64), np.empty(0, np.float32)
    found = likeness(space, examples)
    found[examples] = 1.0
    order = np.lexsort((np.arange(len(found)), -found))
    return order, found[order]


# -- stacks: proposed pictures that look alike, to decide on in one go --------------------------------------


def stacks_of(batch: Batch) -> tuple[Stack, ...]:
    """The stack with the most suspicious picture first; none if the model's features are gone. Marks change nothing."""
    return _stacks(batch.ws, batch.id)


@remembered(4)
def _stacks(ws: Workspace, batch_id: str) -> tuple[Stack, ...]:
    """Candidates are immutable, so a cache cannot go stale."""
    from scipy.cluster.hierarchy import fcluster, linkage

    batch = load_batch(ws, batch_id)
    space = space_of(batch)
    if space is None:
        return ()
    unproposed = batch.ranks(list(batch.unproposed()))
    known = space.places >= 0
    known[unproposed] = False
    ranks = np.flatnonzero(known)[:MOST]
    if len(ranks) < FEWEST:
        return ()
    numbers = fcluster(linkage(space.of(ranks), "average", metric="cosine"), 1 - ALIKE, "distance")
    members: dict[int, list[int]] = {}
    for rank, number in zip(ranks.tolist(), numbers.tolist(), strict=True):
        members.setdefault(number, []).append(rank)
    table = batch.candidates().table
    return tuple(_named(table, m) for m in sorted(members.values()) if len(m) >= FEWEST)


def _named(table: pa.Table, ranks: list[int]) -> Stack:
    rows = table.select(["reasons", "label", "predicted"]).take(ranks).to_pylist()
    reason = _common([r["reasons"][0] for r in rows])
    looks = _common([r["predicted"] if r["predicted"] != r["label"] else None for r in rows])
    of_label = reason == CandidateReason.LABEL_ISSUE
    return Stack(tuple(ranks), reason, looks if of_label else None)


def _common(values: Sequence[Thing]) -> Thing | None:
    """What at least ``MAIN`` of the values are, or None."""
    value, count = Counter(values).most_common(1)[0]
    return value if count >= MAIN * len(values) else None
