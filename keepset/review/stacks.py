"""Groups of proposed pictures that look alike, to decide on in one go. Pictures that nothing speaks against are not grouped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from keepset.machine.remembered import remembered
from keepset.reasons import CandidateReason
from keepset.review.batch import Batch, load_batch
from keepset.review.similar import space_of
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FEWEST", "Stack", "stacks_of"]

ALIKE = 0.35
"""Mean likeness of the pictures of a stack, at least."""
FEWEST = 3
"""Pictures in a stack."""
MOST = 2000
"""Candidates that are grouped, the likeliest trouble first: the time grows with their square."""
MAIN = 0.6
"""A stack is named by what so large a share of its pictures have in common."""

Thing = TypeVar("Thing", bound=Hashable)


@dataclass(frozen=True)
class Stack:
    """``ranks`` of the candidates, ascending; the ``reason`` for which most of them are shown, and, if they look like another
    class than their own, that class; None if they have nothing in common."""

    ranks: tuple[int, ...]
    reason: CandidateReason | None
    looks_like: str | None


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
    return Stack(tuple(ranks), CandidateReason(reason) if reason else None, looks if of_label else None)


def _common(values: Sequence[Thing]) -> Thing | None:
    """What at least ``MAIN`` of the values are, or None."""
    value, count = Counter(values).most_common(1)[0]
    return value if count >= MAIN * len(values) else None
