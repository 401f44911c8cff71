"""Which images are alike to a network: each image's nearest others by the cosine of their features.

Up to some thousand images all pairs are compared. Above, images are sorted into cells by k-means (an inverted file, as in
Jegou et al. 2011), and each is compared with the members of its nearest cells: the cost grows with n ** 1.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Places = npt.NDArray[np.int64]

__all__ = ["Axes", "nearest_pairs"]

NEAREST = 10
_LEAST = 0.3
"""Cosine of centred features under which no copy was seen."""
_EXACT = 4096
"""Up to so many images all pairs are compared."""
_SAMPLE = 16_384
_WIDTH = 192
_PROBES = 8
_BLOCK = 1024
PIECE = 8192
"""Images whose features are asked for at once."""


def nearest_pairs(features: Callable[[int, int], Floats], n: int) -> Places:
    """Pairs [m, 2] of positions, i < j, each once: every image and its ``NEAREST`` others with a cosine of 0.3 or more.

    ``features(start, stop)`` gives float32 [stop - start, d], non-negative as pooled features are, of the images from
    ``start``. Pairs of one cell follow each other, so that the pictures read last are soon needed again.
    """
    if n < 2:
        return np.zeros((0, 2), np.int64)
    axes = Axes.of(features, n)
    points = np.concatenate([axes.project(features(s, min(n, s + PIECE))) for s in range(0, n, PIECE)])
    best = np.full((n, NEAREST), -1.0, np.float32)
    who = np.zeros((n, NEAREST), np.int64)
    order = np.arange(n)
    if n <= _EXACT:
        _meet(points, order, order, best, who)
    else:
        order = _by_cells(points, best, who)
    i, k = np.nonzero(best[order] >= _LEAST)
    pairs = np.sort(np.stack([order[i], who[order[i], k]], 1), axis=1)
    _, first = np.unique(pairs[:, 0] * n + pairs[:, 1], return_index=True)
    return pairs[np.sort(first)]


@dataclass(frozen=True)
class Axes:
    """What features are compared by: less their mean [d], and of many images on the ``main`` axes [d, k] of a sample."""

    mean: Floats
    main: Floats | None

    @classmethod
    def of(cls, features: Callable[[int, int], Floats], n: int) -> Axes:
        """For ``n`` images, whose features are as in ``nearest_pairs``."""
        share = max(1, n // _SAMPLE) if n > _EXACT else 1
        sample = np.concatenate([features(s, min(n, s + PIECE))[::share] for s in range(0, n, PIECE)])
        mean = sample.mean(0)
        if n <= _EXACT:
            return cls(mean, None)
        sample -= mean
        _, axes = np.linalg.eigh(sample.T @ sample)
        return cls(mean, axes[:, -_WIDTH:].astype(np.float32))

    def project(self, features: Floats) -> Floats:
        """Rows of length one, whose dot products are cosines, float32 [n, k], of features [n, d]."""
        rows: Floats = features - self.mean
        rows = rows if self.main is None else rows @ self.main
        rows /= np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9
        return rows


def _by_cells(points: Floats, best: Floats, who: Places) -> Places:
    """Fill ``best`` and ``who``; the images in the order of their cells."""
    from sklearn.cluster import MiniBatchKMeans

    n = len(points)
    count = int(n**0.5)
    sample = points[:: max(1, n // (32 * count))]
    means = MiniBatchKMeans(count, random_state=0, n_init=1, max_iter=10, batch_size=4096).fit(sample)
    centres = means.cluster_centers_.astype(np.float32)
    near = np.empty((n, _PROBES), np.int32)
    for block in _blocks(n):
        close = points[block] @ centres.T
        some = np.argpartition(-close, _PROBES, axis=1)[:, :_PROBES]
        first = np.argmax(np.take_along_axis(close, some, 1), axis=1)
        some[np.arange(len(some)), first], some[:, 0] = some[:, 0].copy(), some[np.arange(len(some)), first]
        near[block] = some
    order = np.argsort(near[:, 0], kind="stable")
    homes = np.searchsorted(near[order, 0], np.arange(count + 1))
    guests = np.argsort(near.reshape(-1), kind="stable")
    visits = np.searchsorted(near.reshape(-1)[guests], np.arange(count + 1))
    for c in range(count):
        members = order[homes[c] : homes[c + 1]]
        if len(members):
            _meet(points, guests[visits[c] : visits[c + 1]] // _PROBES, members, best, who)
    return order


def _meet(points: Floats, asking: Places, members: Places, best: Floats, who: Places) -> None:
    """Compare those asking with the members, and keep of each the ``NEAREST`` seen so far."""
    others = points[members]
    for block in _blocks(len(asking)):
        mine = asking[block]
        close = points[mine] @ others.T
        close[mine[:, None] == members[None]] = -1.0
        names = np.broadcast_to(members, close.shape)
        if close.shape[1] > NEAREST:
            some = np.argpartition(-close, NEAREST, axis=1)[:, :NEAREST]
            close, names = np.take_along_axis(close, some, 1), members[some]
        close, names = np.hstack([best[mine], close]), np.hstack([who[mine], names])
        keep = np.argsort(-close, axis=1, kind="stable")[:, :NEAREST]
        best[mine], who[mine] = np.take_along_axis(close, keep, 1), np.take_along_axis(names, keep, 1)


def _blocks(n: int) -> Iterator[slice]:
    return (slice(s, min(n, s + _BLOCK)) for s in range(0, n, _BLOCK))
