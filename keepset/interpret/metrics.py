"""Where a model is right and wrong: by class, and by how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.interpret.scored import Scored
from keepset.models.intervals import wilson

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = ["confusion", "per_class", "reliability"]

BINS = 10


def _binned(s: Scored) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    confidence = s.probs[np.arange(len(s)), s.predicted]
    bins = np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)
    return bins, confidence, (~s.wrong).astype(np.float64)


def confusion(s: Scored) -> list[list[int]]:
    """Rows are the given class, columns the predicted one, in the order of ``s.classes``."""
    k = len(s.classes)
    counts: list[list[int]] = np.bincount(s.given * k + s.predicted, minlength=k * k).reshape(k, k).tolist()
    return counts


def per_class(s: Scored) -> list[dict[str, Any]]:
    """Precision, recall with its interval, and F1; the weakest class first; None where there is nothing to count."""
    table = np.array(confusion(s))
    rows = [
        _of_class(label, int(table[i, i]), int(table[i].sum()), int(table[:, i].sum()))
        for i, label in enumerate(s.classes)
    ]
    return sorted(rows, key=lambda c: (c["f1"] is None, c["f1"], -c["n"]))


def _of_class(label: str, right: int, given: int, said: int) -> dict[str, Any]:
    return {
        "label": label, "n": given, "said": said, "right": right,
        "precision": right / said if said else None,
        "recall": right / given if given else None, "recall_interval": wilson(right, given) if given else None,
        "f1": 2 * right / (given + said) if given else None,
    }  # fmt: skip


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
