"""The error on sources that were not trained on: the product's head, with whole sites or creators left out.

A random split asks about further pictures of the same sites. Somebody who uses a model has another site. So each source
in turn is left out (many of them in ten parts), the head learns from the others, and judges it. The frozen features do not
change, so a fit takes a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.models.intervals import clustered, effective, wilson
from keepset.text import many, share, span
from keepset.train.head import fit_head

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[Any]
    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

__all__ = ["Judged", "Unseen", "error_on_unseen"]

MOST_IMAGES = 10_000
PARTS = 10
EACH = 12
"""Up to so many sources each one is left out on its own."""
FEWEST_SOURCES, FEWEST_IMAGES = 6, 30
ELSEWHERE, LEAST_ELSEWHERE = 1 / 3, 5
"""What must be left of a class when a source is left out: a share of its pictures, and a number."""
MOST = 0.5
"""A source with more of the images is always learned from: without it there would be another, smaller data set."""


@dataclass(frozen=True)
class Judged:
    """What is known of ``n`` images: class numbers ``labels``, ``folds`` of the random split, ``plain_wrong`` (whether the
    head of the other folds was wrong) and the site and creator of each (None: not known). ``groups``: copies and
    pictures of one scene share one. ``features`` reads those at some places, [m, d].
    """

    classes: Sequence[str]
    labels: Ints
    folds: Ints
    plain_wrong: Bools
    sites: Sequence[str | None]
    creators: Sequence[str | None]
    groups: Sequence[str]
    features: Callable[[Ints], Floats]
    strength: float
    seed: int


@dataclass(frozen=True)
class Unseen:
    """The error on sources that were not trained on, with its 95 % interval, or ``why_not`` (a sentence).

    ``by`` is "site" or "creator". ``plain``: the error on the same pictures under the random split, with Wilson's interval.
    ``not_counted``: classes that one source has nearly alone. ``hardest``: sources with mistakes, as (name, wrong, pictures).
    """

    by: str = ""
    sources: int = 0
    pictures: int = 0
    wrong: int = 0
    error: float | None = None
    low: float | None = None
    high: float | None = None
    plain: float | None = None
    plain_low: float | None = None
    plain_high: float | None = None
    why_not: str = ""
    not_counted: list[str] = field(default_factory=list)
    hardest: list[tuple[str, int, int]] = field(default_factory=list)

    def words(self) -> str:
        """The sentence that the report and ``keepset status`` show."""
        if self.error is None or self.low is None or self.high is None or self.plain is None:
            return self.why_not
        what = "a site" if self.by == "site" else "a creator"
        left_out = ", ".join(f"'{label}'" for label in self.not_counted[:5])
        return (
            f"On {what} it has not seen, likely {span(1 - self.high, 1 - self.low)} right: "
            f"{self.pictures - self.wrong} of {many(self.pictures, 'picture')} from {self.sources} {self.by}s, each left out of "
            f"the training in turn. On new pictures from the same {self.by}s: {round(self.pictures * (1 - self.plain))}."
            + (f" Not counted: {left_out}, which one {self.by} has nearly alone." if left_out else "")
        )


def error_on_unseen(data: Judged) -> Unseen:
    """By site where that can be told, else by creator."""
    keep = np.arange(len(data.labels))
    if len(keep) > MOST_IMAGES:
        keep = np.sort(np.random.default_rng([data.seed, 2]).permutation(keep)[:MOST_IMAGES])
    found = [_by(data, keep, by, names) for by, names in (("site", data.sites), ("creator", data.creators))]
    return next((f for f in found if f.error is not None), _neither(found))


def _neither(found: list[Unseen]) -> Unseen:
    """The reason that speaks of what is known; of sites first."""
    nothing = "How it does on a new site cannot be measured: the sites and creators of the pictures are not known."
    return next((f for f in found if f.sources), Unseen(why_not=nothing))


def _by(data: Judged, keep: Ints, by: str, named: Sequence[str | None]) -> Unseen:
    names, of = _numbers([named[i] for i in keep])
    labels = data.labels[keep]
    test = _can_be_judged(of, labels) & ~_copied(of, _numbers([data.groups[i] for i in keep])[1])
    groups = of[test]
    sources = len(np.unique(groups))
    few = sources < FEWEST_SOURCES or effective(groups) < FEWEST_SOURCES - 2 or len(groups) < FEWEST_IMAGES
    counted = np.bincount(labels[test], minlength=len(data.classes)) > 0
    if few or counted.sum() < 2 or len(groups) < len(keep) / 2:
        return Unseen(by, len(names), len(groups), why_not=_why_not(data.classes, by, names, of, labels))
    rows = data.features(keep)
    wrong, judged = _wrong(rows, labels, _parts(of, test), test, data)
    plain = data.plain_wrong[keep]
    if len(keep) < len(data.labels):  # the same number of pictures to learn from, or the two could not be compared
        plain, _ = _wrong(rows, labels, data.folds[keep], judged, data)
    groups, n = of[judged], int(judged.sum())
    low, high = clustered(wrong[judged], groups)
    errors, before = int(wrong[judged].sum()), int(plain[judged].sum())
    plain_low, plain_high = wilson(before, n)
    return Unseen(
        by, len(np.unique(groups)), n, errors, errors / n, low, high, before / n, plain_low, plain_high,
        not_counted=[data.classes[c] for c in np.unique(labels) if not counted[c]],
        hardest=_hardest(names, groups, wrong[judged]),
    )  # fmt: skip


def _numbers(named: Sequence[str | None]) -> tuple[list[str], Ints]:
    """Names in order, and the number of each image's; -1: not known."""
    names = sorted({s for s in named if s})
    number = {s: i for i, s in enumerate(names)}
    return names, np.array([number[s] if s else -1 for s in named], dtype=np.int64)


