"""What the marks of a batch teach about the pictures that nobody has marked yet.

A Bayesian logistic regression on the pictures' features (``similar``) and on the reasons for which they are shown. Its
offset is ``PRIOR`` times the log-odds of the candidate's score, so that before the first mark it says what the review says.
*Delete* teaches that such pictures are to go, *keep* that they stay. A relabelled picture is a good one of another class: it
teaches about reasons and about what speaks for the own class, not about looks. A copy that is deleted
teaches nothing, because it goes for the sake of the other copy. The weights have a normal prior, and the mode of
their distribution is taken. It depends on the marks alone: not on their sequence, nor on who made them.

``PRIOR`` and the variances were chosen on planted web noise with several seeds and on labelled photos
(``bench/review/usability.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keepset import manifests
from keepset.errors import ManifestError
from keepset.machine.remembered import remembered
from keepset.models.features import ModelFeatures
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

PRIOR = 0.35
"""What the log-odds of the score count: less than 1, because the review is surer of itself than people's marks bear out."""
FEATURES, REASONS, CLASS = 16.0, 0.25, 0.5
"""Variance of the weights of features of length one, of the reasons, and of what speaks for the own class: how like its pictures
one is, and how probable it is to the model."""
FAINT = 1e-4
"""Least probability of the given class that makes a difference."""
LEAST = 1e-3
"""Scores count between this and 1 - this."""
_COPIES = frozenset({CandidateReason.EXACT_DUPLICATE, CandidateReason.NEAR_DUPLICATE})


def learnt_odds(batch: Batch, marks: Mapping[str, MarkState]) -> Floats | None:
    """Log-odds that a person would change each candidate, [candidates] by rank, after these marks; None if they teach
    nothing, or if the features are gone."""
    from threadpoolctl import threadpool_limits

    if not marks or (space := space_of(batch)) is None:
        return None
    known = _known(batch.ws, batch.id)
    said = list(marks.values())
    ranks = batch.ranks(list(marks))
    bad = np.array([m.action != Action.KEEP for m in said], bool)
    relabelled = np.array([m.action == Action.RELABEL for m in said], bool)
    counts = np.flatnonzero((ranks >= 0) & (relabelled | ~(bad & known.copy[ranks])))
    if not len(counts):
        return None
    counts = counts[np.argsort(ranks[counts])]  # sums in one order, whatever the order of the marks
    ranks, bad, relabelled = ranks[counts], bad[counts], relabelled[counts]
    features = np.where(relabelled[:, None], 0, np.sqrt(FEATURES) * space.of(ranks))
    rows = np.hstack([features, known.columns[ranks]]).astype(np.float64)
    with threadpool_limits(1, user_api="blas"):  # so small that cores would only wait for each other
        weight = fitted(rows, known.offset[ranks], bad)
        of_features, of_columns = np.split(weight, [space.rows.shape[1]])
        odds: Floats = known.offset + known.columns @ of_columns
        odds += np.sqrt(FEATURES) * _projected(space, of_features)
    return odds


def fitted(rows: Floats, offset: Floats, bad: Bools) -> Floats:
    """The mode of the weights [d] of a logistic regression of ``bad`` on ``rows`` [n, d] beside ``offset`` [n], each weight
    with the prior N(0, 1)."""
    from scipy.optimize import minimize
    from scipy.special import expit

    sign = np.where(bad, -1.0, 1.0)

    def cost(weight: Floats) -> tuple[float, Floats]:
        odds = sign * (offset + rows @ weight)
        return float(np.logaddexp(0, odds).sum() + weight @ weight / 2), rows.T @ (sign * expit(odds)) + weight

    found: Floats = minimize(cost, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B").x
    return found


def _projected(space: Space, weight: Floats) -> Floats:
    """The dot product of each candidate's features with ``weight``; 0 where they are not known."""
    of_rows = (space.rows @ weight.astype(np.float32)).astype(np.float64)
    return np.where(space.places >= 0, of_rows[space.places], 0.0)


@dataclass(frozen=True)
class _Known:
    """By rank: what the score counts, whether it is shown as a copy of another picture, and, scaled to their variances, the
    reasons and what speaks for the own class, [candidates, columns]."""

    offset: Floats
    copy: Bools
    columns: Floats


@remembered(4)
def _known(ws: Workspace, batch_id: str) -> _Known:
    """Candidates are immutable, so a cache cannot go stale."""
    import pyarrow as pa
    import pyarrow.compute as pc

    batch = load_batch(ws, batch_id)
    table = batch.rows().table
    chance = np.clip(np.asarray(table["score"], np.float64), LEAST, 1 - LEAST)
    lists, names = table["reasons"].combine_chunks(), list(CandidateReason)
    reasons = np.zeros((len(chance), len(names)))
    reason = pc.index_in(lists.flatten(), value_set=pa.array(map(str, names)))
    known = np.asarray(pc.is_valid(reason))  # a batch of an earlier version may have others
    reasons[np.asarray(pc.list_parent_indices(lists))[known], np.asarray(reason.drop_null())] = 1
    copy: Bools = reasons[:, [names.index(r) for r in _COPIES]].max(axis=1) > 0
    given = _standard(np.log(np.maximum(np.asarray(table["given_probability"], np.float64), FAINT)))
    own = np.sqrt(CLASS) * np.stack([_own_class(batch), given], axis=1)
    columns = np.hstack([np.sqrt(REASONS) * reasons, own])
    return _Known(PRIOR * np.log(chance / (1 - chance)), copy, columns)


def _own_class(batch: Batch) -> Floats:
    """How like the other pictures of its class each candidate is, in standard deviations of all candidates, [candidates]; 0
    where the features are not known. The class is that under which the model was trained."""
    space = space_of(batch)
    if space is None:
        return np.zeros(len(batch.rows()))
    path = batch.ws.models / batch.record.model_id / "predictions.parquet"
    try:
        labels = {r["sha256"]: r["label"] for r in manifests.each(path, "predictions", ("sha256", "label"))}
    except ManifestError:
        return np.zeros(len(batch.rows()))
    mine = batch.rows().table["label"].to_pylist()
    number = {name: i for i, name in enumerate(sorted({*mine, *labels.values()}))}
    shas = ModelFeatures.of(batch.ws, batch.record.model_id).sha256
    of_row = np.array([number.get(labels.get(s, ""), -1) for s in shas])
    sums = np.zeros((len(number), space.rows.shape[1]))
    for piece in _pieces(len(of_row)):
        for i in np.unique(of_row[piece]):
            sums[i] += space.rows[piece][of_row[piece] == i].sum(axis=0) if i >= 0 else 0
    there = np.flatnonzero(space.places >= 0)
    own = np.array([number[x] for x in mine])[there]
    like = np.empty(len(there))
    for piece in _pieces(len(there)):
        rows, label = space.of(there[piece]), own[piece]
        others = sums[label] - rows * (of_row[space.places[there[piece]]] == label)[:, None]
        like[piece] = np.einsum("nd,nd->n", rows, others) / np.maximum(np.linalg.norm(others, axis=1), 1e-9)
    found = np.zeros(len(space.places))
    found[there] = _standard(like)
    return found


def _pieces(count: int) -> Iterator[slice]:
    """Some thousand at a time, so that memory does not grow with the batch."""
    return (slice(start, start + 8192) for start in range(0, count, 8192))


def _standard(values: Floats) -> Floats:
    """In standard deviations from the mean."""
    if not len(values):
        return values
    found: Floats = (values - values.mean()) / max(float(values.std()), 1e-9)
    return found
