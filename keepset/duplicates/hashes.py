"""Pictures that a perceptual hash and a coarse comparison take for copies, among any number."""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keepset.duplicates.sets import Sets

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["look_alikes", "near_pairs"]

_SAME_ENOUGH = 14.0
"""Mean absolute difference of 32 x 32 grey thumbnails, contrast-matched, grey levels 0..255."""
_FLAT = 6.0
"""Standard deviation under which a picture is too uniform for a perceptual hash to mean anything."""
_FLAT_ALIKE = 1.0
"""What the mean of each channel, and the mean difference of grey, of two such pictures may differ by."""
_SEEN = 20_000
"""Thumbnails kept in memory while comparing, at 4 kB each."""


def look_alikes(
    sha256: Sequence[str], phash: npt.NDArray[np.uint64], thumb: Callable[[str], Path], near_bits: int
) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """Positions of uniform pictures of one colour, in groups, and pairs of other pictures that may be copies.

    Equal hashes are one point of the search, however many. Of pictures that all look the same to the hash and a coarse
    comparison only so many pairs are given as hang them together.
    """
    small, plain, maybe = _Small(sha256, thumb), Sets(len(sha256)), Sets(len(sha256))
    pairs: list[tuple[int, int]] = []
    hashes, place = np.unique(phash, return_inverse=True)
    members = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place, minlength=len(hashes)))[:-1])

    def tie(a: int, b: int) -> None:
        if small.read(a).flat and small.read(b).flat:
            plain.join(a, b)
        else:
            pairs.append((min(a, b), max(a, b)))
        maybe.join(a, b)

    firsts = [_firsts(m.tolist(), small, tie) for m in members] if len(hashes) else []
    for i, j in itertools.chain.from_iterable(near_pairs(hashes, near_bits)):
        for a, b in itertools.product(firsts[i], firsts[j]):
            if maybe.root(a) != maybe.root(b) and small.alike(a, b):
                tie(a, b)
    return plain.groups(), pairs


def _firsts(members: list[int], small: _Small, tie: Callable[[int, int], None]) -> list[int]:
    """Of pictures with one hash: the first of each look. The others are tied to it.

    Uniform pictures all have one hash, so they are looked up by their colour, not compared one by one.
    """
    if len(members) == 1:
        return members
    firsts: list[int] = []
    busy: list[int] = []
    flat: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for m in members:
        seen = small.read(m)
        known: Iterable[int] = busy
        if seen.flat:
            near = (tuple(c + d for c, d in zip(seen.cell, step, strict=True)) for step in _STEPS)
            known = (f for cell in near if cell in flat for f in flat[cell])
        if (same := next((f for f in known if small.alike(f, m)), None)) is not None:
            tie(same, m)
            continue
        firsts.append(m)
        (flat[seen.cell] if seen.flat else busy).append(m)
    return firsts


_STEPS = list(itertools.product((0, -1, 1), repeat=3))


def near_pairs(hashes: npt.NDArray[np.uint64], bits: int) -> Iterator[list[list[int]]]:
    """All pairs [i, j], i < j, of *distinct* hashes that differ in at most ``bits`` bits; each pair once, in pieces.

    Exact, by the pigeonhole principle: cut into ``bits + 2`` bands, two such hashes agree in two bands at least. So
    for each two bands the hashes are sorted by them, and only neighbours with equal ones are compared.
    """
    edges = np.linspace(0, 64, bits + 3).astype(int).tolist()
    bands = [np.uint64((1 << high) - (1 << low)) for low, high in itertools.pairwise(edges)]
    for a, b in itertools.combinations(range(len(bands)), 2):
        both = bands[a] | bands[b]
        earlier = [bands[k] for k in range(b) if k != a]
        for left, right in _agreeing(hashes, both, bits):
            fresh = np.ones(len(left), bool)
            for band in earlier:  # where that agrees too, an earlier two bands have found the pair
                fresh &= ((hashes[left] ^ hashes[right]) & band) != 0
            yield np.sort(np.stack([left[fresh], right[fresh]], 1), axis=1).tolist()


def _agreeing(
    hashes: npt.NDArray[np.uint64], mask: np.uint64, bits: int
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Pairs that are equal under ``mask`` and differ in at most ``bits`` bits."""
    masked = hashes & mask
    order = np.argsort(masked)
    masked, full = masked[order], hashes[order]
    at = np.flatnonzero(masked[1:] == masked[:-1])
    step = 1
    while len(at):  # ``at`` holds the places whose neighbour ``step`` further on is in the same bucket
        close = np.bitwise_count(full[at] ^ full[at + step]) <= bits
        if close.any():
            yield order[at[close]], order[at[close] + step]
        step += 1
        at = at[at + step < len(masked)]
        at = at[masked[at] == masked[at + step]]


@dataclass(frozen=True)
class _Greys:
    """A thumbnail for comparing: grey levels [32, 32] and, for a flat one, the cell of its mean colour."""

    grey: npt.NDArray[np.float32]
    flat: bool
    cell: tuple[int, ...]


class _Small:
    """32 x 32 grey versions of the thumbnails, read when they are first asked for."""

    def __init__(self, sha256: Sequence[str], thumb: Callable[[str], Path]) -> None:
        self.sha256, self.thumb = sha256, thumb
        self.read = functools.lru_cache(maxsize=_SEEN)(self._look)

    def alike(self, a: int, b: int) -> bool:
        one, two = self.read(a), self.read(b)
        x, y = one.grey, two.grey
        if one.flat or two.flat:
            near = max(abs(c - d) for c, d in zip(one.cell, two.cell, strict=True)) <= 1
            return near and bool(np.abs(x - y).mean() < _FLAT_ALIKE)
        x, y = ((v - v.mean()) / v.std() * 48 for v in (x, y))
        return bool(np.abs(x - y).mean() < _SAME_ENOUGH)

    def _look(self, i: int) -> _Greys:
        from PIL import Image

        with Image.open(self.thumb(self.sha256[i])) as image:
            tiny = image.convert("RGB").resize((32, 32), Image.Resampling.BOX)
        grey = np.asarray(tiny.convert("L"), dtype=np.float32)
        mean = np.asarray(tiny, dtype=np.float32).mean((0, 1)) / _FLAT_ALIKE
        return _Greys(grey, bool(grey.std() < _FLAT), tuple(np.rint(mean).astype(int).tolist()))
