"""From pairs that are copies or the same scene to groups, and in each to the best picture and its copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.duplicates.compare import Look, look_at
from keepset.duplicates.sets import Sets
from keepset.duplicates.verdict import Kinship, PairVerdict, judge

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["SCENE", "Judge", "Pair", "Pictures", "group", "hanging_together"]

SCENE = "scene"
Pair = tuple[int, int]
Judge = Callable[[Sequence[Pair]], Mapping[Pair, PairVerdict]]
"""Verdicts on those of the pairs (i, j), i < j, that are copies or the same scene."""
_COARSER = 4
"""So many times fewer pixels of what both show, and the picture that shows more is not the better one."""


@dataclass(frozen=True)
class Pictures:
    """What grouping needs to know of ``n`` good images: columns of length n, in one order."""

    sha256: Sequence[str]
    phash: npt.NDArray[np.uint64]
    width: npt.NDArray[np.int32]
    height: npt.NDArray[np.int32]
    bytes: npt.NDArray[np.int64]

    def pixels(self, i: int) -> int:
        return int(self.width[i]) * int(self.height[i])


def group(
    pictures: Pictures,
    plain: Iterable[Sequence[int]],
    pairs: Iterable[Pair],
    judging: Judge,
    digests: Callable[[list[str]], Mapping[str, str]],
) -> dict[str, dict[str, Any]]:
    """``{"group_id", "dup_of", "dup_kind", "dup_how", "pixel_hash"}`` by sha256 of the images that are not alone.

    ``plain``: groups of uniform pictures of one colour, which are copies. ``pairs``: what else may be copies. ``digests``
    gives a digest of the full upright pixels of the images it is asked for: copies of one size, because only there it
    decides anything.

    A group is all that hangs together by copies and same scenes. In it every copy names, in ``dup_of``, a better picture
    that it was compared with itself: one that shows more of the scene, or is without additions, or has the most pixels.
    It is ``exact`` if it has its very pixels, else ``near``; ``dup_how`` says what was done to it. Pictures of one scene
    that are no copies have ``dup_kind`` ``scene`` and no ``dup_of``.
    """
    kin = _Kin(pictures, plain, judging)
    kin.ask(pairs)
    copies, groups = kin.sets(Kinship.COPY), kin.sets(*Kinship)
    best = kin.best_of(copies.groups())
    known = _digests(pictures, best, digests)
    out: dict[str, dict[str, Any]] = {}
    for members in groups.groups():
        heads = sum(i not in best for i in members)
        group_id = min(pictures.sha256[i] for i in members)
        for i in members:
            out[pictures.sha256[i]] = {"group_id": group_id, **_facts(kin, i, best.get(i), heads, known)}
    return out


def _facts(kin: _Kin, i: int, head: int | None, heads: int, known: Mapping[str, str]) -> dict[str, Any]:
    sha = kin.pictures.sha256[i]
    digest = known.get(sha)
    if head is None:
        kind = SCENE if heads > 1 else None
        return {"dup_of": None, "dup_kind": kind, "dup_how": None, "pixel_hash": digest}
    best = kin.pictures.sha256[head]
    exact = digest is not None and digest == known.get(best)
    verdict = None if exact else kin.verdict(head, i)
    return {
        "dup_of": best,
        "dup_kind": "exact" if exact else "near",
        "dup_how": verdict.words() if verdict else "",
        "pixel_hash": digest,
    }


def _digests(
    p: Pictures, best: Mapping[int, int], digests: Callable[[list[str]], Mapping[str, str]]
) -> Mapping[str, str]:
    """Of copies and their best that have one size."""
    wanted: set[str] = set()
    for i, head in best.items():
        if (p.width[i], p.height[i]) == (p.width[head], p.height[head]):
            wanted |= {p.sha256[i], p.sha256[head]}
    return digests(sorted(wanted)) if wanted else {}


class _Kin:
    """Which pictures belong together, as far as that was asked."""

    def __init__(self, pictures: Pictures, plain: Iterable[Sequence[int]], judging: Judge) -> None:
        self.pictures, self.judging = pictures, judging
        self.plain = [list(members) for members in plain]
        self.colour = {i: members[0] for members in self.plain for i in members}
        self.asked: set[Pair] = set()
        self.verdicts: dict[Pair, PairVerdict] = {}

    def ask(self, pairs: Iterable[Pair]) -> None:
        new = [(i, j) for i, j in pairs if (i, j) not in self.asked and not self._one_colour(i, j)]
        new = list(dict.fromkeys(new))
        self.asked.update(new)
        self.verdicts.update(self.judging(new) if new else {})

    def _one_colour(self, i: int, j: int) -> bool:
        return i in self.colour and self.colour[i] == self.colour.get(j)

    def verdict(self, i: int, j: int) -> PairVerdict | None:
        """As seen from ``i``."""
        found = self.verdicts.get((min(i, j), max(i, j)))
        return found.turned() if found and i > j else found

    def sets(self, *kinships: Kinship) -> Sets:
        out = Sets(len(self.pictures.sha256))
        for members in self.plain:
            for i in members[1:]:
                out.join(members[0], i)
        for (i, j), verdict in self.verdicts.items():
            if verdict.kinship in kinships:
                out.join(i, j)
        return out

    def best_of(self, sets: Iterable[list[int]]) -> dict[int, int]:
        """The better picture of each copy, both in one of ``sets`` and compared with each other.

        In each set the best picture takes its copies; among the others, if there are any, the next best.
        """
        best: dict[int, int] = {}
        left = [members for members in sets if len(members) > 1]
        while left:
            heads = [self._best(members) for members in left]
            self.ask((min(h, i), max(h, i)) for h, members in zip(heads, left, strict=True) for i in members if i != h)
            rest = []
            for head, members in zip(heads, left, strict=True):
                taken = [i for i in members if i != head and self._are_copies(head, i)]
                best.update(dict.fromkeys(taken, head))
                rest.append([i for i in members if i != head and i not in best])
            left = [members for members in rest if len(members) > 1]
        return best

    def _are_copies(self, i: int, j: int) -> bool:
        verdict = self.verdict(i, j)
        return self._one_colour(i, j) or bool(verdict and verdict.kinship == Kinship.COPY)

    def _best(self, members: list[int]) -> int:
        """The one that no other is fuller than, of these with the most pixels, then bytes; at last by sha256."""
        p, mine, lacking = self.pictures, set(members), Counter[int]()
        for i, j in self._known_among(mine):
            fuller = self._fuller(i, j)
            lacking[i] += fuller < 0
            lacking[j] += fuller > 0
        return min(members, key=lambda i: (lacking[i] > 0, -p.pixels(i), -int(p.bytes[i]), p.sha256[i]))

    def _known_among(self, members: set[int]) -> Iterator[Pair]:
        if len(members) > 50:  # of hundreds of placeholders none is fuller
            return
        for i in members:
            yield from ((i, j) for j in members if i < j and (i, j) in self.verdicts)

    def _fuller(self, i: int, j: int) -> int:
        verdict = self.verdicts[i, j]
        fuller = verdict.fuller() if verdict.kinship == Kinship.COPY else 0
        seen = [self.pictures.pixels(k) * share for k, share in zip((i, j), verdict.shares, strict=True)]
        more, less = seen if fuller > 0 else seen[::-1]
        return 0 if more * _COARSER < less else fuller


def hanging_together(
    shas: Sequence[str], thumb: Callable[[str], Path], are_apart: Callable[[str, str], bool]
) -> list[list[str]]:
    """The groups of two and more copies among these images alone, by a close comparison of their thumbnails.

    ``are_apart`` says of which pairs it is known already that they are no copies. Raises ``FileNotFoundError`` if a thumbnail is missing.
    """
    looks, sets = [look_at(thumb(s)) for s in shas], Sets(len(shas))
    for i, j in combinations(range(len(shas)), 2):
        if sets.root(i) != sets.root(j) and not are_apart(shas[i], shas[j]) and _copies(looks[i], looks[j]):
            sets.join(i, j)
    return [[shas[i] for i in members] for members in sets.groups()]


def _copies(a: Look, b: Look) -> bool:
    verdict = judge(a, b)
    return verdict is not None and verdict.kinship == Kinship.COPY
