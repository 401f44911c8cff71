"""Do the errors left and the certificate keep what they promise? On simulated sets whose errors are known.

    python -m bench.review.left [FOLDER [TRUTH.csv [PAIRS.csv]]] [--sets 700] [--seed 10000] [--work DIR]

``episodes.py`` draws the sets and says what each review would propose. Here a person decides on each batch: on what is proposed,
and on a random share. After each batch the estimate of ``keepset.review.left_odds`` is compared with what is left in truth. Then
the person does what ``keepset.review.left`` advises until the certificate is given: goes on with the most suspicious pictures, or looks
at as many random ones as are asked for. That is compared with two other ways to stop:
two batches running with at most 1 wrong picture in 50 (Keepset before), and 58 right ones running, the most suspicious first (an
upper limit of 5 % wrong at 95 %, as is often advised).

The prior of the estimate was fitted on the sets of seeds 0 to 699; by default others are used. Sets of ten times the size hold each
picture ten times, as ten pictures with the same score.
"""

from __future__ import annotations

import argparse
import pickle
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.review.episodes import Episode, episode, pool_of
from bench.review.noise.__main__ import OUT, base_of
from keepset.config import ReviewConfig
from keepset.review.left_odds import ENOUGH, Draw, certified, estimate, looks_until_certified, may_be_left
from keepset.review.unproposed import drawn_places, random_share

LOOKS = ReviewConfig().random_looks
RUNNING, POOR = 2, 1 / 50
CLEAN = 58


