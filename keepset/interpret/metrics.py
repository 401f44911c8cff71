"""How good a model is, each figure with its 95 % interval: a figure from 90 images is not one from 90,000."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.interpret.scored import Scored
from keepset.models.intervals import wilson

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = ["confusion", "f1_interval", "measure", "per_class", "reliability"]

RESAMPLES = 1000
BINS = 10


def measure(s: Scored, seed: int) -> dict[str, Any]:
    """Error rate with its Wilson interval; loss (nats) and calibration error with bootstrap intervals.

    The bootstrap draws the images anew 1000 times, from ``seed``; its interval is the middle 95 %. {"n": 0} without
    images.
    """
    n = len(s)
    if n == 0:
        return {"n": 0}
    errors = int(s.wrong.sum())
    low, high = wilson(errors, n)
    bins, confidence, right = _binned(s)
    losses, eces = _resampled(s.losses, bins, confidence, right, seed)
    return {
        "n": n, "errors": errors, "error_rate": errors / n, "low": low, "high": high,
        "nll": float(s.losses.mean()), "nll_interval": losses,
        "ece": _ece(bins, confidence, right), "ece_interval": eces,
    }  # fmt: skip


def _binned(s: Scored) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    confidence = s.probs[np.arange(len(s)), s.predicted]
    bins = np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)
    return bins, confidence, (~s.wrong).astype(np.float64)


def _ece(bins: npt.NDArray[np.int64], confidence: Floats, right: Floats) -> float:
    """Expected calibration error over ten bins of equal width (Guo et al., arXiv:1706.04599)."""
    gaps = np.bincount(bins, right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(bins))


def _resampled(
    losses: Floats, bins: npt.NDArray[np.int64], confidence: Floats, right: Floats, seed: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    rng = np.random.default_rng([seed, RESAMPLES])
    found = np.empty((RESAMPLES, 2))
    for row in found:
        i = rng.integers(len(losses), size=len(losses))
        row[:] = losses[i].mean(), _ece(bins[i], confidence[i], right[i])
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def confusion(s: Scored) -> list[list[int]]:
    """Rows are the given class, columns the predicted one, in the order of ``s.classes``."""
    k = len(s.classes)
    counts: list[list[int]] = np.bincount(s.given * k + s.predicted, minlength=k * k).reshape(k, k).tolist()
    return counts


def per_class(s: Scored) -> list[dict[str, Any]]:
    """Precision, recall and F1 with intervals, the weakest class first; None where there is nothing to count."""
    table = np.array(confusion(s))
    rows = [
        _of_class(label, int(table[i, i]), int(table[i].sum()), int(table[:, i].sum()))
        for i, label in enumerate(s.classes)
    ]
    return sorted(rows, key=lambda c: (c["f1"] is None, c["f1"], -c["n"]))


def _of_class(label: str, right: int, given: int, said: int) -> dict[str, Any]:
    judged = given > 0
    return {
        "label": label, "n": given, "said": said, "right": right,
        "precision": right / said if said else None, "precision_interval": wilson(right, said) if said else None,
        "recall": right / given if given else None, "recall_interval": wilson(right, given) if given else None,
        "f1": 2 * right / (given + said) if judged else None,
        "f1_interval": f1_interval(right, given, said) if judged else None,
    }  # fmt: skip


def f1_interval(right: int, given: int, said: int) -> tuple[float, float]:
    """95 % interval of F1 = 2 TP / (2 TP + FP + FN).

    Of the m = TP + FP + FN images that the class is about, TP is a binomial draw with share J = TP / m (the images
    being drawn at random, and given m), and F1 = 2 J / (1 + J) grows with J: Wilson's interval for J, carried over.
    Unlike a bootstrap it does not shrink to a point where no mistake was seen.
    """
    low, high = wilson(right, given + said - right)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def reliability(s: Scored) -> list[dict[str, Any]]:
    """Of ten bins by confidence those that are not empty: mean confidence, share right with its interval, n."""
    if not len(s):
        return []
    bins, confidence, right = _binned(s)
    out = []
    for b in np.unique(bins):
        mine = bins == b
        n, good = int(mine.sum()), int(right[mine].sum())
        low, high = wilson(good, n)
        out.append({
            "confidence": float(confidence[mine].mean()), "accuracy": good / n, "low": low, "high": high, "n": n,
            "from": float(b / BINS), "to": float((b + 1) / BINS),
        })  # fmt: skip
    return out
