"""The linear head as training fits it, on fewer numbers per picture: a retraining in tenths of a second.

The head's penalty and its L-BFGS steps depend on the features only through their dot products. So features that are turned
into the directions in which the pictures differ give the same head: exactly for up to ``EXACT`` pictures, nearly for more,
where the ``WIDTH`` strongest directions of a sample are taken. What differs from training: features are scaled once, not for
each fold anew, and in large sets the strength is chosen on some of the folds.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.files import atomic_path
from keepset.models.features import ModelFeatures
from keepset.train.head import STRENGTHS, fit_rows, nll, scale, softmax
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Singles = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

__all__ = ["OUT", "Heads", "Known", "compressed", "effects", "held_out", "retrained", "rows_of"]

OUT = -1
"""The class of a picture that is not in use."""
EXACT = 1024
"""Pictures up to which nothing is lost; of more, a sample of so many gives the directions."""
WIDTH = 256
"""Directions kept of more than ``EXACT`` pictures."""
_FOLDS = 2  # of more than EXACT pictures, folds on which the strength is chosen
_VERSION = 1  # raised when the same features would now give other rows


@dataclass(frozen=True)
class Known:
    """Pictures, n of them: ``rows`` float32 [n, r], ``folds`` [n], and which are for training, ``learn`` [n]."""

    rows: Singles
    folds: Ints
    learn: Bools
    classes: int


@dataclass(frozen=True)
class Heads:
    """What training would say under some labels: ``probs`` [n, classes] of each picture by heads that did not see its fold,
    and ``said`` [n], the class by the head of all training pictures."""

    probs: Floats
    said: Ints
    strength: float


def rows_of(ws: Workspace, model_id: str) -> tuple[ModelFeatures, Singles]:
    """The model's features, and the rows that stand for them, [n, r]. Raises ``ModelError`` if the features are gone."""
    path = ws.cache / "forecast" / f"{model_id}-{_VERSION}.npy"
    known = ModelFeatures.of(ws, model_id)
    with suppress(FileNotFoundError, ValueError, EOFError):  # a damaged file is made again
        return known, np.load(path, mmap_mode="r")
    with atomic_path(path, sync=False) as part, part.open("wb") as f:
        np.save(f, compressed(known))
    return known, np.load(path, mmap_mode="r")


def compressed(known: ModelFeatures) -> Singles:
    """Features as training scales them, in the directions in which they differ most: float32 [n, r]."""
    chosen = np.unique(np.linspace(0, len(known) - 1, min(len(known), EXACT)).astype(np.int64))
    sample = known.at(chosen.tolist())
    mean = sample.mean(0, dtype=np.float64)
    std = scale(sample, mean)

    def scaled(features: Singles) -> Singles:
        return np.asarray((features - mean.astype(np.float32)) / std.astype(np.float32))

    sample = scaled(sample)
    values, vectors = np.linalg.eigh((sample @ sample.T).astype(np.float64))
    real = np.flatnonzero(values > 1e-8 * values[-1])[-(WIDTH if len(known) > EXACT else EXACT) :]
    directions = (vectors[:, real] / np.sqrt(values[real])).T.astype(np.float32) @ sample
    return np.concatenate([scaled(found) @ directions.T for _, found in known.pieces()])


def retrained(known: Known, labels: Ints) -> Heads:
    """What training on these ``labels`` [n], ``OUT`` for pictures not in use, would say."""
    used = labels != OUT
    learn = used & known.learn
    rows = known.rows.astype(np.float32, copy=False)
    strength = _strength(rows[learn], labels[learn], known.folds[learn], known.classes)
    probs = held_out(rows, labels, known.folds, known.classes, strength)
    head = fit_rows(rows[learn], labels[learn], known.classes, (strength,))[0]
    return Heads(probs, head.logits(rows).argmax(1), strength)


def held_out(rows: npt.NDArray[Any], labels: Ints, folds: Ints, classes: int, strength: float) -> Floats:
    """Probabilities [n, classes] of each picture by a head of the other folds' pictures that are in use."""
    probs = np.full((len(labels), classes), 1 / classes)
    for fold in np.unique(folds):
        out = folds == fold
        learn = ~out & (labels != OUT)
        if learn.any():
            head = fit_rows(rows[learn], labels[learn], classes, (strength,))[0]
            probs[out] = softmax(head.logits(rows[out]))
    return probs


