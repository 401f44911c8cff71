"""The regularised linear head on frozen features: a usable model in seconds, and out-of-sample scores for all."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = ["LinearHead", "cross_validate", "fit_head", "nll", "softmax"]

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Inverse regularisation strengths tried, from strong to weak, for standardised features."""


@dataclass(frozen=True)
class LinearHead:
    """logits = features @ weight.T + bias; weight is [classes, d], bias [classes]."""

    weight: Floats
    bias: Floats

    def logits(self, features: npt.NDArray[Any]) -> Floats:
        return features @ self.weight.T + self.bias


def fit_head(features: npt.NDArray[Any], labels: Ints, n_classes: int, strength: float) -> LinearHead:
    """Multinomial logistic regression by L-BFGS. A class without an image gets a very low bias."""
    from sklearn.linear_model import LogisticRegression

    mean, std = features.mean(0), features.std(0) + 1e-6
    model = LogisticRegression(C=strength, max_iter=300, tol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged to the last digit is good enough, and said nowhere
        model.fit((features - mean) / std, labels)
    weight, bias = np.zeros((n_classes, features.shape[1])), np.full(n_classes, -20.0)
    found, coef, intercept = model.classes_, model.coef_, model.intercept_
    if len(found) == 2:  # scikit-learn keeps one row for two classes
        coef, intercept = np.vstack([-coef / 2, coef / 2]), np.concatenate([-intercept / 2, intercept / 2])
    weight[found], bias[found] = coef / std, intercept - coef @ (mean / std)
    return LinearHead(weight, bias)


def cross_validate(
    features: npt.NDArray[Any], labels: Ints, folds: Ints, n_classes: int
) -> tuple[Floats, float]:
    """Out-of-sample probabilities [n, classes] for every row, and the strength with the lowest loss."""
    scored = []
    for strength in STRENGTHS:
        probs = np.zeros((len(labels), n_classes))
        for fold in np.unique(folds):
            rest = folds != fold
            head = fit_head(features[rest], labels[rest], n_classes, strength)
            probs[~rest] = softmax(head.logits(features[~rest]))
        scored.append((nll(probs, labels), strength, probs))
    _, strength, probs = min(scored, key=lambda s: s[0])
    return probs, strength


def softmax(logits: npt.NDArray[Any]) -> Floats:
    e = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True), dtype=np.float64)


def nll(probs: npt.NDArray[Any], labels: Ints) -> float:
    """Mean cross-entropy, nats."""
    return float(-np.log(np.clip(probs[np.arange(len(labels)), labels], 1e-12, 1)).mean())
