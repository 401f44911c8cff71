"""What went wrong in training, if anything: the "things that can go wrong" of fast.ai's lesson 2, in words.

The lesson reads them off the training loss, the validation loss and the error rate. Three things differ here.

* The rules follow the loss on held-out pictures and the model that was kept. One picture more or fewer decides nothing.
* Training starts from a fitted linear head. A rate of nothing begins with a low loss too, and a training is only worth
  something if it ends below that head.
* The training loss of an epoch is of augmented pictures and of a network that still changed. ``train_plain_loss``, which is
  measured as the held-out loss is, takes its place where a model has it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keepset.text import share

__all__ = ["diagnose"]

STILL_FALLING = 0.05
"""A loss that fell by this share in the last epoch is still falling."""
ROSE = 0.1
"""A held-out loss this share above its lowest has risen."""
HARDLY = 0.03
"""A loss that fell by less than this share has not moved."""

Finding = dict[str, str]


@dataclass(frozen=True)
class _Course:
    """A training as the rules see it. Losses in nats by epoch, NaN for one that became no number.

    ``guess`` is what guessing would lose, ``head`` the held-out loss of the linear head (of the first epoch if it
    is unknown), ``rate`` the highest learning rate and ``suggested`` the finder's (0 if unknown). ``kept``: the network that was trained
    is the model, or half of it. ``n``: held-out pictures.
    """

    rows: Sequence[Mapping[str, Any]]
    guess: float
    n: int
    head: float
    rate: float
    suggested: float
    kept: bool

    def column(self, key: str) -> list[float]:
        """[] if this model did not record it."""
        if any(key not in r for r in self.rows):
            return []
        return [math.nan if r[key] is None else float(r[key]) for r in self.rows]

    @property
    def valid(self) -> list[float]:
        return self.column("valid_loss")

    @property
    def learned(self) -> list[float]:
        """The loss on training pictures."""
        return self.column("train_plain_loss") or self.column("train_loss")

    @property
    def luck(self) -> float:
        """A change of the held-out loss that two of the pictures can make, nats."""
        return 2 / max(1, self.n)


def diagnose(facts: Mapping[str, Any]) -> list[Finding]:
    """Findings as ``{"kind", "words"}``; none for a model that was not trained by epochs.

    ``facts`` holds ``history``, ``classes``, ``metrics["valid"]["n"]``, ``lr_find``, and ``model`` with ``winner`` and
    ``candidates``; all but the first two may be missing.
    """
    course = _course(facts)
    if not course.rows:
        return []
    rules = (_rate_too_high, _rate_too_low, _too_few_epochs, _no_gain, _overfitting)
    return [next(found for rule in (*rules, _healthy) if (found := rule(course)))]


def _course(facts: Mapping[str, Any]) -> _Course:
    rows, model, finder = facts["history"], facts.get("model", {}), facts.get("lr_find", {})
    rates = [float(x) for r in rows for x in (r.get("rates") or [r.get("lr")]) if x]
    head = (model.get("candidates", {}).get("linear_head") or {}).get("nll")
    return _Course(
        rows,
        math.log(max(2, len(facts["classes"]))),  # log(1) would forgive no loss
        int(facts.get("metrics", {}).get("valid", {}).get("n", 0)),
        float(rows[0]["valid_loss"] or math.inf if head is None else head) if rows else math.inf,
        max(rates, default=0.0),
        min([float(v) for k in ("chosen", "valley") if (v := finder.get(k))], default=0.0),
        model.get("winner") != "linear_head",
    )


def _finding(kind: str, words: str) -> Finding:
    return {"kind": kind, "words": words}


def _advice(c: _Course, verb: str) -> str:
    hint = f"; the finder suggests {c.suggested:.1e}" if c.suggested else ""
    return f"{verb} [train] lr, or leave it out{hint}."


def _rate_too_high(c: _Course) -> Finding | None:
    """A loss that exploded; or, at a rate above the finder's, a network that knows its own training pictures less well than
    the linear head, from which it started, knew new ones."""
    plain = c.column("train_plain_loss")
    losses = [*c.column("train_loss"), *c.valid, *plain]
    if any(not math.isfinite(x) for x in losses):
        told = "became infinite"
    elif max(losses) > 10 * c.guess or max(plain, default=0.0) > 2 * c.guess:
        told = f"rose to {max(losses):.3g}, where guessing gives {c.guess:.2f}"
    elif plain and c.rate > 2 * c.suggested and plain[-1] > c.head and c.valid[-1] > (1 + ROSE) * c.head:
        told = f"on its own training pictures ended at {plain[-1]:.2f}, above the {c.head:.2f} of the linear head on new ones"
    else:
        return None
    return _finding("rate_too_high", f"The learning rate was too high: the loss {told}. {_advice(c, 'Lower')}")


def _rate_too_low(c: _Course) -> Finding | None:
    """A rate far below the finder's that changed nothing; or one of which no finder says that it is right, and the network
    still guesses."""
    losses = c.learned
    fell = _fall(losses[0], losses[-1])
    moved = abs(fell) > HARDLY and abs(_fall(min(c.head, c.valid[0]), c.valid[-1])) > ROSE
    unmoved = len(losses) >= 2 and not moved and c.rate < c.suggested / 20
    low = not c.suggested or c.rate <= c.suggested / 5
    stuck = low and len(losses) >= 3 and losses[-1] > 0.8 * c.guess and fell < 3 * STILL_FALLING
    if not (unmoved or stuck):
        return None
    at = f" at a rate of {c.rate:.1e}" if c.rate else ""
    return _finding(
        "rate_too_low",
        f"The learning rate was too low: in {len(losses)} epochs{at} the loss fell by {share(max(0.0, fell))}. "
        + _advice(c, "Raise"),
    )


def _fall(first: float, last: float) -> float:
    return (first - last) / first if first > 0 else 0.0


def _no_gain(c: _Course) -> Finding | None:
    if c.kept:
        return None
    why = "the pretrained features already hold what these pictures can teach"
    if c.learned[-1] < c.head / 2 and c.valid[-1] > (1 + ROSE) * c.head:
        why = "it learned its training pictures by heart"
    return _finding(
        "no_gain",
        f"Fine-tuning brought no gain: {why} (held-out loss {c.valid[-1]:.3f}, linear head {c.head:.3f}). The linear head is "
        "the model. [train] epochs = 0 gives the same in seconds; with more pictures fine-tuning may help.",
    )


def _overfitting(c: _Course) -> Finding | None:
    """The held-out loss rose for two epochs or more, and no more pictures were right for it. One good epoch among worse ones
    is luck: of each and those beside it the middle one counts."""
    errors = c.column("error_rate")
    valid = [float(np.median(c.valid[max(0, i - 1) : i + 2])) for i in range(len(c.rows))]
    best = valid.index(min(valid))
    rose = valid[-1] > (1 + ROSE) * valid[best] + c.luck
    if len(valid) - 1 - best < 2 or not rose or errors[-1] * c.n < errors[best] * c.n - 2:
        return None
    return _finding(
        "overfitting",
        f"Too many epochs, so overfitting: the held-out loss was lowest around epoch {best + 1} of {len(valid)} "
        f"({valid[best]:.3f}) and has risen since, to {valid[-1]:.3f}. Take fewer epochs, or more pictures.",
    )


def _too_few_epochs(c: _Course) -> Finding | None:
    """The last epoch still took its share off the held-out loss, and off the loss on training pictures."""
    phase = [r.get("phase") for r in c.rows]
    own = c.valid[phase.index(phase[-1]) :]
    before, last = [c.head, *c.valid][-2:]
    falling = _fall(before, last) >= STILL_FALLING and before - last > c.luck and last <= min(own)
    if not falling or c.column("error_rate")[-1] == 0 or (len(c.rows) > 1 and _fall(*c.learned[-2:]) < STILL_FALLING):
        return None
    yet = "" if c.kept else f" It is not yet better than the linear head ({c.head:.3f}), which was kept."
    return _finding(
        "too_few_epochs",
        f"Too few epochs: the last one still took {share(_fall(before, last), 0)} off the held-out loss (now {last:.3f}).{yet} "
        "Raise [train] epochs.",
    )


def _healthy(c: _Course) -> Finding | None:
    words = f"the held-out loss went from {c.head:.3f} to {c.valid[-1]:.3f}"
    return _finding("healthy", f"Training went as it should: {words}.")
