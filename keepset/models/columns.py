"""Mistakes of two models on the same pictures, counted twice: under the labels as they were, and as they are now.

A model proposed the changes of label, so under the new labels the old model, too, looks better. Only both columns together
say what the change has taught.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Labels = npt.NDArray[Any]

__all__ = ["Column", "Columns", "columns"]

_DRAWS = 4000


@dataclass(frozen=True)
class Column:
    """Mistakes ``before`` and ``after``; pictures that only the later model gets right (``fixed``) or wrong (``broken``);
    ``low`` to ``high``: 95 % interval of the change, below zero for the better."""

    before: int
    after: int
    fixed: int
    broken: int
    low: int
    high: int

    @property
    def change(self) -> int:
        return self.after - self.before

    @property
    def clear(self) -> bool:
        """Whether chance alone hardly explains the change."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Columns:
    """``was`` under the labels as they were, ``now`` under the new ones, over the same ``n`` pictures."""

    n: int
    was: Column
    now: Column

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Columns:
        return cls(raw["n"], Column(**raw["was"]), Column(**raw["now"]))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def columns(was: Labels, now: Labels, before: Labels, after: Labels) -> Columns:
    """From labels and what both models say, each [n]."""
    return Columns(len(was), *(_column(before != labels, after != labels) for labels in (was, now)))


def _column(wrong: npt.NDArray[np.bool_], later: npt.NDArray[np.bool_]) -> Column:
    fixed, broken = int((wrong & ~later).sum()), int((~wrong & later).sum())
    low, high = _interval(fixed, broken, len(wrong))
    return Column(int(wrong.sum()), int(later.sum()), fixed, broken, low, high)


def _interval(fixed: int, broken: int, n: int) -> tuple[int, int]:
    """Of ``broken - fixed``, by drawing the pictures anew (paired bootstrap, percentiles), seeded. Half a picture is added to both
    (Agresti and Min, Statistics in Medicine 24, 2005): none seen does not mean that there can be none.
    """
    if not n:
        return 0, 0
    shares = np.array([fixed + 0.5, broken + 0.5, n - fixed - broken])
    shares = shares / shares.sum()
    drawn = np.random.default_rng(0).multinomial(n, shares, _DRAWS)
    low, high = np.quantile(drawn[:, 1] - drawn[:, 0], [0.025, 0.975], method="nearest")
    return int(low), int(high)
