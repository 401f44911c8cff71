"""How much a picture looks like a graphic rather than like the data set's photos.

A ridge classifier on frozen features learns to tell the set's own pictures from graphics that are made of them
(``selfmade``). The score of a picture is out of sample: what the classifier says that was fitted without it, by the
closed form of leave-one-out (e.g. Hastie, Tibshirani & Friedman, ch. 7.10). Where the whole set is graphic, its own pictures
are what is usual, and none of them stands out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keepset.config import TrainConfig
from keepset.files import atomic_path
from keepset.review.selfmade import VERSION, self_made
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]

__all__ = ["OWN", "GraphicHead", "fit", "self_made_features"]

OWN = 1500
"""The set's own pictures that the classifier learns from, at most."""
_MADE = 88  # graphics
_PHOTOS = 64  # that the graphics are made of
_PENALTY = 30.0  # in units of the mean squared length of a row


@dataclass(frozen=True)
class GraphicHead:
    """score = features @ weight + bias, 0 for a usual picture and 1 for a graphic; ``left_out`` [m] are the scores of
    the pictures that it learnt from, each without itself.
    """

    weight: Doubles
    bias: float
    left_out: Doubles

    def score(self, features: Floats) -> Doubles:
        """[n], of features of length one, [n, d]."""
        scores: Doubles = features @ self.weight + self.bias
        return scores


def fit(own: Floats, made: Floats) -> GraphicHead:
    """Ridge of 0 for ``own`` [m, d] and 1 for ``made`` [k, d], both sides of equal weight; rows have length one."""
    rows = np.vstack([own, made]).astype(np.float64)
    target = np.r_[np.zeros(len(own)), np.ones(len(made))]
    weight = np.r_[np.full(len(own), 0.5 / len(own)), np.full(len(made), 0.5 / len(made))] * len(rows)
    mean = weight @ rows / len(rows)
    root = np.sqrt(weight)
    x, y = (rows - mean) * root[:, None], (target - 0.5) * root
    gram = x @ x.T  # the dual problem: some hundred pictures, of thousands of features each
    inverse = np.linalg.inv(gram + np.eye(len(x)) * _PENALTY * np.trace(gram) / len(x))
    dual = inverse @ y
    # What a fit without the picture would say of it: its own residual is dual / diagonal, so none is fitted again.
    left_out = (y - dual / np.diag(inverse)) / root + 0.5
    slope = x.T @ dual
    return GraphicHead(slope, float(0.5 - mean @ slope), left_out[: len(own)])


def self_made_features(ws: Workspace, arch: str, train: TrainConfig, shas: list[str], seed: int) -> Floats:
    """Raw features, float32 [k, d], of graphics made of some of the images ``shas``, by the packaged network ``arch``.

    They are kept in the workspace's cache for the same images.
    """
    from keepset.manifests import fingerprint
    from keepset.train.features import of_squares, squares

    chosen = [shas[i] for i in np.random.default_rng(seed).permutation(len(shas))[:_PHOTOS]]
    facts = {"images": chosen, "arch": arch, "size": train.size, "made": _MADE, "seed": seed}
    path = ws.cache / "graphics" / f"{fingerprint('review', {}, facts, VERSION)}.npy"
    try:
        found: Floats = np.load(path)
    except (OSError, ValueError, EOFError):
        found = of_squares(arch, self_made(squares(ws, arch, chosen, train), _MADE, seed), train)
        with atomic_path(path) as part, part.open("wb") as f:
            np.save(f, found)
    return found
