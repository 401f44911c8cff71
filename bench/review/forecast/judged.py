"""Forecasts of batches beside what retraining gave."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.review.forecast.batches import careless
from bench.review.forecast.retrained import Outcome
from bench.review.forecast.sets import JUNK, Labelled
from keepset.forecast import SURE
from keepset.forecast.heads import Heads, Known, compressed, effects, retrained
from keepset.models.columns import Column, columns

__all__ = ["Features", "Judged", "disputes", "judged", "table"]


@dataclass(frozen=True)
class Judged:
    """One batch and one column (``under``: the labels as they "were" or "will" be): what was forecast, and what came.

    ``differ``: of ``n`` pictures, those on which the retrained head says something else than forecast; ``flips`` and ``found``:
    validation pictures whose answer changes in the real retraining, and those of them that were forecast; ``false_flips``: forecast
    and did not come.
    """

    name: str
    kind: str
    under: str
    n: int
    forecast: Column
    real: Column
    differ: int
    flips: int
    found: int
    false_flips: int
    seconds: float

    @property
    def agrees(self) -> bool:
        return bool(np.sign(self.forecast.change) == np.sign(self.real.change))

    @property
    def covered(self) -> bool:
        return self.forecast.low <= self.real.change <= self.forecast.high


@dataclass(frozen=True)
class Features:
    """A set's features as the product reads them from a model's file."""

    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, places: Sequence[int]) -> np.ndarray:
        return self.rows[places]

    def pieces(self) -> Iterator[tuple[slice, np.ndarray]]:
        yield slice(0, len(self.rows)), self.rows


def judged(s: Labelled, outcomes: Sequence[Outcome]) -> list[Judged]:
    """Two results for each batch: by the old and by the new labels."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        known = Known(compressed(Features(s.features)), s.folds, s.learn, s.classes)  # type: ignore[arg-type]
        before = retrained(known, s.labels)
        return [row for o in outcomes[1:] for row in _judged(s, known, before, outcomes[0], o)]


def _judged(s: Labelled, known: Known, before: Heads, base: Outcome, o: Outcome) -> Iterator[Judged]:
    begin = time.process_time()
    after = retrained(known, o.after)
    effects(known, after, s.labels, o.after)
    seconds = time.process_time() - begin
    left = o.after != JUNK
    said = [p.argmax(1)[left] for p in (before.probs, after.probs)]
    forecast = columns(s.labels[left], o.after[left], *said)
    real = columns(s.labels[left], o.after[left], base.cv[left], o.cv[left])
    held = s.valid & left
    came, foreseen = (base.head != o.head)[held], (before.said != after.said)[held]
    for under, f, r in (("were", forecast.was, real.was), ("will", forecast.now, real.now)):
        yield Judged(
            s.name, o.kind, under, forecast.n, f, r, int((said[1] != o.cv[left]).sum()), int(came.sum()),
            int((came & foreseen).sum()), int((foreseen & ~came).sum()), seconds,
        )  # fmt: skip


def disputes(s: Labelled, draws: int = 2) -> np.ndarray:
    """Of relabelled pictures, by a reviewer who is wrong in two of seven marks: the wrong ones that *Look again* names, all wrong ones,
    the right ones that it names, all right ones."""
    from threadpoolctl import threadpool_limits

    found = np.zeros(4, int)
    with threadpool_limits(1):
        known = Known(compressed(Features(s.features)), s.folds, s.learn, s.classes)  # type: ignore[arg-type]
        for draw in range(draws):
            after = careless(s, np.random.default_rng(100 + draw), 0.4)
            probs = retrained(known, after).probs
            moved = np.flatnonzero((after != s.labels) & (after != JUNK) & s.sure)
            named = (probs[moved].max(1) >= SURE) & (probs[moved].argmax(1) != after[moved])
            wrong = after[moved] != s.truth[moved]
            found += [(named & wrong).sum(), wrong.sum(), (named & ~wrong).sum(), (~wrong).sum()]
    return found


def table(rows: Sequence[Judged]) -> Iterator[str]:
    """Lines of Markdown: over all, by set, and by kind of batch."""
    yield "| | batches | clear | sign agrees | opposite sign | within the interval | answers that differ | flips foreseen | flips that did not come |"
    yield "|---|---|---|---|---|---|---|---|---|"
    yield _line("all", rows)
    for name in dict.fromkeys(r.name for r in rows):
        yield _line(name, [r for r in rows if r.name == name])
    for kind in dict.fromkeys(r.kind for r in rows):
        yield _line(f"*{kind}*", [r for r in rows if r.kind == kind])


def _line(name: str, rows: Sequence[Judged]) -> str:
    clear = [r for r in rows if r.forecast.clear]
    agree = sum(r.agrees for r in clear)
    opposite = sum(r.forecast.change * r.real.change < 0 for r in clear)
    covered = sum(r.covered for r in rows)
    once = [r for r in rows if r.under == "will"]
    flips, found, false = (sum(getattr(r, k) for r in once) for k in ("flips", "found", "false_flips"))
    differ, n = (sum(getattr(r, k) for r in once) for k in ("differ", "n"))
    cells = [
        name, len(once), f"{len(clear)} of {len(rows)}", f"{agree} of {len(clear)}", opposite,
        f"{covered / len(rows):.0%}", f"{differ / n:.2%}", f"{found} of {flips}", false,
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"
