"""The regularised linear head on frozen features: a usable model in seconds, and out-of-sample scores for all."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = [
    "STRENGTHS",
    "Chosen",
    "LinearHead",
    "choose_strength",
    "cross_validate",
    "fit_head",
    "fit_heads",
    "fit_rows",
    "nll",
    "scale",
    "softmax",
]

STRENGTHS: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
"""Inverse regularisation strengths tried, from strong to weak, for scaled features (mean square 1)."""
FLOOR = 0.5
"""What a feature's deviation counts at least, as a share of the typical one (root mean square over the features)."""
FEW = 3000
"""Images up to which one core is enough, and memory no matter."""
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class LinearHead:
    """logits = features @ weight.T + bias; weight is [classes, d], bias [classes], fitted at ``strength``."""

    weight: Floats
    bias: Floats
    strength: float

    def logits(self, features: npt.NDArray[Any]) -> Floats:
        return features @ self.weight.T + self.bias


def fit_head(features: npt.NDArray[Any], labels: Ints, n_classes: int, strength: float) -> LinearHead:
    """Multinomial logistic regression by L-BFGS. A class without an image gets a very low bias."""
    return fit_heads(features, labels, n_classes, (strength,))[0]


def _on_one_core(fit: Callable[..., list[LinearHead]]) -> Callable[..., list[LinearHead]]:
    """``fit`` with numpy's own threads off for few images: on a busy machine they wait for each other far longer than
    they compute.
    """

    @functools.wraps(fit)
    def fitted(features: npt.NDArray[Any], *rest: Any) -> list[LinearHead]:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1 if len(features) <= FEW else None, user_api="blas"):
            return fit(features, *rest)

    return fitted


@_on_one_core
def fit_heads(features: npt.NDArray[Any], labels: Ints, n_classes: int, strengths: Sequence[float]) -> list[LinearHead]:
    """One head a strength, each fit beginning where the one before ended.

    Fewer images than features span a space of fewer dimensions, which holds the solution (the representer theorem of
    Kimeldorf and Wahba, 1971): it is sought there.
    """
    mean = features.mean(0, dtype=np.float64)
    std = scale(features, mean)
    kind = np.float64 if len(features) <= FEW else np.float32  # of many images half the memory, and sure enough
    rows, basis = _spanned((features.astype(kind, copy=False) - mean.astype(kind)) / std.astype(kind))
    heads = []
    for head in fit_rows(rows, labels, n_classes, strengths):
        coef = head.weight if basis is None else head.weight @ basis
        heads.append(LinearHead(coef / std, head.bias - coef @ (mean / std), head.strength))
    return heads


def fit_rows(rows: npt.NDArray[Any], labels: Ints, n_classes: int, strengths: Sequence[float]) -> list[LinearHead]:
    """``fit_heads`` for rows [n, r] that are centred and scaled already: the fit itself."""
    from sklearn.linear_model import LogisticRegression

    if len(only := np.unique(labels)) == 1:
        bias = np.where(np.arange(n_classes) == only[0], 0.0, -20.0)
        return [LinearHead(np.zeros((n_classes, rows.shape[1])), bias, s) for s in strengths]
    model = LogisticRegression(max_iter=300, tol=1e-3, warm_start=True)
    heads = []
    for strength in strengths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # converged to the last digit or not
            model.set_params(C=strength).fit(rows, labels)
        weight, bias = np.zeros((n_classes, rows.shape[1])), np.full(n_classes, -20.0)
        found, coef, intercept = model.classes_, model.coef_, model.intercept_
        if len(found) == 2:  # scikit-learn keeps one row for two classes
            coef = np.vstack([-coef / 2, coef / 2])
            intercept = np.concatenate([-intercept / 2, intercept / 2])
        weight[found], bias[found] = coef, intercept
        heads.append(LinearHead(weight, bias, strength))
    return heads


def scale(features: npt.NDArray[Any], mean: Floats) -> Floats:
    """What each feature is divided by, [d]: its standard deviation, but not much less than is typical.

    A feature that hardly moves in training and does so in another picture would otherwise decide alone what is said of
    that one, and very surely.
    """
    squares = np.einsum("nd,nd->d", features, features, dtype=np.float64)  # without a copy of all features
    variance = np.maximum(squares / len(features) - mean**2, 0.0)
    scale = np.sqrt(variance + FLOOR**2 * variance.mean() + TINY)
    return np.asarray(scale * np.sqrt((variance / scale**2).mean() + TINY))


def _spanned(rows: Floats) -> tuple[Floats, Floats | None]:
    """``rows`` [n, d] within the space that they span, [n, r], and its orthonormal basis [r, d]; no basis if n >= d."""
    if len(rows) >= rows.shape[1]:
        return rows, None
    values, vectors = np.linalg.eigh(rows @ rows.T)
    real = values > 1e-10 * values[-1]
    lengths, vectors = np.sqrt(values[real]), vectors[:, real]
    return vectors * lengths, (vectors / lengths).T @ rows


@dataclass(frozen=True)
class Chosen:
    """A strength, and the cross-validated error (share) of heads of it."""

    strength: float
    error: float


def choose_strength(features: npt.NDArray[Any], labels: Ints, folds: Ints, n_classes: int) -> Chosen:
    """The strength whose heads have the lowest loss on the folds that they have not seen."""
    probs = cross_validate(features, labels, folds, n_classes, STRENGTHS)
    strength, best = min(zip(STRENGTHS, probs, strict=True), key=lambda s: nll(s[1], labels))
    return Chosen(strength, float((best.argmax(1) != labels).mean()))


def cross_validate(
    features: npt.NDArray[Any], labels: Ints, folds: Ints, n_classes: int, strengths: Sequence[float]
) -> list[Floats]:
    """Out-of-sample probabilities [n, classes] for every row, one array a strength."""
    probs = [np.zeros((len(labels), n_classes)) for _ in strengths]
    for fold in np.unique(folds):
        rest = np.asarray(folds != fold)
        if not rest.any():  # all are of one fold: nothing to learn from
            for out in probs:
                out[~rest] = 1 / n_classes
            continue
        heads = fit_heads(features[rest], labels[rest], n_classes, strengths)
        for out, head in zip(probs, heads, strict=True):
            out[~rest] = softmax(head.logits(features[~rest]))
    return probs


def softmax(logits: npt.NDArray[Any]) -> Floats:
    e = np.exp((logits - logits.max(1, keepdims=True)).astype(np.float64))
    return np.asarray(e / e.sum(1, keepdims=True), dtype=np.float64)


def nll(probs: npt.NDArray[Any], labels: Ints) -> float:
    """Mean cross-entropy, nats."""
    return float(-np.log(np.maximum(probs[np.arange(len(labels)), labels], TINY)).mean())
