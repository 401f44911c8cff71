"""Thumbnails that are surely graphics, not photos as the data set's own pictures are.

The score is the review's (``keepset.review.graphics``): what a classifier says that has learnt to tell the pictures in use from
graphics made of them. The limit comes from these pictures themselves, each scored as if the classifier had not seen it: of
``n`` good pictures only ``ALLOWED`` in all may score higher. A new good picture of the same kind then passes the limit with a
probability of at most ``ALLOWED`` (or 1 / (n + 1), if that is more), whatever the scores are like (conformal prediction: Vovk,
Gammerman & Shafer 2005). Search results are not quite of the same kind, so the limit is a ``MARGIN`` higher, and never under ``LEAST``: what
is nearer to graphics than to the data set. ``bench/sources/prefilter.py`` measures what comes of it. Where the whole data set is graphic, or has junk that nobody has deleted, little is skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keepset.models.features import units
from keepset.review import graphics
from keepset.train.features import of_packaged

if TYPE_CHECKING:
    import numpy.typing as npt

    from keepset.config import RunConfig
    from keepset.prefilter.known import KnownPictures
    from keepset.workspace import Workspace

    Floats = npt.NDArray[np.float32]

__all__ = ["JunkJudge"]

ALLOWED, MARGIN, LEAST = 0.0025, 0.1, 0.65
FEW = 50
"""A class with fewer pictures in use is not judged: what is usual in it is not known."""


@dataclass(frozen=True)
class JunkJudge:
    """Scores over ``limit`` are junk, in the classes that are ``judged``; ``own``: pictures that it was learnt from."""

    head: graphics.GraphicHead
    limit: float
    judged: frozenset[str]
    own: int

    @classmethod
    def of(cls, ws: Workspace, config: RunConfig, arch: str, known: KnownPictures) -> JunkJudge:
        """From a sample of the pictures in use."""
        in_use = np.flatnonzero(known.in_use)
        labels, counts = np.unique(known.labels[in_use], return_counts=True)
        sample = np.sort(np.random.default_rng(len(in_use)).permutation(in_use)[: graphics.OWN])
        shas = [known.sha256[i] for i in sample]
        own = of_packaged(ws, arch, shas, config=config.train)
        made = graphics.self_made_features(ws, arch, config.train, shas, config.seed)
        head = graphics.fit(_unit(own), _unit(made))
        above = int(ALLOWED * (len(shas) + 1))
        judged = frozenset(labels[counts >= FEW].tolist())
        limit = max(LEAST, float(np.sort(head.left_out)[-1 - above]) + MARGIN)
        return cls(head, limit, judged, len(shas))

    def scores(self, features: Floats) -> npt.NDArray[np.float64]:
        """[n], of raw features [n, d] of the packaged network."""
        return self.head.score(_unit(features))

    def is_junk(self, score: float, label: str) -> bool:
        return label in self.judged and score > self.limit


def _unit(features: Floats) -> Floats:
    return units(features, (features.shape[1],))
