"""The error of the linear head over the number of training images, and how it would go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.forecast.heads import Known
from keepset.models.intervals import Z
from keepset.stages import SILENT, Progress
from keepset.train.head import fit_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

__all__ = ["STRENGTHS", "DataSize", "data_size_curve", "fit_power_law", "weighed"]

SHARES = (0.1, 0.18, 0.32, 0.56, 1.0)
DRAWS = 4
STRENGTHS = (0.001, 0.01, 0.1)
RESAMPLES = 400
EXPONENTS = np.linspace(0.1, 1.5, 29)
USUAL, USUAL_SPREAD = 0.25, 0.12
"""The share of the mistakes that twice as many images usually save, and its spread over sets (``bench/review/gain.py``)."""
ROUGH = 1.5
"""A curve of n images errs by this / √n more than its bootstrap knows: of a few hundred alone it is too rough to go by."""


@dataclass(frozen=True)
class DataSize:
    """What to learn from: n images ``known``, near copies in one fold, and their class numbers ``labels`` [n].

    ``judged`` [n]: the images that errors are counted on; those whose labels are in doubt tell nothing. ``total``: images of
    the data set, of which these may be a random part.
    """

    known: Known
    labels: Ints
    judged: Bools
    total: int
    seed: int


def data_size_curve(data: DataSize, progress: Progress = SILENT) -> dict[str, Any]:
    """The curve and its fit; JSON-ready. Without ``points`` there are too few images for one.

    Each fold in turn is left out, and the head learns from nested random subsets of the other folds (each class in
    proportion, four draws from the seed), so every image is judged by heads that did not see it. ``points`` holds training
    images, mean error rate, and its 95 % interval over images and draws (bootstrap); ``error_rate`` is that of the whole data set.
    """
    sizes = _sizes(data)
    if len(sizes) < 3:
        return {"n": data.total, "points": []}
    wrong = _wrong(data, sizes, progress)[:, :, data.judged if data.judged.any() else slice(None)]
    curves = _resampled(wrong, data.seed)
    low, high = np.quantile(curves, [0.025, 0.975], axis=0)
    points = [
        {"size": n, "error_rate": float(e), "low": float(a), "high": float(b)}
        for n, e, a, b in zip(sizes, wrong.mean((0, 2)), low, high, strict=True)
    ]
    grown = data.total / len(data.labels)
    return {"n": data.total, "draws": DRAWS, "points": points, **_projected(wrong, curves, sizes, grown)}


def _sizes(data: DataSize) -> list[int]:
    """Training images a subset: from two a class to as many as there are with the largest fold left out."""
    most = len(data.labels) - int(np.bincount(data.known.folds).max())
    return sorted({round(most * s) for s in SHARES if most * s >= 2 * data.known.classes})


def _wrong(data: DataSize, sizes: list[int], progress: Progress) -> Bools:
    """[draws, sizes, n]: whether the head of that draw and size was wrong on the image."""
    from threadpoolctl import threadpool_limits

    folds = np.unique(data.known.folds)
    progress.start("trying whether more pictures would help", DRAWS * len(folds) * len(sizes))
    with threadpool_limits(1):  # for matrices this small several threads mostly wait for one another
        return _judged(data, sizes, folds, progress)


def _judged(data: DataSize, sizes: list[int], folds: Ints, progress: Progress) -> Bools:
    wrong = np.zeros((DRAWS, len(sizes), len(data.labels)), bool)
    strengths = [_strength(data, n) for n in sizes]
    for draw in range(DRAWS):
        for fold in folds:
            out = data.known.folds == fold
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
    rows = data.known.rows
    head = fit_rows(rows[learn], data.labels[learn], data.known.classes, (strength,))[0]
    said: Ints = head.logits(rows[judge]).argmax(1)
    return said


def _resampled(wrong: Bools, seed: int) -> Floats:
    """Error rates [resamples, sizes] with images and draws drawn anew."""
    draws, sizes, n = wrong.shape
    rng = np.random.default_rng([seed, RESAMPLES])
    images = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
    chosen = rng.multinomial(draws, np.full(draws, 1 / draws), RESAMPLES) / draws
    rates = (images @ wrong.reshape(-1, n).T).reshape(RESAMPLES, draws, sizes)
    return np.asarray(np.einsum("rds,rd->rs", rates, chosen))


def _projected(wrong: Bools, curves: Floats, sizes: list[int], grown: float) -> dict[str, Any]:
    """The fit, the error of all images (``grown`` times those tried), the share of it that twice the images would save, and what
    would be left of it, with 95 % intervals.

    What the fit says is weighed against what is usual, by their spreads; that of the fit is of the same fit to each resample.
    """
    n, rates = np.array(sizes, float), wrong.mean((0, 2))
    fit, now = fit_power_law(n, rates), grown * n[-1]
    spread = float(
        np.hypot(np.std([_saved(fit_power_law(n, curve), now, 2) for curve in curves]), ROUGH / wrong.shape[2] ** 0.5)
    )
    saved, spread = weighed(USUAL, USUAL_SPREAD, _saved(fit, now, 2), spread)
    left = 1 - _saved(fit, n[-1], grown)
    drawn = left * curves[:, -1] * (1 - np.random.default_rng(RESAMPLES).normal(saved, spread, len(curves)))
    low, high = np.quantile(np.maximum(drawn, 0.0), [0.025, 0.975])
    error = float(left * rates[-1])
    return {
        "fit": dict(zip(("floor", "scale", "exponent"), fit, strict=True)), "error_rate": error,
        "saved": saved, "saved_interval": (saved - Z * spread, saved + Z * spread),
        "twice": {"size": int(2 * now), "error_rate": error * (1 - saved), "low": float(low), "high": float(high)},
    }  # fmt: skip


def weighed(usual: float, usual_spread: float, measured: float, spread: float) -> tuple[float, float]:
    """What is usual and what was measured, each with the weight that its spread leaves it, not below 0; and the spread."""
    a, b = 1 / max(usual_spread, 1e-6) ** 2, 1 / max(spread, 1e-6) ** 2
    return float(max(0.0, (a * usual + b * measured) / (a + b))), float((a + b) ** -0.5)


def _saved(fit: tuple[float, float, float], n: float, times: float) -> float:
    """The share of the error at ``n`` images that is gone at ``times`` as many."""
    floor, scale, exponent = fit
    now, then = (floor + scale * m**-exponent for m in (n, times * n))
    return float(1 - then / max(now, 1e-9))


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