def _strength(rows: Floats, labels: Ints, folds: Ints, classes: int) -> float:
    """The strength with the lowest loss on folds that its heads have not seen."""
    judged = np.unique(folds)[: None if len(labels) <= EXACT else _FOLDS]
    losses = np.sum([_losses(rows, labels, folds == fold, classes) for fold in judged], axis=0)
    return STRENGTHS[int(losses.argmin())]


def _losses(rows: Floats, labels: Ints, out: Bools, classes: int) -> list[float]:
    """The loss (nats) of the pictures ``out`` under heads of the others, at each strength; each fit begins where the one before
    ended, as in training: they stop early, so that where they begin matters."""
    if out.all():
        return [0.0 for _ in STRENGTHS]
    heads = fit_rows(rows[~out], labels[~out], classes, STRENGTHS)
    return [nll(softmax(h.logits(rows[out])), labels[out]) * float(out.sum()) for h in heads]


def effects(known: Known, heads: Heads, before: Ints, after: Ints) -> Floats:
    """How much more (above zero) or less the held-out loss of all other pictures is for each change from ``before`` to ``after``
    [n], in nats, [n]; 0 where nothing changes.

    The influence of a training picture (Koh and Liang, arXiv:1703.04730): the slope of the loss of each fold, solved against
    the curvature of the loss of all pictures, times the change of the picture's own slope. Heads did not see their fold, so a
    picture speaks to the other folds alone.
    """
    used, k = after != OUT, known.classes
    rows = np.hstack([known.rows, np.ones((len(after), 1), known.rows.dtype)])
    probs = heads.probs.astype(rows.dtype)
    slope = np.where(used[:, None], probs - _one_hot(after, k), 0).astype(rows.dtype)
    folds = np.unique(known.folds)
    sides = np.concatenate([rows.T @ np.where((known.folds == f)[:, None], slope, 0) for f in folds], axis=1)
    solved = _solved(rows[used], probs[used], 1 / heads.strength, sides)
    touched = np.flatnonzero(before != after)
    # what the picture pulls at the weights as it was, less what it pulls as it is
    change = _pull(probs, before, k)[touched] - _pull(probs, after, k)[touched]
    pulled = (rows[touched] @ solved).reshape(len(touched), len(folds), k)
    others = folds[None, :] != known.folds[touched][:, None]
    found = np.zeros(len(after))
    found[touched] = np.einsum("mfk,mk,mf->m", pulled, change, others)
    return found


def _one_hot(labels: Ints, classes: int) -> Floats:
    return np.asarray(np.eye(classes + 1)[labels][:, :classes])


def _pull(probs: Floats, labels: Ints, classes: int) -> Floats:
    """The slope of each picture's loss by its logits [n, classes]; 0 where it is not in use."""
    return np.where((labels != OUT)[:, None], probs - _one_hot(labels, classes), 0)


def _solved(rows: Floats, probs: Floats, ridge: float, sides: Floats, steps: int = 30, near: float = 1e-2) -> Floats:
    """The curvature of the multinomial loss of ``rows`` with a ridge, solved for ``sides`` [r, folds * classes] by conjugate
    gradients, all folds at once (the bias is held by the ridge too, which only steadies it)."""
    n, k = probs.shape
    folds = sides.shape[1] // k

    def curved(v: Floats) -> Floats:
        z = (rows @ v).reshape(n, folds, k)
        mean = np.einsum("nfk,nk->nf", z, probs)
        weighted = ((z - mean[:, :, None]) * probs[:, None, :]).reshape(n, -1)
        return np.asarray(rows.T @ weighted + ridge * v)

    def dot(a: Floats, b: Floats) -> Floats:
        """By fold, as a factor for each column."""
        each = (a * b).sum(0).reshape(folds, k).sum(1)
        return np.repeat(each, k)

    x, r = np.zeros_like(sides), sides
    p, rr = r, dot(r, r)
    least = near**2 * np.maximum(rr, 1e-30)
    for _ in range(steps):
        if (rr <= least).all():
            break
        q = curved(p)
        step = rr / np.maximum(dot(p, q), 1e-30)
        x, r = x + step * p, r - step * q
        new = dot(r, r)
        p, rr = r + new / np.maximum(rr, 1e-30) * p, new
    return x
