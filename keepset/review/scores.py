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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from keepset.review.evidence import Evidence

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = ["LabelScores", "combine", "label_scores", "ridge_out_of_group", "self_confidence"]

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Ridge penalties tried, in units of the mean squared length of a centred feature vector."""


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
    features = matrix[[place[s] for s in shas]].astype(np.float64)
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


def ridge_out_of_group(features: Floats, y: Ints, groups: Sequence[str], n_classes: int) -> Floats:
    """Leave-group-out fitted one-hot targets, [n, c]: row i from a fit without i's whole group.

    ``features`` is [n, d]. One eigendecomposition of the n x n or d x d Gram matrix serves all penalties.
    """
    import numpy as np

    length = np.linalg.norm(features, axis=1, keepdims=True)
    x = features / np.maximum(length, 1e-12)
    x = x - x.mean(axis=0)
    targets = np.eye(n_classes)[y]
    mean = targets.mean(axis=0)
    basis, strength = _spectrum(x)
    unit = float((x**2).sum() / len(x))
    members = _members(groups)
    tried = (_left_out(basis, strength, targets - mean, p * unit, members) for p in PENALTIES)
    fitted: Floats = mean + min(tried, key=lambda fit: float(((fit + mean - targets) ** 2).sum()))
    return fitted


def _spectrum(x: Floats) -> tuple[Floats, Floats]:
    """Left singular vectors [n, r] and squared singular values [r] of ``x``."""
    import numpy as np

    if len(x) <= x.shape[1]:
        values, vectors = np.linalg.eigh(x @ x.T)
        keep = values > values[-1] * 1e-10
        return vectors[:, keep], values[keep]
    values, right = np.linalg.eigh(x.T @ x)
    keep = values > values[-1] * 1e-10
    return (x @ right[:, keep]) / np.sqrt(values[keep]), values[keep]


def _members(groups: Sequence[str]) -> list[list[int]]:
    """Row numbers of each group that has more than one row."""
    found: dict[str, list[int]] = {}
    for i, g in enumerate(groups):
        found.setdefault(g, []).append(i)
    return [rows for rows in found.values() if len(rows) > 1]


def _left_out(
    basis: Floats, strength: Floats, targets: Floats, penalty: float, members: list[list[int]]
) -> Floats:
    """Out-of-group fit from the hat matrix H: y - (I - H_gg)^-1 (y - Hy). The mean counts as 1/n in H."""
    import numpy as np

    scaled = basis * (strength / (strength + penalty))
    n = len(basis)
    residual = targets - scaled @ (basis.T @ targets)
    hat = (scaled * basis).sum(axis=1) + 1.0 / n
    out: Floats = targets - residual / np.maximum(1.0 - hat, 1e-9)[:, None]
    for rows in members:
        block = np.eye(len(rows)) - scaled[rows] @ basis[rows].T - 1.0 / n
        out[rows] = targets[rows] - np.linalg.lstsq(block, residual[rows], rcond=None)[0]
    return out
