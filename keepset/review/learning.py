"""What the marks of a batch teach about the pictures that nobody has marked yet.

A Bayesian logistic regression on the pictures' features (``similar``) and on the reasons for which they are shown. Its
offset is ``PRIOR`` times the log-odds of the candidate's score, so that before the first mark it says what the review says.
*Delete* teaches that such pictures are to go, *keep* that they stay. Two kinds of marks teach nothing: a relabelled picture is
a good one of another class, and a copy goes because of the other copy. The weights have a normal prior, and the mode of
their distribution is found by Newton's method (Rasmussen & Williams 2006, ch. 3.4). It depends on the marks alone: not on
their sequence, nor on who made them.

``PRIOR``, ``FEATURES`` and ``REASONS`` were chosen on planted web noise with several seeds and on labelled photos
(``bench/review/usability.py``).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keepset.reasons import Action, CandidateReason
from keepset.review.batch import Batch, load_batch
from keepset.review.log import MarkState
from keepset.review.similar import Space, space_of
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

__all__ = ["learnt_odds"]

PRIOR = 0.5
"""What the log-odds of the score count: less than 1, because the review is surer of itself than people's marks bear out."""
FEATURES, REASONS = 16.0, 0.25
"""Variance of the weights of features of length one, and of the reasons."""
LEAST = 1e-3
"""Scores count between this and 1 - this."""
_STEPS, _HALVINGS = 8, 10
_COPIES = frozenset({CandidateReason.EXACT_DUPLICATE, CandidateReason.NEAR_DUPLICATE})


def learnt_odds(batch: Batch, marks: Mapping[str, MarkState]) -> Floats | None:
    """Log-odds that a person would change each candidate, [candidates] by rank, after these marks; None if they teach
    nothing, or if the features are gone."""
    from threadpoolctl import threadpool_limits

    taught = [(s, m.action == Action.DELETE) for s, m in marks.items() if m.action != Action.RELABEL]
    if not taught or (space := space_of(batch)) is None:
        return None
    known = _known(batch.ws, batch.id)
    ranks = batch.ranks([s for s, _ in taught])
    bad = np.array([b for _, b in taught], bool)
    counts = (ranks >= 0) & ~(bad & known.copy[ranks])
    if not counts.any():
        return None
    ranks, bad = ranks[counts], bad[counts]
    place = np.argsort(ranks)  # sums in one order, whatever the order of the marks
    ranks, bad = ranks[place], bad[place]
    rows = np.hstack([np.sqrt(FEATURES) * space.of(ranks), np.sqrt(REASONS) * known.reasons[ranks]])
    with threadpool_limits(1, user_api="blas"):  # so small that cores would only wait for each other
        weight = fitted(rows.astype(np.float64), known.offset[ranks], bad)
        features, reasons = np.split(weight, [space.rows.shape[1]])
        odds: Floats = known.offset + np.sqrt(REASONS) * (known.reasons @ reasons)
        odds += np.sqrt(FEATURES) * _projected(space, features)
    return odds


def fitted(rows: Floats, offset: Floats, bad: Bools) -> Floats:
    """The mode of the weights [d] of a logistic regression of ``bad`` on ``rows`` [n, d] beside ``offset`` [n], each weight
    with the prior N(0, 1)."""
    weight = np.zeros(rows.shape[1])
    cost = _cost(rows, offset, bad, weight)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(offset + rows @ weight, -30, 30)))
        curve = chance * (1 - chance)
        slope = rows.T @ (chance - bad) + weight
        step = np.linalg.solve((rows.T * curve) @ rows + np.eye(len(weight)), slope)
        share = next(
            (s for s in 0.5 ** np.arange(_HALVINGS) if _cost(rows, offset, bad, weight - s * step) < cost),
            0.0,
        )
        weight = weight - share * step
        before, cost = cost, _cost(rows, offset, bad, weight)
        if before - cost < 1e-6 * before:
            break
    return weight


def _cost(rows: Floats, offset: Floats, bad: Bools, weight: Floats) -> float:
    odds = offset + rows @ weight
    return float(np.logaddexp(0, np.where(bad, -odds, odds)).sum() + weight @ weight / 2)


def _projected(space: Space, weight: Floats) -> Floats:
    """The dot product of each candidate's features with ``weight``; 0 where they are not known."""
    of_rows = (space.rows @ weight.astype(np.float32)).astype(np.float64)
    return np.where(space.places >= 0, of_rows[space.places], 0.0)


@dataclass(frozen=True)
class _Known:
    """By rank: what the score counts, the reasons (0 or 1 each), and whether it is shown as a copy of another picture."""

    offset: Floats
    reasons: npt.NDArray[np.float32]
    copy: Bools


@functools.lru_cache(maxsize=4)
def _known(ws: Workspace, batch_id: str) -> _Known:
    """Candidates are immutable, so a cache cannot go stale."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = load_batch(ws, batch_id).rows().table
    chance = np.clip(np.asarray(table["score"], np.float64), LEAST, 1 - LEAST)
    lists, names = table["reasons"].combine_chunks(), list(CandidateReason)
    matrix = np.zeros((len(chance), len(names)), np.float32)
    reason = pc.index_in(lists.flatten(), value_set=pa.array(map(str, names)))
    matrix[np.asarray(pc.list_parent_indices(lists)), np.asarray(reason)] = 1
    copy: Bools = matrix[:, [names.index(r) for r in _COPIES]].max(axis=1) > 0
    return _Known(PRIOR * np.log(chance / (1 - chance)), matrix, copy)
