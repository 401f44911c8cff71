"""Lay one picture over another and compare them cell by cell.

Both are brought to half the resolution of the coarser one, matched in brightness and contrast, and cut into cells of
8 x 8 pixels. A cell agrees if its pattern does (normalised cross-correlation), or, where both are smooth, its level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

__all__ = ["Fit", "Overlay", "overlay"]

_CELL = 8
_BUSY = 5.0
"""Standard deviation of luma, 0 to 255, above which a cell has a pattern of its own."""
_PATTERN = 0.8
_LEVEL = 14.0
_SMALLEST = 2
"""Cells along the shorter side of the overlap under which there is nothing to compare."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_JUMP = 16.0
"""Levels by which the pixels on both sides of a seam differ more than those beside it."""
_EDGE = 3
"""Pixels beside the edge of the overlap where a seam is looked for: the fit is not exact to the pixel."""


@dataclass(frozen=True)
class Fit:
    """``a = scale * b + shift`` for points (x, y) of ``b``, mirrored first if ``mirrored``; so many keypoints agree.

    ``turned``: they agree only if the picture is turned a little as well, as another frame is, and no copy.
    """

    scale: tuple[float, float]
    shift: tuple[float, float]
    mirrored: bool
    inliers: int = 0
    matched: int = 0
    turned: bool = False


@dataclass(frozen=True)
class Overlay:
    """What two pictures have in common where they overlap.

    ``shares``: the part of each picture's area that the overlap is. ``busy``: cells with a pattern. ``agreeing``: part
    of them that agree. ``kept``: part of the overlap that is left when edges that disagree (a caption, a border) are cut
    off, ``inside``: part of its cells that agree, and ``patterns``: of its busy cells. ``likeness``: median correlation of busy cells, -1 to 1.
    ``hue``: correlation of the colours where cells agree, 1 where one of the two has none. ``tint``: median difference of
    the cells' colours there, and ``difference``: mean difference of all pixels, 0 to 255. ``edgier``: by how much more the disagreeing cells of ``a`` than those of ``b``
    have edges, as writing has, -1 to 1. ``seams``: for each picture, whether the overlap ends in it with a seam.
    ``plain``: for each picture, part of what is outside the overlap that has two colours only, as a border has.
    """

    fit: Fit
    shares: tuple[float, float]
    busy: int
    agreeing: float
    kept: float
    inside: float
    patterns: float
    likeness: float
    hue: float
    tint: float
    difference: float
    edgier: float
    seams: tuple[bool, bool]
    plain: tuple[float, float]


def overlay(a: Bytes, b: Bytes, fit: Fit) -> Overlay | None:
    """Compare RGB uint8 [h, w, 3] pictures. None if they overlap too little to tell."""
    if fit.mirrored:
        b = np.ascontiguousarray(b[:, ::-1])
    box_a = _box(a, b, fit)
    if (laid := _laid(a, b, fit, box_a)) is None:
        return None
    over, under = laid
    luma = _cells(over @ _LUMA), _cells(under @ _LUMA)
    alike, busy, pattern = _agreement(*luma)
    colours = _cells(over)[alike].mean(1), _cells(under)[alike].mean(1)
    top, bottom, left, right = _trimmed(alike)
    inner, left_busy = alike[top:bottom, left:right], busy[top:bottom, left:right]
    box_b = tuple((v - t) / s for v, t, s in zip(box_a, fit.shift * 2, fit.scale * 2, strict=True))
    return Overlay(
        fit,
        shares=(_area(box_a, a), _area(box_b, b)),
        busy=int(busy.sum()),
        agreeing=float(alike[busy].mean()) if busy.any() else float(alike.mean()),
        kept=inner.size / alike.size,
        inside=float(inner.mean()),
        patterns=float(inner[left_busy].mean()) if left_busy.any() else 1.0,
        likeness=float(np.median(pattern[busy & alike])) if (busy & alike).any() else 0.0,
        hue=_hue(*colours),
        tint=float(np.median(np.abs(colours[0] - colours[1]).max(1))) if alike.any() else 0.0,
        difference=float(np.abs(over - under).mean()),
        edgier=_edgier(luma[0][~alike], luma[1][~alike]),
        seams=(_seam(a, box_a), _seam(b, box_b)),
        plain=(_plain(_outside(a, box_a)), _plain(_outside(b, box_b))),
    )


