"""The pictures that a thumbnail can be a copy of: those at hand, and those that people deleted, of its own class."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keepset import duplicates, manifests
from keepset.config import RunConfig
from keepset.duplicates import Axes, Kinship, Look
from keepset.review.auditing import deleted_by_a_batch
from keepset.stages import Progress
from keepset.storage.carrying import bring
from keepset.train.features import of_packaged
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]

__all__ = ["Copy", "KnownPictures"]

NEAREST = 2
ALIKE = 0.5
"""Cosine of centred features from which two pictures of one class are compared closely."""
_PIECE = 8192
_LOOKS = 300
"""Pictures at hand whose keypoints are kept, at about 300 kB each."""
_COLUMNS = ("sha256", "label", "active", "changed_by")


@dataclass(frozen=True)
class Copy:
    """The picture that a thumbnail is a copy of; ``deleted_by``: the batch in which people deleted that."""

    sha256: str
    deleted_by: str | None


class KnownPictures:
    """Memory: 0.4 kB per picture (5 kB where there are fewer than some thousand)."""

    def __init__(self, ws: Workspace, config: RunConfig, arch: str, progress: Progress) -> None:
        self.ws = ws
        table = _rows(ws)
        self.sha256: list[str] = table["sha256"].to_pylist()
        self.deleted_by: list[str | None] = pc.if_else(table["active"], None, table["changed_by"]).to_pylist()
        self.labels = np.array(table["label"].to_pylist())
        self.in_use = table["active"].to_numpy()
        self.sides = _sides(ws, self.sha256)

        def features(start: int, stop: int) -> Floats:
            return of_packaged(ws, arch, self.sha256[start:stop], progress, config.train)

        if not (n := len(self.sha256)):
            return
        self.axes = Axes.of(features, n)
        pieces = [(s, min(n, s + _PIECE)) for s in range(0, n, _PIECE)]
        self.points = np.concatenate([self.axes.project(features(*p)).astype(np.float16) for p in pieces])
        self._look = functools.lru_cache(maxsize=_LOOKS)(duplicates.look_at)

    def copies(
        self, features: Floats, labels: Sequence[str], thumbs: Sequence[Path], claimed: Sequence[tuple[int, int] | None]
    ) -> list[Copy | None]:
        """Of each thumbnail the picture that it is a copy of, if that is as good.

        ``features`` [n, d] are raw; ``claimed`` is the width and height of the whole picture, if the source gives them.
        """
        if not self.sha256:
            return [None] * len(thumbs)
        near, close = self._nearest(self.axes.project(features), np.array(labels))
        return [
            self._copy(thumb, [int(i) for i, c in zip(mine, like, strict=True) if c >= ALIKE], size)
            for thumb, mine, like, size in zip(thumbs, near, close, claimed, strict=True)
        ]

    def _nearest(self, points: Floats, labels: npt.NDArray[np.str_]) -> tuple[Ints, Floats]:
        """The ``NEAREST`` known pictures of the same class and their cosines, [n, NEAREST] each; -1 where there is none."""
        best, who = np.full((len(points), NEAREST), -1.0, np.float32), np.full((len(points), NEAREST), -1, np.int64)
        for label in np.unique(labels):
            mine, theirs = np.flatnonzero(labels == label), np.flatnonzero(self.labels == label)
            for start in range(0, len(theirs), _PIECE):
                some = theirs[start : start + _PIECE]
                close = np.hstack([best[mine], points[mine] @ self.points[some].astype(np.float32).T])
                names = np.hstack([who[mine], np.broadcast_to(some, (len(mine), len(some)))])
                keep = np.argsort(-close, axis=1, kind="stable")[:, :NEAREST]
                best[mine], who[mine] = np.take_along_axis(close, keep, 1), np.take_along_axis(names, keep, 1)
        return who, best

    def _copy(self, thumb: Path, near: Sequence[int], claimed: tuple[int, int] | None) -> Copy | None:
        """Pictures in use first: what was deleted as a copy of one of them is no junk."""
        if not near:
            return None
        mine = duplicates.look_at(thumb)
        for i in sorted(near, key=lambda i: not self.in_use[i]):
            if self._is_copy(i, mine, claimed):
                return Copy(self.sha256[i], self.deleted_by[i])
        return None

    def _is_copy(self, i: int, mine: Look, claimed: tuple[int, int] | None) -> bool:
        """A crop is none: at this size it cannot be told from another frame of the scene. Nor is a picture without the caption
        of the one here, which may have been deleted for just that.
        """
        try:
            thumb = next(bring([self.ws.thumb(self.sha256[i])]))
            verdict = duplicates.judge(self._look(thumb), mine)
        except OSError:  # its thumbnail is lost, or on a store that does not answer
            return False
        if verdict is None or verdict.kinship != Kinship.COPY:
            return False
        whole = all(share >= WHOLE or framed for share, framed in zip(verdict.shares, verdict.framed, strict=True))
        return whole and verdict.fuller() >= 0 and self._fine_enough(i, claimed)

    def _fine_enough(self, i: int, claimed: tuple[int, int] | None) -> bool:
        """Whether the picture here has the pixels that training looks at, or nearly those of the other one."""
        width, height = self.sides[i].tolist()
        return min(width, height) >= _ENOUGH or (claimed is not None and 2 * width * height >= claimed[0] * claimed[1])


_ENOUGH = 256
WHOLE = 0.95
"""Part of each of the two that the other shows, at least."""


def _rows(ws: Workspace) -> pa.Table:
    """Pictures in use, and those that an approved batch deleted and whose files are still here."""
    table = manifests.table(ws.newest(), "dataset", _COLUMNS)
    table = table.filter(pc.or_(table["active"], pc.fill_null(deleted_by_a_batch(table), False)))
    blobs, thumbs = ws.held_blobs(), ws.held_thumbs()
    here = [bool(blobs.size(s) and thumbs.size(s)) for s in table["sha256"].to_pylist()]
    return table.filter(pa.array(here, pa.bool_()))


def _sides(ws: Workspace, shas: Sequence[str]) -> npt.NDArray[np.int32]:
    """Width and height of each picture, int32 [n, 2]; 0 if they are not known."""
    found = manifests.table(ws.images, "images", ("sha256", "width", "height"))
    rows = found.take(pc.index_in(pa.array(shas, pa.string()), found["sha256"]))
    sides = [pc.fill_null(rows[c], 0).to_numpy() for c in ("width", "height")]
    return np.stack(sides, 1).astype(np.int32)
