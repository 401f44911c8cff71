"""How many decisions find what is bad, in the order of the review and in the order that learns from each decision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.review.truth import Standing
from keepset.reasons import Action
from keepset.review import Batch, MarkState
from keepset.review.ordering import Sort, ordered

__all__ = ["SHARES", "Decisions", "decisions"]

SHARES = (0.8, 0.9, 1.0)
KINDS_RELABELLED = ("swap",)
"""Kinds of wrong pictures that a person relabels; the others are deleted."""


@dataclass(frozen=True)
class Decisions:
    """Decisions until each of ``SHARES`` of the bad pictures is found."""

    name: str
    images: int
    bad: int
    plain: tuple[int, ...]
    learning: tuple[int, ...]


def decisions(name: str, batch: Batch, said: Standing, *, at_once: int = 1) -> Decisions:
    """``at_once``: pictures that are decided before the order is asked again, as those on a screen are."""
    shas = batch.rows().table["sha256"].to_pylist()
    wanted = [math.ceil(share * len(said.bad)) for share in SHARES]
    orders = (_found(batch, shas, said, sort, max(wanted), at_once) for sort in (Sort.SUSPICION, Sort.LEARNED))
    plain, learning = (tuple(at[n - 1] for n in wanted) for at in orders)
    return Decisions(name, len(shas) - len(said.ignored), len(said.bad), plain, learning)


def _found(batch: Batch, shas: list[str], said: Standing, sort: Sort, wanted: int, at_once: int) -> list[int]:
    """The number of the decision that finds each bad picture. What the labellers were not sure of is passed over."""
    marks: dict[str, MarkState] = {}
    found: list[int] = []
    while len(found) < wanted:
        order = (shas[r] for r in ordered(batch, marks, sort))
        screen = [s for s in order if s not in marks and s not in said.ignored][:at_once]
        for sha in screen:
            marks[sha] = MarkState(_action(sha, said.bad), None, "reviewer", "")
            if sha in said.bad:
                found.append(len(marks))
    return found


def _action(sha: str, bad: Mapping[str, str]) -> Action:
    if sha not in bad:
        return Action.KEEP
    return Action.RELABEL if bad[sha] in KINDS_RELABELLED else Action.DELETE
