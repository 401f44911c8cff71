"""How likely an image's label is wrong: two scorers, neither of which has seen the image, and their mean.

* cleanlab's self-confidence (Northcutt, Jiang & Chuang, JAIR 70, 2021) on the out-of-sample probabilities
  of the cross-validated linear head.
* The margin of exact leave-group-out ridge regression on frozen features (the closed form of
  cross-validation, e.g. Hastie, Tibshirani & Friedman, ch. 7.10): one-hot targets, the penalty chosen from
  a fixed grid by the smallest leave-group-out squared error. A whole duplicate group is left out at once;
  else a copy with the same wrong label would vouch for it.

They fail differently (the first is sharper on real mistakes, the second on planted ones), so the score is
their plain mean: nothing to tune. Over 0.5 both together think another class likelier.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from keepset.review.evidence import Evidence

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = ["LabelScores", "combine", "label_scores", "ridge_out_of_group", "self_confidence"]

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Ridge penalties tried, in units of the mean squared length of a centred feature vector."""

_PIECE = 8192  # rows worked on at once


@dataclass(frozen=True)
class LabelScores:
    """By image, in the order of ``sha256``: issue scores [n] in 0..1 and class probabilities [n, c].

    ``cv`` and ``ridge`` are the two scorers alone.
    """

    sha256: list[str]
    score: Floats
    probs: Floats
    cv: Floats
    ridge: Floats


def label_scores(evidence: Evidence) -> LabelScores | None:
    """Score every active image that the model has predicted; None if that is fewer than two classes."""
    import numpy as np

    index = {c: i for i, c in enumerate(evidence.classes)}
    order, matrix = evidence.features()
    place = {s: i for i, s in enumerate(order)}
    known = [
        r for r in evidence.rows
        if r["sha256"] in evidence.predictions and r["sha256"] in place and r["label"] in index
    ]  # fmt: skip
    y = np.array([index[r["label"]] for r in known], dtype=np.int64)
    if len(set(y.tolist())) < 2:
        return None
    shas = [r["sha256"] for r in known]
    probs = np.array([evidence.predictions[s]["cv_probs"] for s in shas], dtype=np.float64)
    places = np.array([place[s] for s in shas])
    whole = len(places) == len(matrix) and bool((places == np.arange(len(places))).all())
    features = matrix if whole else matrix[places]  # a copy is as large as all else together
    ridge = ridge_out_of_group(features, y, [r["group_id"] for r in known], len(evidence.classes))
    return combine(shas, y, probs, ridge)


def combine(shas: list[str], y: Ints, probs: Floats, ridge: Floats) -> LabelScores:
    """The mean of the two scorers. ``probs`` and ``ridge`` are [n, c]."""
    cv, margin = 1.0 - self_confidence(y, probs), (1.0 - _margin(y, ridge)) / 2.0
    return LabelScores(shas, (cv + margin) / 2.0, probs, cv, margin)


def self_confidence(y: Ints, probs: Floats) -> Floats:
    """cleanlab's label quality, [n] in 0..1: the out-of-sample probability of the given label."""
    from cleanlab.rank import get_label_quality_scores

    total = probs.sum(axis=1, keepdims=True)
    scores: Floats = get_label_quality_scores(
        y, probs / total, method="self_confidence", adjust_pred_probs=False
    )
    return scores


def _margin(y: Ints, fitted: Floats) -> Floats:
    """Given class over the best other one, [n], cut to -1..1."""
    import numpy as np

    rows = np.arange(len(y))
    others = fitted.copy()
    others[rows, y] = -np.inf
    margin: Floats = np.clip(fitted[rows, y] - others.max(axis=1), -1.0, 1.0)
    return margin


def ridge_out_of_group(
    features: npt.NDArray[np.floating[Any]], y: Ints, groups: Sequence[str], n_classes: int
) -> Floats:
    """Leave-group-out fitted one-hot targets, [n, c]: row i from a fit without i's whole group.

    ``features`` is [n, d]. One eigendecomposition of the n x n or d x d Gram matrix serves all penalties; with more
    rows than columns it takes memory for some thousand rows and d x d besides ``features``.
    """
    import numpy as np

    targets = np.eye(n_classes)[y]
    mean = targets.mean(axis=0)
    fit = _Fit(_UnitRows(features), targets - mean, groups)
    fitted: Floats = mean + fit.without_group(fit.best_penalty())
    return fitted


