"""More data, or cleaner data? What each would take off the error, tried on the pictures that are there.

*Cleaner*: the linear head is cross-validated twice, with the labels as they are and with those that are probably wrong put
right. *More*: the fitted curve over the number of pictures, carried on to twice as many. Both are judged on pictures whose
labels are not in doubt: on a wrongly labelled one the better head counts as wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.interpret.datasize import STRENGTHS, DataSize, weighed
from keepset.text import many, share
from keepset.train.head import cross_validate

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

__all__ = ["Doubts", "more_or_cleaner"]

LIKELY = 0.5
"""Chance from which a proposed change is taken for right."""
WORTH = 0.1
"""A share of the mistakes that is worth the work."""
PER_WRONG = 2.5
"""The share of the mistakes that usually goes with each share of labels corrected."""


@dataclass(frozen=True)
class Doubts:
    """What the review proposes: by picture the ``chance`` that a person would act on it, and the class number it should have
    (-1: out of the data set), [n] each; chance 0 where nothing is proposed."""

    chance: Floats
    label: Ints

    @property
    def wrong(self) -> Bools:
        return np.asarray(self.chance >= LIKELY)


def more_or_cleaner(data: DataSize, doubts: Doubts, curve: Mapping[str, Any]) -> dict[str, Any]:
    """What cleaning and doubling would do, and the advice in words; JSON-ready.

    ``curve``: of ``data_size_curve`` for the same ``data``, judged where ``~doubts.wrong``. ``answer`` is "cleaner", "more",
    "either" or "neither"; ``cleaner`` and ``more`` are the shares of the mistakes that each would save, of ``error_rate``.
    """
    doubtful, n = doubts.wrong, len(data.labels)
    found: dict[str, Any] = {
        "images": n,
        "doubtful": int(doubtful.sum()),
        "cleaner": 0.0,
        "more": None,
        "error_rate": None,
    }
    if curve["points"]:
        error = float(curve["points"][-1]["error_rate"])
        found |= {"error_rate": error, "more": float(curve["saved"])}
        if doubtful.any() and error:
            tried, spread = _tried(data, doubts)
            usual = PER_WRONG * float(doubts.chance.sum()) / n
            found["cleaner"], _ = weighed(usual, usual, tried / error, spread / error)
    found["answer"] = _answer(found)
    return found | {"words": _words(found)}


def _tried(data: DataSize, doubts: Doubts) -> tuple[float, float]:
    """By how much the error falls if what is probably wrong is put right, and the standard error of that."""
    judged = ~doubts.wrong
    now = _wrong(data, data.labels, np.ones(len(judged), bool), judged)
    clean = _wrong(data, np.where(judged, data.labels, doubts.label), judged | (doubts.label >= 0), judged)
    saved = now.astype(float) - clean
    return float(saved.mean()), float((saved.std() ** 2 + 1 / len(saved)) ** 0.5 / len(saved) ** 0.5)


def _wrong(data: DataSize, labels: Ints, used: Bools, judged: Bools) -> Bools:
    """Whether heads that learned from the ``used`` pictures of the other folds are wrong about the ``judged`` ones, [judged];
    at the strength with the fewest mistakes. ``judged`` are among ``used``."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        probs = cross_validate(data.features[used], labels[used], data.folds[used], data.classes, STRENGTHS)
    tried = (np.asarray(p[judged[used]].argmax(1) != data.labels[judged]) for p in probs)
    return min(tried, key=lambda wrong: int(wrong.sum()))


def _answer(found: Mapping[str, Any]) -> str:
    """The larger gain, if it is a tenth of the mistakes, and one at least. Of two that are alike the one that is less
    work: to look at what is proposed."""
    if found["more"] is None:
        return "more"
    cleaner, more = found["cleaner"], found["more"]
    if max(cleaner, more) < WORTH or max(cleaner, more) * found["error_rate"] * found["images"] < 1:
        return "neither"
    if min(cleaner, more) >= 0.8 * max(cleaner, more):
        return "either"
    return "cleaner" if cleaner > more else "more"


def _words(found: Mapping[str, Any]) -> str:
    if found["more"] is None:
        return "More data: there are too few pictures to draw a curve over their number."
    error, doubtful = found["error_rate"], found["doubtful"]
    labels = f"correcting the {many(doubtful, 'label')} that look{'s' if doubtful == 1 else ''} wrong"
    cleaned, doubled = (share(error * (1 - found[k])) for k in ("cleaner", "more"))
    clean = f"{labels} would take the error on new pictures from about {share(error)} to {cleaned}"
    twice = f"twice as many pictures would take the error on new pictures from about {share(error)} to {doubled}"
    beside = f"; {labels}, to {cleaned}." if doubtful else "; no label looks wrong."
    match found["answer"]:
        case "cleaner":
            return f"Cleaner data: {clean}; twice as many pictures, to {doubled}."
        case "more":
            return f"More data: {twice}{beside}"
        case "either":
            return f"Cleaner data first, since it is less work: {clean}, and twice as many pictures to {doubled}."
    if error == 0:
        return "Neither: no mistake is left that more or cleaner data could take away. Only harder pictures would tell more."
    return (
        f"Neither would change much: the error on new pictures is about {share(error)}, with twice as many {doubled}"
        + (f", with correct labels {cleaned}" if doubtful else "")
        + ". A larger network ([train] arch) or pictures of another kind may do more."
    )
