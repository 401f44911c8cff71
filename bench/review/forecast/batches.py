"""Batches of marks on a set whose truth is known: good ones, careless ones, random ones, and ones that do harm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.review.forecast.sets import JUNK, Labelled

__all__ = ["Marks", "batches_of", "careless"]


@dataclass(frozen=True)
class Marks:
    """``after`` [n]: each picture's class once the batch is applied, ``JUNK`` for those to delete."""

    kind: str
    after: np.ndarray


def batches_of(s: Labelled) -> Iterator[Marks]:
    """The same ones each time; of a large set one of each kind, since real retraining takes long."""
    for kind, share, draws in _PLAN:
        for draw in range(draws if len(s) < 1000 else draws - 1):
            rng = np.random.default_rng([len(s), *kind.encode(), round(100 * share), draw])
            after = _KINDS[kind](s, rng, share)
            if (after != s.labels).any():
                yield Marks(kind, after)


def _some(where: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(where)[: max(1, round(share * len(where)))] if len(where) else where


def _right(s: Labelled, rng: np.random.Generator, share: float) -> np.ndarray:
    """Some of the wrong labels are corrected."""
    return _marked(s, _some(np.flatnonzero((s.truth != s.labels) & s.sure), share, rng), s.truth)


def careless(s: Labelled, rng: np.random.Generator, share: float) -> np.ndarray:
    """All of it, and as many right pictures as ``share`` of that are deleted or relabelled by mistake."""
    after = _right(s, rng, 1.0)
    wrong = np.flatnonzero(after != s.labels)
    right = rng.permutation(np.flatnonzero(after == s.labels))[: max(1, round(share * len(wrong)))]
    after[right] = np.where(rng.random(len(right)) < 0.5, JUNK, _another(s, right, rng))
    return after


def _suggested(s: Labelled, rng: np.random.Generator, share: float) -> np.ndarray:
    return _marked(s, _some(np.flatnonzero(s.suggested != s.labels), share, rng), s.suggested)


def _delete(s: Labelled, rng: np.random.Generator, share: float) -> np.ndarray:
    return _marked(s, _some(np.arange(len(s)), share, rng), np.full(len(s), JUNK))


def _relabel(s: Labelled, rng: np.random.Generator, share: float) -> np.ndarray:
    where = _some(np.arange(len(s)), share, rng)
    after = s.labels.copy()
    after[where] = _another(s, where, rng)
    return after


def _mixed_up(s: Labelled, rng: np.random.Generator, share: float) -> np.ndarray:
    """Right pictures of one class become another class, always the same."""
    a, b = rng.permutation(s.classes)[:2]
    mine = np.flatnonzero((s.labels == a) & (s.truth == a))
    return _marked(s, _some(mine, share, rng), np.full(len(s), b))


def _lookalikes(s: Labelled, rng: np.random.Generator, share: float) -> np.ndarray:
    """Right pictures of one class that look alike become another class."""
    a, b = rng.permutation(s.classes)[:2]
    mine = np.flatnonzero((s.labels == a) & (s.truth == a))
    unit = s.features[mine] / np.linalg.norm(s.features[mine], axis=1, keepdims=True)
    near = np.argsort(-unit @ unit[rng.integers(len(mine))])[: max(1, round(share * len(mine)))]
    return _marked(s, mine[near], np.full(len(s), b))


def _thinned(s: Labelled, rng: np.random.Generator, share: float) -> np.ndarray:
    """A share of one class is deleted."""
    mine = np.flatnonzero(s.labels == rng.integers(s.classes))
    return _marked(s, _some(mine, share, rng), np.full(len(s), JUNK))


def _hard_ones(s: Labelled, rng: np.random.Generator, share: float) -> np.ndarray:
    """The right pictures least like their own class are deleted."""
    unit = s.features / np.linalg.norm(s.features, axis=1, keepdims=True)
    like = np.einsum("nd,nd->n", unit, np.stack([unit[s.labels == c].mean(0) for c in range(s.classes)])[s.labels])
    right = np.flatnonzero(s.truth == s.labels)
    worst = right[np.argsort(like[right])][: max(1, round(2 * share * len(s)))]
    return _marked(s, _some(worst, 0.5, rng), np.full(len(s), JUNK))


def _marked(s: Labelled, where: np.ndarray, to: np.ndarray) -> np.ndarray:
    after = s.labels.copy()
    after[where] = to[where]
    return after


def _another(s: Labelled, where: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (s.labels[where] + rng.integers(1, s.classes, len(where))) % s.classes


_KINDS = {
    "right": _right, "careless": careless, "suggested": _suggested, "delete": _delete, "relabel": _relabel,
    "mixed up": _mixed_up, "look-alikes": _lookalikes, "thinned": _thinned, "hard ones": _hard_ones,
}  # fmt: skip
_PLAN = (
    ("right", 1.0, 1), ("right", 0.5, 3), ("right", 0.25, 1), ("careless", 0.1, 1), ("careless", 0.5, 2),
    ("suggested", 1.0, 1), ("suggested", 0.5, 1), ("delete", 0.05, 1), ("delete", 0.2, 1), ("relabel", 0.02, 1),
    ("relabel", 0.05, 2), ("relabel", 0.15, 1), ("mixed up", 0.1, 2), ("mixed up", 0.3, 2), ("look-alikes", 0.1, 2),
    ("look-alikes", 0.3, 1), ("thinned", 0.6, 1), ("thinned", 0.9, 2), ("hard ones", 0.05, 1),
)  # fmt: skip