def _box(a: Bytes, b: Bytes, fit: Fit) -> tuple[float, float, float, float]:
    """The overlap in ``a``: left, top, right, bottom."""
    (sx, sy), (tx, ty) = fit.scale, fit.shift
    return (
        max(0.0, tx),
        max(0.0, ty),
        min(float(a.shape[1]), tx + sx * b.shape[1]),
        min(float(a.shape[0]), ty + sy * b.shape[0]),
    )


def _laid(a: Bytes, b: Bytes, fit: Fit, box: tuple[float, ...]) -> tuple[Floats, Floats] | None:
    """Both pictures' overlap, float32 [h, w, 3], at half the resolution of the coarser one."""
    (sx, sy), (tx, ty), (x0, y0, x1, y1) = fit.scale, fit.shift, box
    step = 2 * max(1.0, sx, sy)
    w, h = int((x1 - x0) / step), int((y1 - y0) / step)
    if min(w, h) < _SMALLEST * _CELL:
        return None
    x, y = x0 + (step - 1) / 2, y0 + (step - 1) / 2
    return (
        _warped(a, (step, step), (x, y), (w, h)),
        _warped(b, (step / sx, step / sy), ((x - tx) / sx, (y - ty) / sy), (w, h)),
    )


def _warped(image: Bytes, step: tuple[float, float], start: tuple[float, float], size: tuple[int, int]) -> Floats:
    import cv2

    smooth = cv2.GaussianBlur(image, (0, 0), sigmaX=0.45 * step[0], sigmaY=0.45 * step[1])
    where = np.array([[step[0], 0, start[0]], [0, step[1], start[1]]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(smooth, where, size, flags=how, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)


def _cells(image: Floats) -> Floats:
    """[rows, columns, 64] or [rows, columns, 64, 3]; what is over at the edges is left out evenly."""
    h, w = (n // _CELL for n in image.shape[:2])
    y, x = (image.shape[0] - h * _CELL) // 2, (image.shape[1] - w * _CELL) // 2
    cut = image[y : y + h * _CELL, x : x + w * _CELL]
    split = cut.reshape(h, _CELL, w, _CELL, *image.shape[2:]).swapaxes(1, 2)
    return split.reshape(h, w, _CELL * _CELL, *image.shape[2:])


def _agreement(x: Floats, y: Floats) -> tuple[Mask, Mask, Floats]:
    """For cells [r, c, 64] of luma: which agree, which are busy, and their correlation."""
    y = _matched(x, y)
    dx, dy = x - x.mean(2, keepdims=True), y - y.mean(2, keepdims=True)
    vx, vy = (dx**2).mean(2), (dy**2).mean(2)
    pattern = (dx * dy).mean(2) / np.sqrt(vx * vy + 1e-6)
    busy = np.maximum(vx, vy) > _BUSY**2
    as_strong = np.maximum(vx, vy) < 9 * np.minimum(vx, vy) + 9
    level = np.abs(x.mean(2) - y.mean(2)) < _LEVEL
    return np.where(busy, (pattern > _PATTERN) & as_strong, level), busy, pattern


def _matched(x: Floats, y: Floats) -> Floats:
    """``y`` with the brightness and contrast of ``x``, judged by the two thirds of the cells that then fit best."""
    fitting = np.ones(x.shape[:2], bool)
    for _ in range(3):
        one, two = x[fitting], y[fitting]
        gain = (one.std() + 1e-3) / (two.std() + 1e-3)
        shift = one.mean() - gain * two.mean()
        miss = np.abs(x - gain * y - shift).mean(2)
        fitting = miss <= np.quantile(miss, 0.66) + 1e-6
    return gain * y + shift  # type: ignore[no-any-return]


def _trimmed(alike: Mask) -> tuple[int, int, int, int]:
    """The rectangle that is left when edges are cut off of which less than half agrees."""
    top, left = 0, 0
    bottom, right = alike.shape
    while bottom - top > 2 and right - left > 2:
        inner = alike[top:bottom, left:right]
        edges = [inner[0].mean(), inner[-1].mean(), inner[:, 0].mean(), inner[:, -1].mean()]
        worst = int(np.argmin(edges))
        if edges[worst] >= 0.5:
            break
        top, bottom = top + (worst == 0), bottom - (worst == 1)
        left, right = left + (worst == 2), right - (worst == 3)
    return top, bottom, left, right


def _hue(one: Floats, two: Floats) -> float:
    """Correlation of the colour differences R - G and B - G of colours [n, 3]; 1 if one side hardly has any."""
    x, y = (c[:, [0, 2]] - c[:, [1]] for c in (one, two))
    if not len(x):
        return 1.0
    x, y = x - x.mean(0), y - y.mean(0)
    strength = min(float(np.sqrt((v**2).mean())) for v in (x, y))
    if strength < _BUSY:
        return 1.0
    return float((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()))


def _edgier(x: Floats, y: Floats) -> float:
    """For cells [n, 64] of luma: the difference of their mean gradients over the sum."""
    if not len(x):
        return 0.0
    one, two = (sum(float(np.abs(np.diff(c.reshape(-1, _CELL, _CELL), axis=k)).mean()) for k in (1, 2)) for c in (x, y))
    return (one - two) / (one + two + 1e-6)


def _plain(pixels: Any) -> float:
    """Part of the pixels [..., 3] that has the two most common of 64 colours."""
    flat = np.asarray(pixels, np.uint8).reshape(-1, 3) // 64
    if not len(flat):
        return 0.0
    counts = np.bincount(flat @ np.array([16, 4, 1]), minlength=64)
    return float(np.sort(counts)[-2:].sum() / len(flat))


def _area(box: tuple[float, ...], image: Bytes) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]) / (image.shape[0] * image.shape[1]))