class _UnitRows:
    """Rows of a feature matrix, each of length one, then centred; some thousand at a time."""

    def __init__(self, features: npt.NDArray[np.floating[Any]]) -> None:
        self.features, self.shape = features, features.shape
        self.mean = sum(self._unit(rows).sum(axis=0) for rows in self.pieces()) / len(features)

    def pieces(self) -> Iterator[slice]:
        return (slice(i, i + _PIECE) for i in range(0, len(self.features), _PIECE))

    def __getitem__(self, rows: slice | Ints) -> Floats:
        found: Floats = self._unit(rows) - self.mean
        return found

    def _unit(self, rows: slice | Ints) -> Floats:
        import numpy as np

        some = self.features[rows].astype(np.float64)
        unit: Floats = some / np.maximum(np.linalg.norm(some, axis=1, keepdims=True), 1e-12)
        return unit


class _Fit:
    """Ridge of centred ``targets`` [n, c] on ``x``, for any penalty, each row without its own group.

    From the hat matrix H: y - (I - H_gg)^-1 (y - Hy). The mean counts as 1/n in H.
    """

    def __init__(self, x: _UnitRows, targets: Floats, groups: Sequence[str]) -> None:
        import numpy as np

        self.x, self.targets, self.n = x, targets, len(targets)
        self.strength, self.right, unit = _spectrum(x)
        self.weights = self.strength / (self.strength + np.outer(PENALTIES, [unit]))  # [penalties, r]
        projected: Floats = np.asarray(sum(x[rows].T @ targets[rows] for rows in x.pieces()))
        self.coefficients = self.right.T @ projected  # [r, c]
        self.members = _members(groups)
        alone = np.ones(self.n, bool)
        alone[[i for rows in self.members for i in rows]] = False
        self.alone: Ints = np.flatnonzero(alone)

    def best_penalty(self) -> int:
        """The place in ``PENALTIES`` with the smallest squared error."""
        import numpy as np

        every = list(range(len(PENALTIES)))
        error = np.zeros(len(PENALTIES))
        for rows, fitted in self._fitted(every):
            error += ((fitted - self.targets[rows][:, None]) ** 2).sum(axis=(0, 2))
        return int(error.argmin())

    def without_group(self, penalty: int) -> Floats:
        import numpy as np

        out = np.empty_like(self.targets)
        for rows, fitted in self._fitted([penalty]):
            out[rows] = fitted[:, 0]
        return out

    def _fitted(self, penalties: list[int]) -> Iterator[tuple[Ints, Floats]]:
        """Row numbers and what is fitted for them, [rows, penalties, c]; every row once."""
        import numpy as np

        weights = self.weights[penalties]
        scaled = (weights[:, :, None] * self.coefficients).transpose(1, 0, 2).reshape(len(self.strength), -1)
        for start in range(0, len(self.alone), _PIECE):
            rows = self.alone[start : start + _PIECE]
            basis = self.x[rows] @ self.right
            own, residual = self.targets[rows][:, None], self._residual(rows, basis, scaled)
            hat = (basis**2) @ weights.T + 1.0 / self.n
            yield rows, own - residual / np.maximum(1.0 - hat, 1e-9)[:, :, None]
        for members in self.members:
            rows = np.array(members)
            basis = self.x[rows] @ self.right
            own, residual = self.targets[rows][:, None], self._residual(rows, basis, scaled)
            blocks = [np.eye(len(rows)) - (basis * w) @ basis.T - 1.0 / self.n for w in weights]
            left = [np.linalg.lstsq(b, residual[:, k], rcond=None)[0] for k, b in enumerate(blocks)]
            yield rows, own - np.stack(left, axis=1)

    def _residual(self, rows: Ints, basis: Floats, scaled: Floats) -> Floats:
        return self.targets[rows][:, None] - (basis @ scaled).reshape(len(rows), -1, self.targets.shape[1])


def _spectrum(x: _UnitRows) -> tuple[Floats, Floats, float]:
    """Squared singular values [r]; the matrix [d, r] that takes a row of ``x`` to that of its left singular vectors;
    and the mean squared length of a row."""
    import numpy as np

    n, d = x.shape
    if n <= d:
        every = x[slice(None)]
        values, left = np.linalg.eigh(every @ every.T)
        keep = values > values[-1] * 1e-10
        return values[keep], every.T @ (left[:, keep] / values[keep]), float(values.sum()) / n
    gram: Floats = np.asarray(sum(x[rows].T @ x[rows] for rows in x.pieces()))
    values, right = np.linalg.eigh(gram)
    keep = values > values[-1] * 1e-10
    return values[keep], right[:, keep] / np.sqrt(values[keep]), float(np.trace(gram)) / n


def _members(groups: Sequence[str]) -> list[list[int]]:
    """Row numbers of each group that has more than one row."""
    found: dict[str, list[int]] = {}
    for i, g in enumerate(groups):
        found.setdefault(g, []).append(i)
    return [rows for rows in found.values() if len(rows) > 1]
