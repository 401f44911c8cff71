"""What went wrong in training, if anything: the "things that can go wrong" of fast.ai's lesson 2, in words.

The lesson reads them off three columns: training loss, validation loss, error rate. Two things differ here. Training
starts from a fitted linear head, so even a rate of nothing begins with a low loss: a rate is too low if it changed nothing
and is far from what the finder suggests. And the training loss of an epoch is of augmented pictures and a network
that still changed, so it says nothing beside the validation loss; ``train_plain_loss``, where a model has it, does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["diagnose"]

HARDLY = 0.03
"""A loss that fell by less than this share has not moved."""
STILL_FALLING = 0.05


@dataclass(frozen=True)
class _Course:
    """A training as the rules see it: its epochs, what guessing would lose (nats), and what there was before."""

    rows: Sequence[Mapping[str, Any]]
    guess: float
    n: int
    before: Mapping[str, Any]
    suggested: float | None
    kept: bool

    def column(self, key: str) -> list[float]:
        """The numbers of ``key`` by epoch, NaN for one that became no number; [] if this model did not record it."""
        if any(key not in r for r in self.rows):
            return []
        return [math.nan if r[key] is None else float(r[key]) for r in self.rows]

    @property
    def errors(self) -> list[float]:
        return self.column("error_rate")

    @property
    def highest_rate(self) -> float | None:
        rates = [x for r in self.rows for x in (r.get("rates") or [r.get("lr")]) if x]
        return max(rates, default=None)


def diagnose(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    """Findings as ``{"kind", "words"}``; none for a model that was not trained by epochs.

    ``facts`` holds ``history``, ``classes``, ``metrics["valid"]["n"]``, ``lr_find``, and ``model`` with ``winner`` and
    ``candidates``; all but the first two may be missing.
    """
    course = _course(facts)
    if not course.rows:
        return []
    for rule in (_rate_too_high, _rate_too_low):
        if found := rule(course):
            return [found]
    found_here = [f for f in (_overfitting(course), _too_few_epochs(course)) if f]
    return found_here or [_nothing_wrong(course)]


def _course(facts: Mapping[str, Any]) -> _Course:
    model, finder = facts.get("model", {}), facts.get("lr_find", {})
    suggestions = [v for k in ("chosen", "valley") if (v := finder.get(k))]
    return _Course(
        facts["history"],
        math.log(max(2, len(facts["classes"]))),  # log(1) would forgive no loss
        int(facts.get("metrics", {}).get("valid", {}).get("n", 0)),
        model.get("candidates", {}).get("linear_head") or {},
        min(suggestions, default=None),
        model.get("winner") != "linear_head",
    )


def _finding(kind: str, words: str) -> dict[str, str]:
    return {"kind": kind, "words": words}


def _advice(c: _Course, verb: str) -> str:
    hint = f"; the finder suggests {c.suggested:.1e}" if c.suggested else ""
    return f"{verb} [train] lr, or leave it out{hint}."


def _rate_too_high(c: _Course) -> dict[str, str] | None:
    plain = c.column("train_plain_loss")
    losses = [*c.column("train_loss"), *c.column("valid_loss"), *plain]
    exploded = any(not math.isfinite(x) or x > 10 * c.guess for x in losses)
    if exploded or any(x > 2 * c.guess for x in plain):
        worst = max((x for x in losses if math.isfinite(x)), default=math.nan)
        told = "became no number" if any(not math.isfinite(x) for x in losses) else f"rose to {worst:.3g}"
        return _finding(
            "rate_too_high",
            f"The learning rate was too high: the loss {told}, where guessing gives {c.guess:.2f}. "
            + _advice(c, "Lower"),
        )
    if plain and plain[-1] > max(1.25 * plain[0], plain[0] + 0.05) and c.errors[-1] > c.errors[0]:
        return _finding(
            "rate_too_high",
            f"The learning rate was too high: the network unlearned its own training images (their loss rose from "
            f"{plain[0]:.2f} to {plain[-1]:.2f}). " + _advice(c, "Lower"),
        )
    return None


def _rate_too_low(c: _Course) -> dict[str, str] | None:
    losses = c.column("train_plain_loss") or c.column("train_loss")
    fell = _fall(losses[0], losses[-1])
    highest = c.highest_rate
    far = bool(c.suggested and highest and highest < c.suggested / 20)
    unmoved = len(losses) >= 2 and abs(fell) < HARDLY and far
    above = bool(c.suggested and highest and highest > c.suggested)  # then lowness is not what is wrong
    stuck = len(losses) >= 3 and losses[-1] > 0.8 * c.guess and fell < 0.15 and not above
    if not (unmoved or stuck):
        return None
    at = f" at a rate of {highest:.1e}" if highest else ""
    return _finding(
        "rate_too_low",
        f"The learning rate was too low: in {len(losses)} epochs{at} the loss fell by {max(0.0, fell):.1%}. "
        + _advice(c, "Raise"),
    )


def _fall(first: float, last: float) -> float:
    return (first - last) / first if first > 0 else 0.0


def _too_few_epochs(c: _Course) -> dict[str, str] | None:
    """The last epoch still taught something: the held-out loss fell, under that of the linear head, and the network
    that was trained is the one in use. A falling training loss, or one error fewer, alone says nothing."""
    errors, valid, plain = c.errors, c.column("valid_loss"), c.column("train_plain_loss")
    head = float(c.before.get("nll", math.inf))
    if errors[-1] == 0 or errors[-1] > min(errors) or not c.kept or valid[-1] >= min([head, *valid[:-1]]):
        return None
    unlearned = c.rows[-1]["train_loss"] > valid[-1]
    if len(errors) == 1:  # before the first epoch there was the linear head
        still = unlearned and (not c.before or _fall(head, valid[0]) >= STILL_FALLING)
    elif plain:
        still = _fall(plain[-2], plain[-1]) >= STILL_FALLING
    else:
        still = unlearned and _fall(valid[-2], valid[-1]) >= STILL_FALLING
    if not still:
        return None
    return _finding("too_few_epochs", f"Too few epochs: {_still(c)}. Raise [train] epochs.")


def _still(c: _Course) -> str:
    errors, plain = c.errors, c.column("train_plain_loss")
    if len(errors) == 1:
        return "after the only one the training loss was still above the validation loss"
    what = "training" if plain else "validation"
    losses = plain or c.column("valid_loss")
    told = f"the last one still took {_fall(losses[-2], losses[-1]):.0%} off the {what} loss"
    if errors[-1] < errors[-2]:
        return f"{told}, and brought the error from {errors[-2]:.1%} to {errors[-1]:.1%}"
    return f"{told}, and the error ({errors[-1]:.1%}) was at its lowest"


def _overfitting(c: _Course) -> dict[str, str] | None:
    """Only when the error gets worse; a training loss below the validation loss alone is not overfitting."""
    errors = c.errors
    best = errors.index(min(errors))
    worse = errors[-1] - errors[best]
    if len(errors) - 1 - best < 3 or worse * c.n <= 2 or worse <= 0.1 * errors[best]:
        return None
    return _finding(
        "overfitting",
        f"Too many epochs, so overfitting: the error was {errors[best]:.1%} after epoch {best + 1} of {len(errors)} "
        f"and has got worse since, to {errors[-1]:.1%}. Take fewer epochs, or more data.",
    )


def _nothing_wrong(c: _Course) -> dict[str, str]:
    valid, errors = c.column("valid_loss"), c.errors
    first = float(c.before.get("nll") or valid[0])
    course = f"the held-out loss went from {first:.3f} to {valid[-1]:.3f}, the error ended at {errors[-1]:.1%}"
    if c.kept or valid[-1] < first:
        return _finding("healthy", f"Training went as it should: {course}.")
    return _finding(
        "no_gain",
        f"Fine-tuning brought no gain: {course}. That alone is not overfitting (only an error that keeps getting "
        "worse is): the pretrained features already hold what these images can teach. [train] epochs = 0 gives this "
        "model in seconds; more pictures, or harder ones, would give fine-tuning something to do.",
    )
