"""How many wrong pictures are left, and whether enough of them are found. Pure functions of random draws.

Each batch shows some pictures that nothing speaks against, drawn at random (``unproposed``). What a person finds among them
tells of those that were not drawn. Let L be the wrong pictures among those that nobody has decided. A draw was made from
``frame`` pictures, of which L + ``wrong`` + ``later`` were wrong: those that are left, those found in the draw, and those found
otherwise since. So the number found in the draw has a hypergeometric distribution that depends on L alone, whatever was
proposed and decided in between. From this follow

* the **estimate**: the posterior of L. The prior is what the review's scores expect of the frame of the last draw, with the
  spread that this expectation has over simulated sets; many random looks outweigh it. It is prediction-powered
  estimation (Angelopoulos et al., Science 382, 2023) in a form that makes sense of a dozen looks, none of them wrong.
* the **certificate** that ``ENOUGH`` of all wrong pictures are found. It is valid however often one looks, and whatever the scores are
  worth: for the true L, the product over draws of (probability of what was found, predicted before) / (its probability under L)
  is a martingale, which exceeds 20 with a chance of at most 5 % (Ville; Waudby-Smith & Ramdas, NeurIPS 2020). So each L for
  which it does is ruled out.

A random picture without a decision may be either: the estimate allows for both, the certificate takes it for wrong. A decision may be
wrong: the estimate assumes ``SLIPS``; the certificate takes decisions for the truth. ``bench/review/left.py`` proves both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = ["ENOUGH", "Draw", "Estimate", "certified", "estimate", "looks_until_certified", "may_be_left"]

ENOUGH = 0.95
"""Share of all wrong pictures that must be found."""
ERROR = 0.05
"""Chance that the certificate is given wrongly, at most; and that the estimate's interval misses."""
SCALE, SHAPE = 1.25, 0.4
"""Of the prior, fitted on simulated sets: wrong pictures per expected one, and the shape of the gamma distribution that this number
has over data sets."""
SLIPS = 0.01
"""Share of decisions on random pictures that are wrong, whichever way."""
STEPS = 20_000
"""Numbers of wrong pictures that are told apart; of larger sets every other one, and so on."""


@dataclass(frozen=True)
class Draw:
    """The random share of one batch: ``drawn`` of ``frame`` pictures, of which the review's scores expected ``expected`` to be wrong.

    Of the drawn ones ``wrong`` were decided to be so, and ``undecided`` have no decision. ``later``: other pictures of the frame
    that were found to be wrong since. ``outside``: pictures that are undecided now and could not be drawn then.
    """

    frame: int
    expected: float
    drawn: int
    wrong: int
    undecided: int = 0
    later: int = 0
    outside: int = 0

    @property
    def found(self) -> int:
        """Wrong pictures of the frame that are decided: at most those drawn, and all that were not. (A copy that a person
        relabels was in no frame, and may be counted in ``later`` all the same.)"""
        return self.wrong + min(self.later, self.frame - self.drawn)


@dataclass(frozen=True)
class Estimate:
    """Wrong pictures among the undecided ones: the mean of the posterior, and the shortest interval that holds
    95 % of it."""

    mean: float
    low: int
    high: int


def estimate(draws: Sequence[Draw], undecided: int) -> Estimate:
    """Of ``undecided`` pictures, after ``draws`` (oldest first, at least one)."""
    left, last = _numbers(undecided), draws[-1]
    odds = _prior(last, left + last.found)
    for d in draws:
        inside = left - np.rint(left * min(1.0, d.outside / max(undecided, 1))).astype(np.int64)
        odds = odds + np.logaddexp.reduce([_marked(d, inside, v) for v in range(d.undecided + 1)], axis=0)
    chance = np.exp(odds - odds.max())
    chance /= chance.sum()
    low, high = _shortest(np.cumsum(chance))
    return Estimate(float(chance @ left), int(left[low]), int(left[high]))


def certified(draws: Sequence[Draw], undecided: int, found: int) -> bool:
    """Whether ``ENOUGH`` of all wrong pictures are among the ``found`` ones, with an error of at most ``ERROR``."""
    left = _numbers(undecided)
    return _rules_out(_evidence(draws, left)[left > may_be_left(found)])