def _outside(image: Bytes, box: tuple[float, ...]) -> Bytes:
    x0, y0, x1, y1 = (round(v) for v in box)
    out = np.ones(image.shape[:2], bool)
    out[max(0, y0 - _EDGE) : y1 + _EDGE, max(0, x0 - _EDGE) : x1 + _EDGE] = False
    return image[out]


def _seam(image: Bytes, box: tuple[float, ...]) -> bool:
    """Whether the picture changes abruptly where the overlap ends inside it, along most of that edge."""
    x0, y0, x1, y1 = (round(v) for v in box)
    part, across = image[max(0, y0) : y1], image[:, max(0, x0) : x1]
    lines = [
        *_lines(across.astype(np.float32), y0, -1),
        *_lines(across.astype(np.float32), y1, 1),
        *_lines(part.astype(np.float32).swapaxes(0, 1), x0, -1),
        *_lines(part.astype(np.float32).swapaxes(0, 1), x1, 1),
    ]
    return any(lines)


def _lines(rows: Floats, at: int, outward: int) -> list[bool]:
    """Compare the rows on both sides of ``at`` with two rows as far apart within; nothing if ``at`` is at the edge."""
    out, near, far = at + outward * _EDGE, at - outward * _EDGE, at - outward * 3 * _EDGE
    if not all(0 <= r < len(rows) for r in (out, near, far)):
        return []
    jump = np.abs(rows[out] - rows[near]).mean(1)
    usual = np.abs(rows[near] - rows[far]).mean(1)
    return [bool(np.mean(jump > usual + _JUMP) > 0.5)]
