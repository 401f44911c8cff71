"""A small painter for the demo's pictures: polygons with soft edges, textures, planes in perspective, light.

Colours are arrays of red, green and blue from 0 to 1; places are pixels, y downwards.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

__all__ = ["Array", "Brush", "Canvas", "Paint", "Point", "blob", "line", "mix", "rgb"]

Array = npt.NDArray[np.float32]
Point = tuple[float, float]
Brush = Callable[[Array, Array], Array]  # colours by x and y
Paint = Array | Brush
_FINER = 2  # masks are drawn larger, then reduced: smooth edges


def rgb(color: str) -> Array:
    """``"c8443a"`` as a colour."""
    return np.array([int(color[i : i + 2], 16) / 255 for i in (0, 2, 4)], np.float32)


def mix(a: Array, b: Array, share: float | Array) -> Array:
    """``a`` where ``share`` is 0, ``b`` where it is 1."""
    t = np.asarray(share, np.float32)
    return a + (b - a) * (t[..., None] if t.ndim else t)


def blob(x: float, y: float, rx: float, ry: float, *, lean: float = 0.0, n: int = 40) -> list[Point]:
    """An ellipse as a polygon, turned by ``lean`` (radians)."""
    c, s = math.cos(lean), math.sin(lean)
    turns = [2 * math.pi * i / n for i in range(n)]
    return [
        (x + rx * math.cos(a) * c - ry * math.sin(a) * s, y + rx * math.cos(a) * s + ry * math.sin(a) * c)
        for a in turns
    ]


def line(a: Point, b: Point, width: float, end: float | None = None) -> list[Point]:
    """A straight line as a polygon, ``end`` wide at ``b``."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.hypot(dx, dy) or 1.0
    nx, ny = -dy / length / 2, dx / length / 2
    e = width if end is None else end
    return [
        (a[0] + nx * width, a[1] + ny * width), (b[0] + nx * e, b[1] + ny * e),
        (b[0] - nx * e, b[1] - ny * e), (a[0] - nx * width, a[1] - ny * width),
    ]  # fmt: skip


class Canvas:
    """A picture while it is painted: ``px`` is float32 [height, width, 3]."""

    def __init__(self, seed: str, width: int, height: int) -> None:
        self.w, self.h = width, height
        self.dice = random.Random(seed)  # noqa: S311 - pictures, not secrets
        self._noise = np.random.default_rng(self.dice.getrandbits(63))
        self.px: Array = np.zeros((height, width, 3), np.float32)
        self.y, self.x = np.mgrid[0:height, 0:width].astype(np.float32)

    def noise(self, shape: tuple[int, int], cell: float | tuple[float, float], octaves: int = 3) -> Array:
        """Smooth noise, mostly within -1 to 1, [height, width]; ``cell`` is the size of its coarsest spots in pixels."""
        h, w = shape
        cx, cy = cell if isinstance(cell, tuple) else (cell, cell)
        found: Array = np.zeros(shape, np.float32)
        for i in range(octaves):
            size = max(2, int(w * 2**i / cx) + 1), max(2, int(h * 2**i / cy) + 1)
            coarse = self._noise.standard_normal((min(h, size[1]), min(w, size[0])), np.float32)
            found += np.asarray(Image.fromarray(coarse).resize((w, h), Image.Resampling.BICUBIC)) * 0.55**i
        return found * np.float32(0.6)

    def plane(self, top: float, cell: tuple[float, float], octaves: int = 3, *, zoom: float = 0.12) -> Array:
        """Noise on a plane that leaves for the horizon at ``top``: [rows under it, width]; far spots are small."""
        rows = self.h - int(top)
        texture = self.noise((256, 512), cell, octaves)
        t = (np.arange(rows, dtype=np.float32)[:, None] / max(1, rows)) + zoom
        v = (60 / t).astype(np.int32) % 256
        u = (((np.arange(self.w, dtype=np.float32) - self.w / 2) * (300 / self.w) / t * 0.7).astype(np.int32)) % 512
        return texture[v, u]

    def fill(self, shape: Sequence[Point], paint: Paint, *, blur: float = 0.0, opacity: float = 1.0) -> None:
        """Lay ``paint`` over the polygon ``shape``, with edges softened by ``blur`` pixels."""
        margin = math.ceil(blur * 2.5) + 1
        left, top = (max(0, math.floor(min(p[i] for p in shape)) - margin) for i in (0, 1))
        right = min(self.w, math.ceil(max(p[0] for p in shape)) + margin)
        bottom = min(self.h, math.ceil(max(p[1] for p in shape)) + margin)
        if right <= left or bottom <= top:
            return
        mask = Image.new("L", ((right - left) * _FINER, (bottom - top) * _FINER))
        ImageDraw.Draw(mask).polygon([((x - left) * _FINER, (y - top) * _FINER) for x, y in shape], 255)
        mask = mask.reduce(_FINER)
        if blur:
            mask = mask.filter(ImageFilter.GaussianBlur(blur))
        here = np.s_[top:bottom, left:right]
        color = paint(self.x[here], self.y[here]) if callable(paint) else paint
        share = np.asarray(mask, np.float32) * np.float32(opacity / 255)
        self.px[here] += (color - self.px[here]) * share[..., None]

    def box(
        self, left: float, top: float, right: float, bottom: float, paint: Paint, *, blur: float = 0, opacity: float = 1
    ) -> None:
        self.fill([(left, top), (right, top), (right, bottom), (left, bottom)], paint, blur=blur, opacity=opacity)

    def studio(self) -> None:
        """A white sweep, as shops photograph on: a little darker at the bottom."""
        low = np.clip(self.y / self.h - 0.45, 0, 1)
        self.px[:] = (0.985 - 0.07 * low * np.sqrt(low))[..., None]

    def glow(self, x: float, y: float, radius: float, color: Array, strength: float) -> None:
        """Add light around a place."""
        d2 = ((self.x - x) ** 2 + (self.y - y) ** 2) / np.float32(radius * radius)
        self.px += (np.exp(-d2) * np.float32(strength))[..., None] * color

    def picture(self, *, tilt: float = 0.0, grain: float = 0.02, corners: float = 0.35) -> Image.Image:
        """The picture with what a camera adds: darker corners, grain, a slight tilt."""
        dx, dy = self.x / self.w - 0.5, self.y / self.h - 0.5
        self.px *= (1 - np.float32(corners) * (dx * dx + dy * dy))[..., None]
        self.px += self._noise.standard_normal((self.h, self.w, 1), np.float32) * np.float32(grain)
        image = self._image()
        if not tilt:
            return image
        zoom = math.cos(math.radians(tilt)) + abs(math.sin(math.radians(tilt))) * max(self.w / self.h, self.h / self.w)
        c, s = math.cos(math.radians(tilt)) / zoom, math.sin(math.radians(tilt)) / zoom
        x, y = self.w / 2, self.h / 2
        moved = (c, s, x - c * x - s * y, -s, c, y + s * x - c * y)
        return image.transform(image.size, Image.Transform.AFFINE, moved, Image.Resampling.BICUBIC)

    def _image(self) -> Image.Image:
        return Image.fromarray((np.clip(self.px, 0, 1) * 255).astype(np.uint8))
