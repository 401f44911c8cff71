"""What went wrong in training, if anything: the "things that can go wrong" of fast.ai's lesson 2, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["diagnose"]


def diagnose(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    """Findings as ``{"kind", "words"}``; an empty history (linear head only) gives none about the schedule."""
    history, classes = facts["history"], max(2, len(facts["classes"]))  # log(1) would forgive no loss
    n = facts["metrics"]["valid"].get("n", 0)
    found = [f for rule in (_rate_too_high, _rate_too_low) if (f := rule(history, classes))][:1]
    if not found:
        found = [f for f in (_overfitting(history, n), _too_few_epochs(history)) if f]
    if not found and history:
        found = [
            _finding("healthy", "Training went as it should: the loss fell and the error did not get worse.")
        ]
    return found


def _finding(kind: str, words: str) -> dict[str, str]:
    return {"kind": kind, "words": words}


def _rate_too_high(history: Sequence[Mapping[str, Any]], classes: int) -> dict[str, str] | None:
    losses = [h[k] for h in history for k in ("train_loss", "valid_loss")]
    if any(x is None or not math.isfinite(x) or x > 10 * math.log(classes) for x in losses):
        return _finding(
            "rate_too_high", "The learning rate was too high: the loss exploded. Lower [train] lr."
        )
    return None


def _rate_too_low(history: Sequence[Mapping[str, Any]], classes: int) -> dict[str, str] | None:
    train = [h["train_loss"] for h in history]
    if len(train) >= 3 and train[-1] > 0.8 * math.log(classes) and train[-1] > 0.85 * train[0]:
        return _finding(
            "rate_too_low", "The learning rate was too low: the loss hardly fell. Raise [train] lr."
        )
    return None


def _too_few_epochs(history: Sequence[Mapping[str, Any]]) -> dict[str, str] | None:
    if not history:
        return None
    errors = [h["error_rate"] for h in history]
    if (
        history[-1]["train_loss"] > history[-1]["valid_loss"]
        and errors[-1] == min(errors)
        and len(set(errors)) > 1
    ):
        return _finding(
            "too_few_epochs", "Too few epochs: training loss is above validation loss and the error was still "
            "falling. Raise [train] epochs.",
        )  # fmt: skip
    return None


def _overfitting(history: Sequence[Mapping[str, Any]], n: int) -> dict[str, str] | None:
    """Only when the error gets worse; a training loss below the validation loss alone is not overfitting."""
    errors = [h["error_rate"] for h in history]
    if len(errors) < 4:
        return None
    best = errors.index(min(errors))
    worse = errors[-1] - errors[best]
    if len(errors) - 1 - best >= 3 and worse * n > 2 and worse > 0.1 * errors[best]:
        return _finding(
            "overfitting", "Overfitting: the error has been getting worse. Fewer epochs, or more data."
        )
    return None
