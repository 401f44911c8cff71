"""A heat map over a picture: what the network goes by is warm, the rest grey."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image

from keepset.images.pixels import Preprocess

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["laid_over", "seen_part"]

_WARM = ((0.0, (24, 12, 60)), (0.35, (140, 41, 99)), (0.7, (240, 112, 32)), (1.0, (252, 244, 140)))
"""Dark violet to pale yellow: lightness grows with the heat, so it also reads without colour."""
_UNSEEN = 0.3
"""How bright the rim stays that the network does not see."""

Box = tuple[int, int, int, int]


def seen_part(size: tuple[int, int], spec: Preprocess) -> Box:
    """The square of a picture of ``size`` (width, height) that the network sees, px: left, top, right, bottom."""
    side = round(min(size) * min(1.0, spec.crop / spec.resize))
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return left, top, left + side, top + side


def laid_over(image: Image.Image, heat: npt.NDArray[Any], box: Box) -> Image.Image:
    """The RGB ``image`` in grey with ``heat`` (float32 [rows, columns], 0 to 1) over ``box``; darker outside of it."""
    import numpy as np

    grey = np.asarray(image.convert("L"), dtype=np.float32)[..., None]
    mixed = np.repeat(grey * _UNSEEN, 3, axis=2)
    left, top, right, bottom = box
    large = Image.fromarray(heat).resize((right - left, bottom - top), Image.Resampling.BICUBIC)
    shown = np.asarray(large).clip(0, 1)
    weight = 0.25 + 0.5 * shown[..., None]
    inside = slice(top, bottom), slice(left, right)
    mixed[inside] = grey[inside] * (1 - weight) + _warm(shown) * weight
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def _warm(heat: npt.NDArray[Any]) -> npt.NDArray[Any]:
    import numpy as np

    at = [place for place, _ in _WARM]
    return np.stack([np.interp(heat, at, [color[c] for _, color in _WARM]) for c in range(3)], -1)
