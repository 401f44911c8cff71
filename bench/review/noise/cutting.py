"""Cutting the subject out of a photo: colours of the middle against those of the edge, smoothed."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial import ConvexHull

__all__ = ["cut_out"]

_SIDE = 160  # worked on at this size
_BINS = 10
_SHARES = (0.12, 0.6)  # of the picture that a subject may take
_SOLID = 0.75  # of its convex hull that a subject fills at least
_WELL = 0.88  # the same, of one that nothing is missing of


def cut_out(photo: Image.Image, *, well: bool = False) -> Image.Image | None:
    """RGBA, cropped to the subject; None if no single, clear subject was found. ``well``: and a whole, compact one."""
    small = photo.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    bins = (np.asarray(small.convert("YCbCr"), dtype=np.int64) * _BINS) // 256
    code = (bins[..., 0] * _BINS + bins[..., 1]) * _BINS + bins[..., 2]
    y, x = np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j]
    inside = (x / 0.6) ** 2 + (y / 0.65) ** 2 < 1
    outside = np.maximum(abs(x), abs(y)) > 0.9
    prior = np.exp(-((x / 0.75) ** 2) - (y / 0.8) ** 2)
    for _ in range(4):
        likely = ndimage.gaussian_filter(_ratio(code, inside, outside), 2.5)
        mask = likely * (0.4 + prior) > 0.62
        inside, outside = mask & (prior > 0.1), ~mask
    return _cropped(photo, mask, _WELL if well else _SOLID)


def _ratio(code: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    n = _BINS**3
    one, two = (np.bincount(code[m], minlength=n) / max(m.sum(), 1) + 1e-5 for m in (inside, outside))
    share: np.ndarray = (one / (one + two))[code]
    return share


def _cropped(photo: Image.Image, mask: np.ndarray, solid: float) -> Image.Image | None:
    mask = ndimage.binary_opening(mask, iterations=2)
    parts, n = ndimage.label(mask)
    if not n:
        return None
    sizes = np.bincount(parts.ravel())[1:]
    whole = ndimage.binary_fill_holes(ndimage.binary_closing(parts == sizes.argmax() + 1, iterations=5))
    edge = np.concatenate([whole[0], whole[-1], whole[:, 0], whole[:, -1]]).mean()
    if not _SHARES[0] < whole.mean() < _SHARES[1] or sizes.max() < 0.8 * sizes.sum() or edge > 0.1:
        return None
    if whole.sum() < solid * ConvexHull(np.argwhere(whole)).volume:  # of a plane figure, its area
        return None
    soft = ndimage.gaussian_filter(whole.astype(np.float32), 1.2)
    alpha = Image.fromarray((np.clip(soft * 1.6 - 0.3, 0, 1) * 255).astype(np.uint8)).resize(
        photo.size, Image.Resampling.BICUBIC
    )
    cut = photo.convert("RGB")
    cut.putalpha(alpha)
    box = alpha.point(lambda v: 255 * (v > 40)).getbbox()
    return cut.crop(box) if box else None
