"""Duplicate groups: the same pixels, and near copies found by perceptual hash and checked on the thumbnails."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["group", "near_pairs"]

_SAME_ENOUGH = 14.0
"""Mean absolute difference of 32 x 32 grey thumbnails, contrast-matched, grey levels 0..255."""
_FLAT = 6.0
"""Standard deviation under which a picture is too uniform for a perceptual hash to mean anything."""


def group(
    rows: Sequence[Mapping[str, Any]], thumbs: Mapping[str, Path], near_bits: int
) -> dict[str, dict[str, Any]]:
    """``{"group_id", "dup_of", "dup_kind"}`` by sha256 for images rows that are ok.

    The best copy of a group has the most pixels, then the most bytes, then the smallest sha256; the others name it.
    """
    by_sha = {str(r["sha256"]): r for r in rows}
    shas = list(by_sha)
    parent = {s: s for s in shas}

    def root(s: str) -> str:
        while parent[s] != s:
            parent[s] = parent[parent[s]]
            s = parent[s]
        return s

    first: dict[str, str] = {}
    for s in shas:
        same = first.setdefault(str(by_sha[s]["pixel_hash"]), s)
        parent[root(s)] = root(same)
    ones = sorted(first.values())
    small = _Small(thumbs)
    for i, j in near_pairs(np.array([by_sha[s]["phash"] for s in ones], np.uint64), near_bits):
        a, b = root(ones[i]), root(ones[j])
        if a != b and small.alike(ones[i], ones[j]):
            parent[a] = b
    groups: dict[str, list[str]] = {}
    for s in shas:
        groups.setdefault(root(s), []).append(s)
    return {s: facts for members in groups.values() for s, facts in _facts(members, by_sha)}


def _facts(
    members: list[str], by_sha: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    def size(s: str) -> tuple[int, int, str]:
        r = by_sha[s]
        return -int(r["width"]) * int(r["height"]), -int(r["bytes"]), s

    best, group_id = min(members, key=size), min(members)
    for s in members:
        exact = any(by_sha[s]["pixel_hash"] == by_sha[o]["pixel_hash"] for o in members if o != s)
        kind = (
            None
            if s == best
            else "exact"
            if exact and by_sha[s]["pixel_hash"] == by_sha[best]["pixel_hash"]
            else "near"
        )
        yield s, {"group_id": group_id, "dup_of": None if s == best else best, "dup_kind": kind}


def near_pairs(hashes: npt.NDArray[np.uint64], bits: int) -> Iterator[tuple[int, int]]:
    """All pairs (i < j) whose hashes differ in at most ``bits`` bits. Exact, by the pigeonhole principle.

    Cut into ``bits + 1`` bands, two such hashes agree in one band at least, so only those are compared.
    """
    edges = np.linspace(0, 64, bits + 2).astype(int)
    seen: set[tuple[int, int]] = set()
    for low, high in itertools.pairwise(edges):
        mask = np.uint64((1 << int(high - low)) - 1)
        band = (hashes >> np.uint64(low)) & mask
        order = np.argsort(band, kind="stable")
        cuts = np.flatnonzero(np.diff(band[order])) + 1
        for bucket in np.split(order, cuts):
            if len(bucket) > 1:
                yield from _in_bucket(hashes, bucket, bits, seen)


def _in_bucket(
    hashes: npt.NDArray[np.uint64], bucket: npt.NDArray[np.intp], bits: int, seen: set[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    for k in range(len(bucket) - 1):
        distance = np.bitwise_count(hashes[bucket[k]] ^ hashes[bucket[k + 1 :]])
        for j in bucket[k + 1 :][distance <= bits]:
            pair = (int(min(bucket[k], j)), int(max(bucket[k], j)))
            if pair not in seen:
                seen.add(pair)
                yield pair


class _Small:
    """32 x 32 grey versions of the thumbnails, read when they are first asked for."""

    def __init__(self, thumbs: Mapping[str, Path]) -> None:
        self.thumbs = thumbs
        self.known: dict[str, npt.NDArray[np.float32]] = {}

    def alike(self, a: str, b: str) -> bool:
        x, y = self._read(a), self._read(b)
        if min(x.std(), y.std()) < _FLAT:
            return bool(np.abs(x - y).mean() < 1.0)
        x, y = ((v - v.mean()) / v.std() * 48 for v in (x, y))
        return bool(np.abs(x - y).mean() < _SAME_ENOUGH)

    def _read(self, sha: str) -> npt.NDArray[np.float32]:
        if sha not in self.known:
            from PIL import Image

            with Image.open(self.thumbs[sha]) as image:
                grey = image.convert("L").resize((32, 32), Image.Resampling.BOX)
            self.known[sha] = np.asarray(grey, dtype=np.float32)
        return self.known[sha]