def looks_until_certified(draws: Sequence[Draw], undecided: int, found: int) -> int:
    """How many further random pictures, all of them right, would certify it; 0 if it is certified."""
    left = _numbers(undecided)
    many_left = left > may_be_left(found)
    so_far = _evidence(draws, left)
    expected = draws[-1].expected * undecided / max(draws[-1].frame, 1) if draws else 1.0
    few, many = -1, undecided
    while many - few > 1:
        middle = (few + many) // 2
        more = _evidence([Draw(undecided, expected, middle, 0)], left) if middle else np.zeros(len(left))
        few, many = (few, middle) if _rules_out((so_far + more)[many_left]) else (middle, many)
    return many


def may_be_left(found: int) -> int:
    """How many wrong pictures may be left if ``ENOUGH`` are among the ``found`` ones."""
    return int(found * (1 - ENOUGH) / ENOUGH + 1e-9)


def _rules_out(evidence: Floats) -> bool:
    return bool((evidence >= -math.log(ERROR)).all())


def _numbers(most: int) -> Ints:
    return np.arange(0, most + 1, 1 + most // STEPS)


def _shortest(below: Floats) -> tuple[int, int]:
    """The places of the ends of the shortest interval that holds 1 - ``ERROR``; of several the lowest. Usually one that begins with
    no wrong picture left, so that the whole error is on the side of too many."""
    before = np.concatenate([[0.0], below[:-1]])
    ends = np.searchsorted(below, before + 1 - ERROR - 1e-9)
    inside = np.flatnonzero(ends < len(below))
    first = int(inside[np.argmin((ends - np.arange(len(ends)))[inside])])
    return first, int(ends[first])


def _evidence(draws: Sequence[Draw], left: Ints) -> Floats:
    """Logarithm of the martingale against each L in ``left``."""
    total = np.zeros(len(left))
    for d in draws:
        true = _numbers(d.frame)
        prior = _prior(d, true)
        prior -= np.logaddexp.reduce(prior)
        ratios = []
        for unseen in range(d.undecided + 1):
            predicted = np.logaddexp.reduce(prior + _chance(d.wrong + unseen, d, true))
            ratios.append(predicted - _highest(_chance(d.wrong + unseen, d, left + d.found), d.outside, left))
        total += np.min(ratios, axis=0)
    return total


def _highest(values: Floats, outside: int, left: Ints) -> Floats:
    """Of each L the highest value of any number from L - ``outside`` to L: so many of the L may be outside the frame."""
    if not outside or len(left) < 2:
        return values
    reach = min(len(left) - 1, -(-outside // int(left[1])))
    padded = np.concatenate([np.full(reach, -np.inf), values])
    found: Floats = np.lib.stride_tricks.sliding_window_view(padded, reach + 1).max(axis=1)
    return found


def _marked(d: Draw, left: Ints, unseen: int) -> Floats:
    """Logarithm of the probability that ``wrong`` of the drawn pictures are marked as such and ``unseen`` of the undecided ones
    would be, by the number of those left, if ``SLIPS`` of all decisions are wrong."""
    from scipy.stats import binom

    said, terms = d.wrong + unseen, []
    for true in range(d.drawn + 1):
        hits = np.arange(min(said, true) + 1)
        chance = (binom.pmf(hits, true, 1 - SLIPS) * binom.pmf(said - hits, d.drawn - true, SLIPS)).sum()
        if chance > 1e-9:
            terms.append(math.log(chance) + _chance(true, d, left + max(true - unseen, 0) + d.found - d.wrong))
    found: Floats = np.logaddexp.reduce(terms, axis=0)
    return found


def _prior(d: Draw, true: Ints) -> Floats:
    """Logarithm of a negative binomial distribution with the mean ``SCALE`` x expected, up to a constant; cut at the frame."""
    from scipy.special import gammaln

    mean = SCALE * max(d.expected, 1e-6)
    found = gammaln(true + SHAPE) - gammaln(true + 1) + true * math.log(mean / (SHAPE + mean))
    return np.where(true <= d.frame, found, -np.inf)


def _chance(x: int, d: Draw, true: Ints) -> Floats:
    """Logarithm of the hypergeometric probability of ``x`` wrong ones in the draw, if ``true`` of its frame are wrong, [true]."""
    whole = _choose(np.array([d.frame]), d.drawn)
    return _choose(true, x) + _choose(d.frame - true, d.drawn - x) - whole


def _choose(n: Ints, k: int) -> Floats:
    """Logarithm of the binomial coefficient; -inf where there is none."""
    from scipy.special import gammaln

    if k < 0:
        return np.full(len(n), -np.inf)
    possible = np.maximum(n, k)
    found: Floats = gammaln(possible + 1) - gammaln(k + 1) - gammaln(possible - k + 1)
    return np.where(n >= k, found, -np.inf)