def _can_be_judged(of: Ints, labels: Ints) -> Bools:
    """Images of known source whose class is well known without that source."""
    k = int(labels.max()) + 1
    pairs = of * k + labels
    _, place, same = np.unique(pairs, return_inverse=True, return_counts=True)
    others = np.bincount(labels, minlength=k)[labels] - same[place]
    enough = others >= np.maximum(LEAST_ELSEWHERE, np.bincount(labels, minlength=k)[labels] * ELSEWHERE)
    sizes = np.bincount(of + 1, minlength=2)[of + 1]
    return np.asarray((of >= 0) & enough & (sizes <= MOST * len(of)))


def _copied(of: Ints, groups: Ints) -> Bools:
    """Images of which another source has a copy: without their own source they would still be known."""
    width = int(of.max()) + 2
    pairs = np.unique(groups * width + of + 1)
    several = np.bincount(pairs // width, minlength=int(groups.max()) + 1) > 1
    return np.asarray(several[groups])


def _parts(of: Ints, test: Bools) -> Ints:
    """The part in which each image is left out, -1: in none. Whole sources, spread evenly, the largest first."""
    sources, sizes = np.unique(of[test], return_counts=True)
    count = len(sources) if len(sources) <= EACH else PARTS
    load, part = np.zeros(count, int), np.full(int(of.max()) + 2, -1)
    for i in np.lexsort((sources, -sizes)):
        part[sources[i]] = load.argmin()
        load[part[sources[i]]] += sizes[i]
    return np.asarray(part[of], dtype=np.int64)  # of -1 is the last, which no source has


def _wrong(rows: Floats, labels: Ints, parts: Ints, test: Bools, data: Judged) -> tuple[Bools, Bools]:
    """Whether each image of ``test`` was taken for another class by the head of the other parts, and which were judged:
    not those whose class the others hardly have.
    """
    classes = len(data.classes)
    wrong, judged = np.zeros(len(labels), bool), np.zeros(len(labels), bool)
    for part in np.unique(parts[test]):
        out = parts == part
        known = np.bincount(labels[~out], minlength=classes) >= LEAST_ELSEWHERE
        mine = np.flatnonzero(out & test & known[labels])
        if len(mine):
            head = fit_head(rows[~out], labels[~out], classes, data.strength)
            wrong[mine] = head.logits(rows[mine]).argmax(1) != labels[mine]
            judged[mine] = True
    return wrong, judged


def _hardest(names: list[str], groups: Ints, wrong: Bools) -> list[tuple[str, int, int]]:
    n, errors = np.bincount(groups, minlength=len(names)), np.bincount(groups, wrong, minlength=len(names))
    order = sorted(np.flatnonzero(errors), key=lambda g: (-errors[g], n[g], names[g]))
    return [(names[g], int(errors[g]), int(n[g])) for g in order[:8]]


def _why_not(classes: Sequence[str], by: str, names: list[str], of: Ints, labels: Ints) -> str:
    """A sentence about what is missing."""
    begin = f"How it does on a new {by} cannot be measured: "
    if not names:
        return f"{begin}the {by}s of the pictures are not known."
    for c, label in enumerate(classes):
        known = of[(labels == c) & (of >= 0)]
        if len(known) and len(names) > 1 and (most := float(np.bincount(known).max()) / len(known)) > 1 - ELSEWHERE:
            only = names[int(np.bincount(known).argmax())]
            return f"{begin}{share(most, 0)} of '{label}' comes from {only}. Add pictures of it from other {by}s."
    few = f"{many(len(names), by)}" + (f" ({', '.join(names[:3])})" if len(names) <= 3 else "")
    return (
        f"{begin}the pictures come from {few}, and at least {FEWEST_SOURCES} with pictures of every class are needed."
    )
