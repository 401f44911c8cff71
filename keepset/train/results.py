"""What a training leaves behind: predictions for every image, figures, calibration, distances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset import manifests
from keepset.files import atomic_path
from keepset.manifests import Header
from keepset.models.features import units
from keepset.models.intervals import wilson
from keepset.train.head import TINY, nll, softmax
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[Any]
    Ints = npt.NDArray[np.int64]

__all__ = ["Scores", "calibrate", "distances", "judge", "measure", "neighbours", "save_weights", "write_predictions"]

PRIOR = 1 / (2 * 0.25**2)
REFERENCE = 5000
"""Training images that a distance is measured to, at most."""
"""Nats that a temperature costs by the square of its logarithm."""


@dataclass(frozen=True)
class Scores:
    """Per image, in the order of the rows: ``probs`` and ``cv_probs`` [n, classes], labels [n], distances [n]."""

    probs: Floats
    cv_probs: Floats
    labels: Ints
    distances: Floats


def judge(probs: Floats, labels: Ints) -> dict[str, Any]:
    """What a contender is compared by: held-out loss (nats) and errors."""
    return {"nll": nll(probs, labels), "errors": int((probs.argmax(1) != labels).sum()), "n": len(labels)}


def measure(probs: Floats, labels: Ints) -> dict[str, Any]:
    """n, errors, error rate with its 95 % Wilson interval, nll (nats), and ECE over ten bins (Guo et al. 2017)."""
    found = judge(probs, labels)
    n, errors = found["n"], found["errors"]
    low, high = wilson(errors, n)
    confidence, right = probs.max(1), probs.argmax(1) == labels
    bins = np.minimum((confidence * 10).astype(int), 9)
    gaps = [abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return found | {"error_rate": errors / n, "low": low, "high": high, "ece": float(sum(gaps))}


def calibrate(logits: Floats, labels: Ints) -> float:
    """Temperature (Guo et al., arXiv:1706.04599) from 0.25 to 4 that fits held-out images, held to 1 by a prior.

    With few images the lowest loss is found at absurd temperatures: none wrong of 16 would make everything 99 % sure.
    The prior is that log T is normal around 0 with standard deviation 0.25; a hundred images outweigh it
    (bench/train/calibration.py).
    """
    grid = np.geomspace(0.25, 4.0, 81)
    held = [len(labels) * nll(softmax(logits / t), labels) + PRIOR * np.log(t) ** 2 for t in grid]
    return float(grid[int(np.argmin(held))])


def neighbours(images: int) -> int:
    """How many of ``images`` training images a distance is the mean of: the nearest 5, or all others if fewer."""
    return max(1, min(5, images - 1))


def distances(features: Floats, learn: npt.NDArray[np.bool_]) -> Floats:
    """Mean cosine distance to the nearest other training images, in blocks so that memory stays flat.

    Of more than ``REFERENCE`` training images so many are looked at, evenly spread, so that time is linear in the images.
    """
    rows, where = units(features, (features.shape[1],)), np.flatnonzero(learn)
    if len(where) > REFERENCE:
        where = where[np.linspace(0, len(where) - 1, REFERENCE).astype(np.int64)]
    base = rows[where]
    out = np.empty(len(rows))
    for i in range(0, len(rows), 256):
        d = 1 - rows[i : i + 256] @ base.T
        d[where[None, :] == np.arange(i, i + len(d))[:, None]] = np.inf
        k = neighbours(d.shape[1])
        out[i : i + len(d)] = np.partition(d, k - 1, axis=1)[:, :k].mean(1)
    return np.clip(out, 0, 2)


def write_predictions(
    ws: Workspace,
    model_id: str,
    dataset_hash: str,
    rows: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    s: Scores,
) -> None:
    out = [
        {
            **{k: r[k] for k in ("sha256", "label", "split")},
            "predicted": classes[int(p.argmax())], "loss": _loss(p, y), "model_probs": p.tolist(),
            "cv_predicted": classes[int(c.argmax())], "cv_loss": _loss(c, y), "cv_probs": c.tolist(),
            "ood_distance": float(d),
        }
        for r, p, c, y, d in zip(rows, s.probs, s.cv_probs, s.labels, s.distances, strict=True)
    ]  # fmt: skip
    header = Header("predictions", "train", model_id, {"dataset": dataset_hash})
    manifests.write(ws.models / model_id / "predictions.parquet", out, header)


def _loss(probs: Floats, label: int) -> float:
    return float(-np.log(max(float(probs[label]), TINY)))


def save_weights(ws: Workspace, model_id: str, state: Mapping[str, Any]) -> None:
    """The whole network under timm's names, as safetensors: nothing in it can run."""
    from safetensors.torch import save_file

    with atomic_path(ws.models / model_id / "weights.safetensors") as part:
        save_file({k: v.contiguous().cpu() for k, v in state.items()}, part)
