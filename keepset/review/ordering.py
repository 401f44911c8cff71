"""In which order the candidates of a batch are shown, and in which groups. Pure functions of the batch and its marks: two people
with the same marks see the same order, and undoing a mark undoes what it taught."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from keepset import manifests
from keepset.review.batch import Batch, load_batch
from keepset.review.learning import learnt_odds
from keepset.review.log import MarkState
from keepset.review.similar import likeness, space_of
from keepset.review.stacks import Stack, stacks_of
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Singles = npt.NDArray[np.float32]

__all__ = ["Group", "Sort", "grouped", "like", "ordered"]


class Sort(StrEnum):
    LEARNED = "learned"  # what is decided, then the rest by what the marks teach
    SUSPICION = "suspicion"  # as the review proposed them
    ALIKE = "alike"  # stacks of pictures that look alike, then the others
    CLASS = "class"
    SOURCE = "source"  # the host or folder that the picture comes from


@dataclass(frozen=True)
class Group:
    """Candidates that stand together (``ranks``, in their order): a ``stack``, or those of one class or source (``name``)."""

    ranks: tuple[int, ...]
    name: str = ""
    stack: Stack | None = None


def ordered(batch: Batch, marks: Mapping[str, MarkState], sort: Sort) -> Ints:
    """The ranks of all candidates in this order."""
    every = np.arange(batch.candidates().header.rows)
    if sort == Sort.LEARNED:
        return _learned(batch, marks, every)
    if sort == Sort.SUSPICION:
        return every
    placed = np.array([rank for g in grouped(batch, sort) for rank in g.ranks], np.int64)
    return np.concatenate([placed, np.setdiff1d(every, placed)])


def _learned(batch: Batch, marks: Mapping[str, MarkState], every: Ints) -> Ints:
    """Decided ones first, so that their pages stay as they were; then the others, the likeliest trouble first."""
    ranks = batch.ranks(list(marks))
    decided = np.sort(ranks[ranks >= 0])
    rest = np.setdiff1d(every, decided)
    odds = learnt_odds(batch, marks)
    if odds is not None:
        rest = rest[np.lexsort((rest, -np.round(odds[rest], 6)))]
    return np.concatenate([decided, rest])


def grouped(batch: Batch, sort: Sort) -> Sequence[Group]:
    """The groups of an order that has any: stacks of look-alikes, classes, or sources. Marks change nothing."""
    if sort == Sort.ALIKE:
        return [Group(s.ranks, stack=s) for s in stacks_of(batch)]
    return _by_name(batch.ws, batch.id, sort) if sort in (Sort.CLASS, Sort.SOURCE) else ()


@functools.lru_cache(maxsize=8)
def _by_name(ws: Workspace, batch_id: str, sort: Sort) -> tuple[Group, ...]:
    """The largest group first for sources, by name for classes."""
    batch = load_batch(ws, batch_id)
    names = batch.candidates().table["label"].to_pylist() if sort == Sort.CLASS else _sources(batch)
    found: dict[str, list[int]] = {}
    for rank, name in enumerate(names):
        found.setdefault(name, []).append(rank)
    names = sorted(found, key=lambda n: (-len(found[n]) if sort == Sort.SOURCE else 0, n))
    return tuple(Group(tuple(found[n]), n) for n in names)


def _sources(batch: Batch) -> list[str]:
    shas = batch.candidates().table["sha256"].to_pylist()
    urls = manifests.picked(batch.ws.images, "images", ("sha256", "url"), shas)
    of = {r["sha256"]: _place(r["url"] or "") for r in urls}
    return [of.get(s, "") for s in shas]


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
