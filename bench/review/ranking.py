"""How good an order is: what a person finds who looks through it from the front."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["SHARES", "Found", "average_precision", "found_in", "measured"]

SHARES = (0.05, 0.10, 0.20)


@dataclass(frozen=True)
class Found:
    """Of one order of ``images``, ``bad`` of them bad: average precision; bad ones among the first of each of
    ``SHARES`` and among the first 2 x ``bad``; the same by kind."""

    images: int
    bad: int
    precision: float
    first: tuple[int, ...]
    twice: int
    kinds: dict[str, tuple[int, ...]]
    """By kind: how many there are, found in each of ``SHARES``, found in 2 x ``bad`` looks."""


def average_precision(order: Sequence[str], bad: Collection[str]) -> float:
    """Mean over the bad ones of the precision at each one's place; one that is not in ``order`` counts 0; 0 if none.

    The step-wise integral of scikit-learn's ``average_precision_score``, without ties.
    """
    places = [i for i, s in enumerate(order, 1) if s in bad]
    return sum(n / place for n, place in enumerate(places, 1)) / len(bad) if bad else 0.0


def found_in(order: Sequence[str], bad: Collection[str], looks: int) -> int:
    return sum(s in bad for s in order[:looks])


def measured(order: Sequence[str], bad: Mapping[str, str], ignored: Collection[str]) -> Found:
    """``bad`` is the kind by image; what is in ``ignored`` is taken out of the order first. Shares are rounded up."""
    counted = [s for s in order if s not in ignored]
    looks = [math.ceil(share * len(counted) - 1e-9) for share in SHARES] + [2 * len(bad)]
    everything = [found_in(counted, bad, n) for n in looks]
    kinds = {}
    for kind in sorted(set(bad.values())):
        mine = {s for s, k in bad.items() if k == kind}
        kinds[kind] = (len(mine), *(found_in(counted, mine, n) for n in looks))
    precision = average_precision(counted, bad)
    return Found(len(counted), len(bad), precision, tuple(everything[:-1]), everything[-1], kinds)