@dataclass
class Person:
    """What is decided so far: ``decided`` [n], and which of that is said to be wrong. A share ``slips`` of decisions is wrong."""

    wrong: np.ndarray
    slips: float
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.decided, self.said = np.zeros(len(self.wrong), bool), np.zeros(len(self.wrong), bool)
        self.frames: list[tuple[np.ndarray, np.ndarray, float]] = []

    def decide(self, shown: np.ndarray) -> None:
        new = shown & ~self.decided
        self.said |= new & (self.wrong ^ (self.rng.random(len(new)) < self.slips))
        self.decided |= new

    def look(self, frame: np.ndarray, chance: np.ndarray, count: int) -> None:
        """Decide on a random share of ``frame``, drawn as the product draws it."""
        order = np.flatnonzero(frame)
        order = order[np.argsort(-chance[order], kind="stable")]
        picked = order[drawn_places(len(order), count, self.rng)]
        self.frames.append((frame, picked, float(chance[frame].sum())))
        shown = np.zeros(len(frame), bool)
        shown[picked] = True
        self.decide(shown)

    def draws(self) -> list[Draw]:
        found = []
        for frame, picked, expected in self.frames:
            wrong = int(self.said[picked].sum())
            later = int((self.said & frame).sum()) - wrong
            found.append(Draw(int(frame.sum()), expected, len(picked), wrong, 0, later))
        return found

    @property
    def undecided(self) -> int:
        return int((~self.decided).sum())

    @property
    def left(self) -> int:
        return int((self.wrong & ~self.decided).sum())

    @property
    def recall(self) -> float:
        """Of the wrong pictures that this person would call so, the share that was looked at."""
        found = int((self.wrong & self.said).sum())
        return found / max(found + self.left, 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("base", nargs="*", type=Path, metavar="FOLDER [TRUTH.csv [PAIRS.csv]]")
    parser.add_argument("--sets", type=int, default=700)
    parser.add_argument("--seed", type=int, default=10_000, help="of the first set")
    parser.add_argument("--work", type=Path, default=OUT / "left", help="the pool and the scored sets are kept here")
    args = parser.parse_args()
    sets = _sets(args)
    for slips, size in ((0.0, 1), (0.05, 1), (0.0, 10)):
        title = f"\nreviewer: {slips:.0%} of decisions wrong; {len(sets)} sets, {size} × the pictures\n"
        print(title, *coverage(sets, slips, size), sep="\n", flush=True)
    for slips in (0.0, 0.05):
        for size in (1, 10):
            some = sets if size == 1 else sets[: len(sets) // 7]
            title = f"\nreviewer: {slips:.0%} wrong; {len(some)} sets, {size} × the pictures\n"
            print(title, *stops(some, slips, size), sep="\n", flush=True)
    return 0


def _sets(args: argparse.Namespace) -> list[Episode]:
    """From ``--work`` if they are there."""
    args.work.mkdir(parents=True, exist_ok=True)
    kept = args.work / f"sets-{args.seed}-{args.sets}.pkl"
    if not kept.exists():
        pool = pool_of(base_of(args.base), args.work)
        kept.write_bytes(pickle.dumps([episode(pool, args.seed + i) for i in range(args.sets)]))
    found: list[Episode] = pickle.loads(kept.read_bytes())
    return found


def coverage(sets: Sequence[Episode], slips: float, size: int) -> Iterator[str]:
    """A table: how often the interval holds what is left, by what was planted, by batch, and by how much is left."""
    rows = []
    for number, one in enumerate(sets):
        e = _larger(one, size)
        person = Person(e.wrong, slips, np.random.default_rng(number))
        for r in range(len(e.chance)):
            _batch(person, e, r)
            if not person.frames:
                continue
            found = estimate(person.draws(), person.undecided)
            rows.append((e.kind, r, person.left, found.mean, found.low, found.high))
    kind, batch = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    true, mean, low, high = np.array([r[2:] for r in rows]).T
    yield "| | estimates | in the interval | too few / too many left | left | estimated | width |"
    yield "|---|---|---|---|---|---|---|"
    some = {"all": true >= 0} | {k: kind == k for k in sorted(set(kind))}
    some |= {f"after batch {b + 1}": batch == b for b in sorted(set(batch))}
    some |= {f"{a} to {b} left": (true >= a) & (true <= b) for a, b in ((0, 0), (1, 3), (4, 10), (11, 9999))}
    for name, of in some.items():
        if not of.any():
            continue
        t, m, lo, hi = true[of], mean[of], low[of], high[of]
        inside = ((lo <= t) & (t <= hi)).mean()
        yield (
            f"| {name} | {of.sum()} | {inside:.1%} | {(t < lo).mean():.1%} / {(t > hi).mean():.1%} "
            f"| {t.mean():.1f} | {m.mean():.1f} | {(hi - lo).mean():.0f} |"
        )


def stops(sets: Sequence[Episode], slips: float, size: int) -> Iterator[str]:
    """A table: for each way to stop, in how many sets 95 % is found, and the looks."""
    yield "| stops | 95 % found | recall, mean and lowest 5 % | looks, median | of the set | of the noisiest third |"
    yield "|---|---|---|---|---|---|"
    noise = np.array([e.wrong.mean() for e in sets])
    noisy = noise >= np.quantile(noise, 2 / 3)
    for name, way in (
        ("certificate", _certificate),
        ("“probably 95 %”", _probably),
        ("two poor batches (before)", _poor),
        ("58 right running", _running),
    ):
        found = []
        for number, e in enumerate(sets):
            person = Person(np.repeat(e.wrong, size), slips, np.random.default_rng(number))
            way(person, _larger(e, size))
            found.append((person.recall, person.decided.sum(), len(person.wrong)))
        recall, looks, n = np.array(found).T
        yield (
            f"| {name} | {(recall >= ENOUGH - 1e-9).mean():.1%} | {recall.mean():.1%}, {np.quantile(recall, 0.05):.0%} "
            f"| {np.median(looks):.0f} | {np.mean(looks / n):.0%} | {np.mean((looks / n)[noisy]):.0%} |"
        )


def _larger(e: Episode, size: int) -> Episode:
    repeated = [np.repeat(a, size, axis=-1) for a in (e.wrong, e.label, e.chance, e.proposed)]
    return Episode(e.kind, *repeated)


def _batch(person: Person, e: Episode, r: int) -> None:
    frame = ~person.decided & ~e.proposed[r]
    person.decide(e.proposed[r])
    if looks := random_share(int(frame.sum()), LOOKS):
        person.look(frame, e.chance[r], looks)


def _certificate(person: Person, e: Episode) -> None:
    _probably(person, e, sure=True)


def _probably(person: Person, e: Episode, *, sure: bool = False) -> None:
    """Batch after batch; when nothing is proposed any more, the most suspicious tenth with a random share, until so few are
    probably left that 95 % is found. To be ``sure``, then as many random looks as are said to be needed."""
    for r in range(len(e.chance)):
        _batch(person, e, r)
        if _done(person, sure):
            return
    while not _done(person, sure):
        if _done(person, sure=False):
            found = int(person.said.sum())
            person.look(~person.decided, e.chance[-1], looks_until_certified(person.draws(), person.undecided, found))
            continue
        order = np.argsort(-np.where(person.decided, -1.0, e.chance[-1]), kind="stable")
        next_ones = np.zeros(len(order), bool)
        next_ones[order[: max(LOOKS, person.undecided // 10)]] = True
        frame = ~person.decided & ~next_ones
        person.decide(next_ones)
        person.look(frame, e.chance[-1], min(LOOKS, int(frame.sum())))


def _done(person: Person, sure: bool) -> bool:
    draws, found = person.draws(), int(person.said.sum())
    if sure:
        return certified(draws, person.undecided, found)
    few = bool(draws) and round(estimate(draws, person.undecided).mean) <= may_be_left(found)
    return few or not person.undecided


def _poor(person: Person, e: Episode) -> None:
    last: list[tuple[int, int]] = []
    for shown in e.proposed:
        new = shown & ~person.decided
        person.decide(shown)
        last = [*last, (int(person.said[new].sum()), int(new.sum()))][-RUNNING:]
        if len(last) == RUNNING and all(found <= POOR * n for found, n in last):
            return


def _running(person: Person, e: Episode) -> None:
    """What is proposed, then the most suspicious first, until so many running are right."""
    for shown in e.proposed:
        person.decide(shown)
    clean = 0
    for place in np.argsort(-e.chance[-1], kind="stable"):
        if person.decided[place]:
            continue
        one = np.zeros(len(person.wrong), bool)
        one[place] = True
        person.decide(one)
        clean = 0 if person.said[place] else clean + 1
        if clean == CLEAN:
            return


if __name__ == "__main__":
    sys.exit(main())
