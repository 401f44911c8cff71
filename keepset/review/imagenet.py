"""What the packaged networks see of a picture with their own 1000 ImageNet classes, which training does not ask for."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]

__all__ = ["Sight", "graphic_classes", "names", "sight_of"]

_GRAPHIC = (
    "web site", "comic book", "book jacket", "menu", "crossword puzzle", "envelope", "packet", "jigsaw puzzle", "binder",
)  # fmt: skip
"""Classes whose pictures are mostly print, drawing or layout."""


@dataclass(frozen=True)
class Sight:
    """The 1000-class heads of the bodies that have one: columns of the features, weight [1000, d] and bias [1000]."""

    heads: tuple[tuple[slice, Floats, Floats], ...]

    def posterior(self, features: Floats) -> Floats:
        """Mean probability of each ImageNet class over the bodies, [n, 1000], of raw features [n, d]."""
        import numpy as np

        total = np.zeros((len(features), 1000), np.float32)
        for columns, weight, bias in self.heads:
            logits = features[:, columns] @ weight.T + bias
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            total += odds / odds.sum(axis=1, keepdims=True)
        return total / np.float32(len(self.heads))


def sight_of(arch: str, weights: str, widths: Sequence[int]) -> Sight | None:
    """For the features of a model with the networks ``arch``; None if none of them has its own head here.

    ``widths``: columns per body (``keepset.train.features.widths``).
    """
    from keepset.train.networks import parts
    from keepset.train.weights import imagenet_head

    if weights != "packaged":
        return None
    heads, start = [], 0
    for name, width in zip(parts(arch), widths, strict=True):
        if (head := imagenet_head(name)) is not None:
            heads.append((slice(start, start + width), *head))
        start += width
    return Sight(tuple(heads)) if heads else None


@functools.cache
def names() -> tuple[str, ...]:
    """ImageNet's class names, in the order of the outputs."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.DEFAULT.meta["categories"])


@functools.cache
def graphic_classes() -> Ints:
    """The numbers of the classes whose pictures are mostly print, drawing or layout."""
    import numpy as np

    return np.array([names().index(name) for name in _GRAPHIC])
