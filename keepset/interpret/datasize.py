"""Would more data help? The error of the linear head over the number of training images, and how it would go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.stages import SILENT, Progress
from keepset.train.head import fit_head

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

__all__ = ["DataSize", "answer", "data_size_curve", "fit_power_law"]

SHARES = (0.1, 0.18, 0.32, 0.56, 1.0)
DRAWS = 4
MOST_IMAGES = 20_000
STRENGTHS = (0.001, 0.01, 0.1)
RESAMPLES = 400
EXPONENTS = np.linspace(0.1, 1.5, 29)
WORTH = 0.1
"""A doubling that takes off a tenth of the errors is worth collecting for."""


@dataclass(frozen=True)
class DataSize:
    """What to learn from: ``features`` [n, d], class numbers ``labels`` [n], and ``folds`` [n], near copies together."""

    features: npt.NDArray[Any]
    labels: Ints
    folds: Ints
    classes: int
    seed: int


def data_size_curve(data: DataSize, progress: Progress = SILENT) -> dict[str, Any]:
    """The curve, its fit and the answer in words; JSON-ready.

    Each fold in turn is left out, and the head learns from nested random subsets of the other folds (each class in
    proportion, four draws from the seed), so every image is judged by heads that did not see it. Over 20,000 images
    a random 20,000 are used. ``points`` holds training images, mean error rate, and its 95 % interval over images
    and draws (bootstrap).
    """
    data = _capped(data)
    sizes = _sizes(data)
    if len(sizes) < 3:
        return {"n": len(data.labels), "points": [], "answer": "cannot_tell", "words": _TOO_SMALL}
    wrong = _wrong(data, sizes, progress)
    curves = _resampled(wrong, data.seed)
    low, high = np.quantile(curves, [0.025, 0.975], axis=0)
    points = [
        {"size": n, "error_rate": float(e), "low": float(a), "high": float(b)}
        for n, e, a, b in zip(sizes, wrong.mean((0, 2)), low, high, strict=True)
    ]
    found = {"n": len(data.labels), "draws": DRAWS, "points": points, **_projected(wrong, curves, sizes)}
    return found | dict(zip(("answer", "words"), answer(found), strict=True))


_TOO_SMALL = "There are too few images to draw a curve over their number: more data will surely help."


def _capped(data: DataSize) -> DataSize:
    if len(data.labels) <= MOST_IMAGES:
        return data
    keep = np.random.default_rng([data.seed, 1]).permutation(len(data.labels))[:MOST_IMAGES]
    return DataSize(data.features[keep], data.labels[keep], data.folds[keep], data.classes, data.seed)


def _sizes(data: DataSize) -> list[int]:
    """Training images a subset: from two a class to as many as there are with the largest fold left out."""
    most = len(data.labels) - int(np.bincount(data.folds).max())
    return sorted({round(most * s) for s in SHARES if most * s >= 2 * data.classes})


def _wrong(data: DataSize, sizes: list[int], progress: Progress) -> Bools:
    """[draws, sizes, n]: whether the head of that draw and size was wrong on the image."""
    from threadpoolctl import threadpool_limits

    folds = np.unique(data.folds)
    progress.start("would more data help? linear heads on subsets", DRAWS * len(folds) * len(sizes))
    with threadpool_limits(1):  # for matrices this small several threads mostly wait for one another
        return _judged(data, sizes, folds, progress)


def _judged(data: DataSize, sizes: list[int], folds: Ints, progress: Progress) -> Bools:
    wrong = np.zeros((DRAWS, len(sizes), len(data.labels)), bool)
    strengths = [_strength(data, n) for n in sizes]
    for draw in range(DRAWS):
        for fold in folds:
            out = data.folds == fold
            order = _in_proportion(data, np.flatnonzero(~out), np.random.default_rng([data.seed, draw, fold]))
            for i, n in enumerate(sizes):
                if draw and n >= len(order):  # every draw is all there is
                    wrong[draw, i, out] = wrong[0, i, out]
                else:
                    said = _predict(data, order[:n], np.flatnonzero(out), strengths[i])
                    wrong[draw, i, out] = said != data.labels[out]
                progress.advance()
    return wrong


def _in_proportion(data: DataSize, rows: Ints, rng: np.random.Generator) -> Ints:
    """``rows`` in a random order of which every beginning holds the classes in their proportion."""
    rows = rng.permutation(rows)
    place = np.empty(len(rows))
    for c in np.unique(data.labels[rows]):
        mine = np.flatnonzero(data.labels[rows] == c)
        place[mine] = (np.arange(len(mine)) + rng.uniform()) / len(mine)
    ordered: Ints = rows[np.argsort(place, kind="stable")]
    return ordered


def _strength(data: DataSize, n: int) -> float:
    """The inverse regularisation with the fewest errors at this size, judged once, on the images not drawn."""
    order = _in_proportion(data, np.arange(len(data.labels)), np.random.default_rng([data.seed, n]))
    learn, rest = order[: min(n, len(order) * 4 // 5)], order[min(n, len(order) * 4 // 5) :][:2000]
    errors = [(_predict(data, learn, rest, s) != data.labels[rest]).mean() for s in STRENGTHS]
    return STRENGTHS[int(np.argmin(errors))]


def _predict(data: DataSize, learn: Ints, judge: Ints, strength: float) -> Ints:
    """Class numbers of ``judge`` by a head that learned from ``learn``."""
    labels = data.labels[learn]
    if (labels == labels[0]).all():
        return np.full(len(judge), labels[0])
    said: Ints = fit_head(data.features[learn], labels, data.classes, strength).logits(data.features[judge]).argmax(1)
    return said


def _resampled(wrong: Bools, seed: int) -> Floats:
    """Error rates [resamples, sizes] with images and draws drawn anew."""
    draws, sizes, n = wrong.shape
    rng = np.random.default_rng([seed, RESAMPLES])
    images = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
    chosen = rng.multinomial(draws, np.full(draws, 1 / draws), RESAMPLES) / draws
    rates = (images @ wrong.reshape(-1, n).T).reshape(RESAMPLES, draws, sizes)
    return np.asarray(np.einsum("rds,rd->rs", rates, chosen))


def _projected(wrong: Bools, curves: Floats, sizes: list[int]) -> dict[str, Any]:
    """The fit, and what twice the images would bring, with 95 % intervals from the same fit to each resample."""
    n = np.array(sizes, float)
    a, b, c = fit_power_law(n, wrong.mean((0, 2)))
    ends = np.array([[n[-1]], [2 * n[-1]]])
    fits = np.array([fit_power_law(n, curve) for curve in curves])
    now, twice = fits[:, 0] + fits[:, 1] * ends ** -fits[:, 2]
    saved = 1 - twice / np.maximum(now, 1e-9)
    return {
        "fit": {"floor": a, "scale": b, "exponent": c},
        "twice": {
            "size": int(2 * n[-1]),
            "error_rate": float(a + b * (2 * n[-1]) ** -c),
            "low": float(np.quantile(twice, 0.025)),
            "high": float(np.quantile(twice, 0.975)),
        },
        "saved": float(1 - (a + b * ends[1, 0] ** -c) / max(a + b * ends[0, 0] ** -c, 1e-9)),
        "saved_interval": (float(np.quantile(saved, 0.025)), float(np.quantile(saved, 0.975))),
    }


def fit_power_law(n: Floats, rates: Floats) -> tuple[float, float, float]:
    """(floor, scale, exponent) of rate = floor + scale * n ** -exponent, the usual form of a learning curve (Cortes et
    al., NIPS 1993; Hestness et al., arXiv:1712.00409); floor and scale are not negative.

    Least squares for each of 29 exponents from 0.1 to 1.5; the best of them.
    """
    from scipy.optimize import nnls

    fits = {float(c): nnls(np.column_stack([np.ones(len(n)), n**-c]), rates) for c in EXPONENTS}
    exponent = min(fits, key=lambda c: fits[c][1])
    floor, scale = fits[exponent][0]
    return float(floor), float(scale), exponent


def answer(found: Mapping[str, Any]) -> tuple[str, str]:
    """("yes" | "no" | "perhaps", the words): whether a doubling of the images is worth collecting for."""
    first, last, twice = found["points"][0], found["points"][-1], found["twice"]
    low, high = found["saved_interval"]
    if last["error_rate"] == 0:
        return "no", "No: no mistake is left that more data could take away. Harder pictures would tell more."
    change = (
        f"with twice as many training images ({twice['size']}) about {twice['error_rate']:.1%} would be wrong "
        f"(95 % interval {twice['low']:.1%} to {twice['high']:.1%}) instead of {last['error_rate']:.1%}"
    )
    so_far = f" With {first['size']} images it was {first['error_rate']:.1%}."
    if found["saved"] >= WORTH and low >= WORTH / 3:
        return "yes", f"Yes: {change}.{so_far}"
    if high < WORTH or found["saved"] < WORTH / 3:
        better = "Better labels, a larger body or another training will do more than further pictures of this kind."
        return "no", f"Hardly: {change}.{so_far} {better}"
    return "perhaps", f"Perhaps: {change}; these images cannot tell it more surely.{so_far}"
