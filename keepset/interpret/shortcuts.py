"""Can the class be told without the picture's content? If so, a model may learn that instead of what is shown.

For each property and class: how well the property tells the class from the others (area under the ROC curve: of one picture
of the class and one of another, how often it picks the right one; 0.5 is chance), out of sample in five folds. Labels are
permuted some hundred times; a property counts as found if its largest standardised value over the classes is beyond the
98 % quantile of the largest over *all* properties and classes under permutation (Westfall and Young, 1993, max-T), and the
area is large enough to matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.interpret.properties import CORNERS, MARGIN, Column

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = ["LEVEL", "MARK", "MATTERS", "Tested", "told_by"]

MARK = "mark in a corner"
"""A watermark, or whatever is always at one place."""
PERMUTATIONS, FOLDS = 400, 5
LEVEL, MATTERS = 0.02, 0.65
FEWEST, MOST_CLASSES = 10, 30
"""Pictures that a class needs; so many of the largest classes are looked at."""
_PRIOR = 4.0
_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Tested:
    """How well the property ``name`` tells class number ``label`` (the one it tells best) from the others: ``auc``, and ``p``, corrected
    for all properties and classes. ``typical``: images of the class that it speaks for most, ``others``: of other classes
    that it speaks against most. ``place``: where in the picture, for a mark.
    """

    name: str
    label: int
    auc: float
    p: float
    typical: list[int]
    others: list[int]
    place: str = ""

    @property
    def found(self) -> bool:
        return self.p <= LEVEL and self.auc >= MATTERS


def told_by(
    labels: Ints, columns: Sequence[Column], corners: npt.NDArray[np.float32] | None, seed: int
) -> list[Tested]:
    """The best first. ``labels`` [n] are class numbers, ``corners`` [n, 4, d] slopes (``properties.Edge``). [] if
    fewer than two classes have ten pictures.
    """
    counts = np.bincount(labels)
    large = [int(c) for c in np.argsort(-counts, kind="stable")[:MOST_CLASSES] if counts[c] >= FEWEST]
    if len(large) < 2:
        return []
    rng = np.random.default_rng([seed, 3])
    codes = np.full(len(counts), len(large))  # the last number: all other classes together
    codes[large] = np.arange(len(large))
    y = codes[labels]
    folds = rng.permutation(len(y)) % FOLDS  # whatever the labels: under permutation they are no other
    drawn = np.stack([y, *(rng.permutation(y) for _ in range(PERMUTATIONS))])
    names: list[tuple[str, str]] = []
    areas, scores = [], []
    for column in columns:
        names.append((column.name, ""))
        area, score = _of_column(column.bins, drawn, folds, len(large))
        areas.append(area)
        scores.append(score)
    for k, place in enumerate(CORNERS if corners is not None else ()):
        names.append((MARK, place))
        area, score = _of_slopes(corners[:, k], drawn, folds, len(large))  # type: ignore[index]
        areas.append(area)
        scores.append(score)
    return _tested(names, np.stack(areas), scores, y, large) if names else []


def _tested(
    names: list[tuple[str, str]], areas: Floats, scores: list[Floats], y: Ints, large: list[int]
) -> list[Tested]:
    """``areas`` [columns, 1 + permutations, classes], the first of them under the true labels, which are one draw among the
    others: only then is p exact.
    """
    z = (areas - areas.mean(1, keepdims=True)) / np.maximum(areas.std(1, keepdims=True), 1e-3)
    largest = z[:, 1:].max((0, 2))
    out: dict[str, Tested] = {}
    for (name, place), area, mine, score in zip(names, areas[:, 0], z[:, 0], scores, strict=True):
        best = int(mine.argmax())
        p = (1 + int((largest >= mine[best]).sum())) / (1 + len(largest))
        order = np.argsort(-score[:, best], kind="stable")
        typical = [int(i) for i in order if y[i] == best and score[i, best] > -np.inf][:6]
        others = [int(i) for i in order[::-1] if y[i] != best and score[i, best] > -np.inf][:6]
        found = Tested(name, large[best], float(area[best]), p, typical, others, place)
        if name not in out or found.p < out[name].p or (found.p == out[name].p and found.auc > out[name].auc):
            out[name] = found
    margin = MARGIN in out and out[MARGIN].found  # a border shows in the corners too
    return sorted(out.values(), key=lambda t: (not t.found, margin and t.name == MARK, -t.auc))


def _of_column(bins: Ints, drawn: Ints, folds: Ints, classes: int) -> tuple[Floats, Floats]:
    """[draws, classes] areas, and the score of each image for each class under the true labels; -inf: not known."""
    known = bins >= 0
    b, f = bins[known], folds[known]
    n_bins, k = int(bins.max()) + 1, classes + 1
    areas = np.empty((len(drawn), classes))
    step = max(1, _AT_ONCE // (FOLDS * n_bins * k))
    scores = np.full((len(bins), classes), -np.inf)
    for start in range(0, len(drawn), step):
        part = drawn[start : start + step][:, known]
        at = ((np.arange(len(part))[:, None] * FOLDS + f) * n_bins + b) * k + part
        size = len(part) * FOLDS * n_bins * k
        tables = np.bincount(at.ravel(), minlength=size).reshape(len(part), FOLDS, n_bins, k).astype(np.float64)
        said = _said(tables)
        areas[start : start + step] = _areas(tables, said)
        if start == 0:
            scores[known] = said[0, f, b]
    return areas, scores


def _said(tables: Floats) -> Floats:
    """[draws, folds, bins, classes]: the share of the class among the images of the bin in the other folds, drawn to its share
    overall where the bin has few.
    """
    rest = tables.sum(1, keepdims=True) - tables
    whole = rest.sum(2, keepdims=True)
    prior = whole / np.maximum(whole.sum(3, keepdims=True), 1)
    return np.asarray(((rest + _PRIOR * prior) / (rest.sum(3, keepdims=True) + _PRIOR))[..., :-1])


def _areas(tables: Floats, said: Floats) -> Floats:
    """[draws, classes]: pairs within a fold that are in the right order, ties half, of all such pairs."""
    order = np.argsort(said, axis=2, kind="stable")
    inside = np.take_along_axis(tables[..., :-1], order, 2)
    outside = np.take_along_axis(tables.sum(3, keepdims=True) - tables[..., :-1], order, 2)
    below = np.cumsum(outside, 2) - outside / 2
    pairs = (inside.sum(2) * outside.sum(2)).sum(1)
    return np.asarray(np.where(pairs > 0, (inside * below).sum((1, 2)) / np.maximum(pairs, 1), 0.5))


def _of_slopes(slopes: npt.NDArray[np.float32], drawn: Ints, folds: Ints, classes: int) -> tuple[Floats, Floats]:
    """The same by likeness to the mean of each class: what was put into many pictures at one place adds up, what they show
    does not.
    """
    alike = slopes @ slopes.T
    right, pairs = np.zeros((len(drawn), classes)), np.zeros((len(drawn), classes))
    scores = np.full((len(slopes), classes), -np.inf)
    for fold in range(FOLDS):
        out = folds == fold
        seen = alike[np.ix_(out, ~out)]
        for start, said, true in _by_class(seen, drawn[:, ~out], drawn[:, out], classes):
            if start == 0:
                scores[out] = said[:, 0]
            ranks = np.argsort(np.argsort(said, axis=0, kind="stable"), axis=0)
            inside = true.sum(0)
            outside = len(said) - inside
            stop = start + said.shape[1]
            right[start:stop] += (ranks * true).sum(0) - inside * (inside - 1) / 2
            pairs[start:stop] += inside * outside
    return np.where(pairs > 0, right / np.maximum(pairs, 1), 0.5), scores


def _by_class(
    seen: npt.NDArray[np.float32], learn: Ints, judge: Ints, classes: int
) -> Iterator[tuple[int, npt.NDArray[Any], npt.NDArray[Any]]]:
    """For some draws at a time: likeness [images, draws, classes] to each class less that to all, and who is of the class."""
    step = max(1, _AT_ONCE // (len(seen.T) * classes + 1))
    among = seen.mean(1)[:, None, None]
    for start in range(0, len(learn), step):
        one = (learn[start : start + step, :, None] == np.arange(classes)).astype(np.float32)  # [draws, m, classes]
        size = np.maximum(one.sum(1), 1)
        flat = one.transpose(1, 0, 2).reshape(len(seen.T), -1)
        said = (seen @ flat).reshape(len(seen), -1, classes) / size - among
        yield start, said, judge[start : start + step].T[:, :, None] == np.arange(classes)
