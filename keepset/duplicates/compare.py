"""Compare two pictures closely: is one a copy of the other, the same scene, or neither, and what was done to it.

Keypoints (SIFT, Lowe 2004, as RootSIFT, Arandjelovic & Zisserman 2012) of one thumbnail are matched with those of the
other, and of its mirror image. Where many agree on one scale and shift (RANSAC, Fischler & Bolles 1981), the two are
laid over each other and compared (``overlay``): a true copy agrees everywhere but where something was added; of two
frames of a burst only what did not move agrees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.duplicates.overlay import Fit, Overlay, overlay

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]

__all__ = ["Look", "compare", "look_at"]

_KEYPOINTS = 300
_CONTRAST = 0.02
"""SIFT's threshold, half its usual: smooth pictures have keypoints too."""
_RATIO = 0.85
_REACH = 3.0
"""Pixels of a thumbnail by which matched keypoints may miss the common scale and shift."""
_FEWEST = 8
_TURN, _SCALE, _SQUEEZE = 10.0, 5.0, 1.5
"""Degrees between two frames, scale and change of aspect, at most."""
_SURELY, _SURE_SHARE, _UPRIGHT = 30, 0.4, 0.7
"""Two frames are turned if so many keypoints, and such a part of the matched ones, agree when turned, and less than such a
part of those when not.
"""
_AGREEING = 0.8
"""Part of the busy cells that agree in a copy."""
_TINY = 0.6
"""Correlation of two tiny versions from which the whole pictures are laid over each other."""
_MIRRORED = np.arange(128).reshape(4, 4, 8)[::-1][:, :, (-np.arange(8)) % 8].reshape(-1)
"""Where the numbers of a SIFT descriptor are in the descriptor of the mirrored picture."""


@dataclass(frozen=True)
class Look:
    """A thumbnail for comparing: RGB uint8 [h, w, 3]; tiny grey float32 [16, 16] of mean 0 and length 1; keypoints
    float32 [k, 2] (x, y) and their RootSIFT float32 [k, 128].
    """

    pixels: Bytes
    tiny: Floats
    points: Floats
    described: Floats


def look_at(thumb: Path) -> Look:
    """Read a thumbnail. Raises ``FileNotFoundError``."""
    import cv2
    from PIL import Image

    with Image.open(thumb) as image:
        pixels = np.asarray(image.convert("RGB"))
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    tiny = cv2.resize(grey, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32)
    tiny -= tiny.mean()
    tiny /= np.linalg.norm(tiny) + 1e-6
    sift: Any = cv2.SIFT_create(nfeatures=_KEYPOINTS, contrastThreshold=_CONTRAST)  # type: ignore[attr-defined]
    found, described = sift.detectAndCompute(grey, None)
    if described is None:
        return Look(pixels, tiny, np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    root = np.sqrt(described / np.maximum(described.sum(1, keepdims=True), 1e-6))
    return Look(pixels, tiny, np.array([k.pt for k in found], np.float32), root.astype(np.float32))


def compare(a: Look, b: Look) -> Overlay | None:
    """The overlay under which most of the two pictures agrees. None if they cannot be laid over each other.

    Two frames of which one is turned have that of the turned fit, unless they agree without.
    """
    best: Overlay | None = None
    for fit in _fits(a, b):
        if fit.turned and best and best.agreeing > _AGREEING:
            continue
        found = overlay(a.pixels, b.pixels, fit)
        if found and (best is None or fit.turned or _area_alike(found) > _area_alike(best)):
            best = found
        if best and (best.fit.turned or min(best.inside, best.kept, *best.shares) > 0.95):
            break  # it does not get better
    return best


def _area_alike(o: Overlay) -> float:
    return o.agreeing * o.busy + 0.1 * o.inside * o.kept


def _fits(a: Look, b: Look) -> Iterator[Fit]:
    """Ways to lay ``b`` over ``a`` that are worth a look, the simplest first."""
    for mirrored in (False, True):
        if float((a.tiny * (b.tiny[:, ::-1] if mirrored else b.tiny)).sum()) > _TINY or not (
            a.tiny.any() or b.tiny.any()
        ):
            yield _whole(a.pixels, b.pixels, mirrored)
    for mirrored in (False, True):
        yield from _by_keypoints(a, b, mirrored)


def _whole(a: Bytes, b: Bytes, mirrored: bool) -> Fit:
    sx, sy = a.shape[1] / b.shape[1], a.shape[0] / b.shape[0]
    return Fit((sx, sy), ((sx - 1) / 2, (sy - 1) / 2), mirrored)


def _by_keypoints(a: Look, b: Look, mirrored: bool) -> Iterator[Fit]:
    ours, theirs = _matches(a.described, b.described[:, _MIRRORED] if mirrored else b.described)
    if len(ours) < _FEWEST:
        return
    p, q = a.points[ours], b.points[theirs]
    if mirrored:
        q = np.stack([b.pixels.shape[1] - 1 - q[:, 0], q[:, 1]], 1)
    if (found := _agreed(p, q, mirrored)) is not None:
        yield found


def _matches(one: Floats, two: Floats) -> tuple[Any, Any]:
    """Positions in both of descriptors that are each other's nearest, and nearer than the next by Lowe's ratio."""
    if min(len(one), len(two)) < 2:
        return (), ()
    close = one @ two.T
    i, j = np.arange(len(one)), close.argmax(1)
    best, back = close[i, j], close.argmax(0)
    close[i, j] = -1
    good = (back[j] == i) & (1 - best < _RATIO**2 * (1 - close.max(1)))
    return i[good], j[good]


def _agreed(p: Floats, q: Floats, mirrored: bool) -> Fit | None:
    """The scale and shift of the matches q -> p that most agree on. None if too few do, or if it is no copy's."""
    import cv2

    found, mask = cv2.estimateAffinePartial2D(q, p, method=cv2.RANSAC, ransacReprojThreshold=_REACH, maxIters=500)
    if found is None or abs(np.degrees(np.arctan2(found[1, 0], found[0, 0]))) > _TURN:
        return None
    fit = _upright(p, q, mask[:, 0] > 0, mirrored)
    turning = int(mask.sum())
    if turning < max(_SURELY, _SURE_SHARE * len(p)) or (fit and fit.inliers > _UPRIGHT * turning):
        return fit
    scale = float(np.hypot(found[0, 0], found[1, 0]))
    shift = float(found[0, 2]), float(found[1, 2])
    return Fit((scale, scale), shift, mirrored, turning, len(p), turned=True)


def _upright(p: Floats, q: Floats, mine: npt.NDArray[np.bool_], mirrored: bool) -> Fit | None:
    """The fit without turning, beginning with the matches ``mine``."""
    for _ in range(3):
        if mine.sum() < _FEWEST or np.ptp(q[mine], axis=0).min() < _FEWEST:
            return None
        (sx, tx), (sy, ty) = (np.polyfit(q[mine, k], p[mine, k], 1).tolist() for k in (0, 1))
        if not (min(sx, sy) > 1 / _SCALE and max(sx, sy) < _SCALE and max(sx / sy, sy / sx) < _SQUEEZE):
            return None
        mine = np.hypot(q[:, 0] * sx + tx - p[:, 0], q[:, 1] * sy + ty - p[:, 1]) < _REACH
    return Fit((sx, sy), (tx, ty), mirrored, int(mine.sum()), len(p))
