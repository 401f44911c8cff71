"""Figures for clip art, cartoons and logos: animals of random build, things, and plain icons."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

from bench.review.noise.ink import Color, shade

__all__ = ["LOOKS", "Brush", "animal", "icon", "thing"]

Points = list[tuple[float, float]]
LOOKS = ("flat", "outlined", "line", "silhouette", "soft")


@dataclass
class Brush:
    """Draws filled or outlined shapes on a square, transparent layer; coordinates are 0 to 1."""

    rng: random.Random
    side: int
    look: str
    ink: Color

    def __post_init__(self) -> None:
        self.layer = Image.new("RGBA", (self.side, self.side), (0, 0, 0, 0))
        self.pen = ImageDraw.Draw(self.layer)
        self.line = max(2, round(self.side * self.rng.choice([0.008, 0.012, 0.02])))
        self.wobble = self.rng.choice([0, 0, 0.02, 0.04])

    def shape(self, points: Points, color: Color) -> None:
        pts = [(x * self.side, y * self.side) for x, y in self._by_hand(points)]
        if self.look == "silhouette":
            self.pen.polygon(pts, (*self.ink, 255))
        elif self.look == "line":
            self.pen.polygon(pts, (255, 255, 255, 255))
            self.stroke(pts)
        else:
            self.pen.polygon(pts, (*color, 255))
            if self.look == "outlined":
                self.stroke(pts)

    def stroke(self, pts: Points) -> None:
        self.pen.line([*pts, pts[0], pts[1]], (*self.ink, 255), self.line, joint="curve")

    def _by_hand(self, points: Points) -> Points:
        """The same outline a little off, in slow waves."""
        a, b, n = self.rng.uniform(0, 6.3), self.rng.uniform(0, 6.3), max(len(points), 1)
        turns, size = 6 * math.pi / n, max(x for x, _ in points) - min(x for x, _ in points)
        return [
            (x + self.wobble * size * math.sin(turns * i + a), y + self.wobble * size * math.cos(turns * i + b))
            for i, (x, y) in enumerate(points)
        ]

    def oval(self, x: float, y: float, rx: float, ry: float, color: Color, tilt: float = 0) -> None:
        c, s = math.cos(tilt), math.sin(tilt)
        round_ = [(rx * math.cos(a), ry * math.sin(a)) for a in (2 * math.pi * i / 40 for i in range(40))]
        self.shape([(x + p * c - q * s, y + p * s + q * c) for p, q in round_], color)
        if self.look == "soft" and min(rx, ry) > 0.04:
            light = [(x + p * 0.55 - rx * 0.2, y + q * 0.5 - ry * 0.25) for p, q in round_]
            self.pen.polygon([(p * self.side, q * self.side) for p, q in light], (*shade(color, 1.25), 255))

    def mark(self, x: float, y: float, r: float, color: Color) -> None:
        """A small filled spot that stays in every look, such as an eye."""
        box = [v * self.side for v in (x - r, y - r, x + r, y + r)]
        self.pen.ellipse(box, (*(color if self.look != "silhouette" else (255, 255, 255)), 255))


def animal(rng: random.Random, side: int, look: str, coat: Color, ink: Color) -> Image.Image:
    """An animal that sits and looks at us, stands sideways, or only its face; RGBA, ``side`` x ``side``."""
    brush = Brush(rng, side, look, ink)
    belly = shade(coat, 1.5)
    kind = rng.choice(["sitting", "sitting", "face", "standing"])
    if kind == "standing":
        _standing(brush, coat, belly)
    elif kind == "face":
        _head(brush, 0.5, 0.55, 0.34, coat, belly)
    else:
        fat = rng.uniform(0.17, 0.27)
        for sign in (-1, 1):
            brush.oval(0.5 + sign * (fat + 0.02), 0.62, 0.07, 0.15, coat, -sign * rng.uniform(0.2, 0.9))
        brush.oval(0.5, 0.68, fat, 0.22, coat)
        brush.oval(0.5, 0.7, fat * 0.62, 0.15, belly)
        for sign in (-1, 1):
            brush.oval(0.5 + sign * fat * 0.9, 0.88, 0.11, 0.075, coat, sign * 0.2)
            brush.oval(0.5 + sign * fat * 0.95, 0.88, 0.05, 0.04, belly)
        _head(brush, 0.5, 0.32, rng.uniform(0.17, 0.22), coat, belly)
        if rng.random() < 0.4:
            bow = rng.choice([(200, 30, 50), (40, 90, 200), (240, 190, 40)])
            brush.shape([(0.5, 0.5), (0.38, 0.45), (0.38, 0.56)], bow)
            brush.shape([(0.5, 0.5), (0.62, 0.45), (0.62, 0.56)], bow)
    return brush.layer


def _head(brush: Brush, x: float, y: float, r: float, coat: Color, belly: Color) -> None:
    rng, ink = brush.rng, brush.ink
    ears, spread = rng.choice(["round", "round", "pointed", "long"]), rng.uniform(0.55, 0.8)
    for sign in (-1, 1):
        ex, ey = x + sign * r * spread, y - r * 0.75
        if ears == "pointed":
            brush.shape([(ex - r * 0.35, ey + r * 0.3), (ex + sign * r * 0.1, ey - r * 0.55), (ex + r * 0.35, ey + r * 0.3)], coat)  # fmt: skip
        else:
            tall = r * (0.75 if ears == "long" else 0.36)
            brush.oval(ex, ey - (tall * 0.5 if ears == "long" else 0), r * 0.33, tall, coat)
            brush.oval(ex, ey - (tall * 0.5 if ears == "long" else 0), r * 0.18, tall * 0.6, belly)
    brush.oval(x, y, r * rng.uniform(0.95, 1.15), r, coat)
    muzzle = r * rng.uniform(0.4, 0.55)
    brush.oval(x, y + r * 0.38, muzzle, muzzle * 0.75, belly)
    eye, apart, style = r * rng.uniform(0.07, 0.17), r * rng.uniform(0.28, 0.45), rng.choice(["dot", "white", "shine"])
    for sign in (-1, 1):
        if style == "white":
            brush.oval(x + sign * apart, y - r * 0.15, eye * 1.6, eye * 1.9, (255, 255, 255))
        brush.mark(x + sign * apart, y - r * 0.15, eye, ink)
        if style == "shine":
            brush.mark(x + sign * apart + eye * 0.3, y - r * 0.15 - eye * 0.3, eye * 0.35, (255, 255, 255))
    brush.mark(x, y + r * 0.22, r * rng.uniform(0.09, 0.15), ink)
    mouth = [v * brush.side for v in (x - r * 0.25, y + r * 0.2, x + r * 0.25, y + r * 0.6)]
    brush.pen.arc(mouth, 20, 160, (*ink, 255), brush.line)


def _standing(brush: Brush, coat: Color, belly: Color) -> None:
    rng, dark = brush.rng, shade(coat, 0.8)
    long, high = rng.uniform(0.22, 0.3), rng.uniform(0.12, 0.17)
    leg = rng.uniform(0.14, 0.22)
    for i, x in enumerate((-0.8, -0.5, 0.45, 0.75)):
        brush.oval(0.48 + x * long, 0.55 + high * 0.5 + leg * 0.6, 0.045, leg * 0.75, coat if i % 2 else dark)
    if rng.random() < 0.6:
        brush.oval(0.48 - long * 1.05, 0.48, 0.05, rng.uniform(0.04, 0.14), coat, 0.7)
    brush.oval(0.48, 0.55, long, high, coat, rng.uniform(-0.12, 0.1))
    _head(brush, 0.48 + long, 0.42, rng.uniform(0.1, 0.15), coat, belly)


def thing(rng: random.Random, side: int, look: str, color: Color, ink: Color) -> Image.Image:
    """A cup, a flower, a house, a car or a tree; RGBA."""
    b = Brush(rng, side, look, ink)
    kind, light = rng.choice(["cup", "flower", "house", "car", "tree"]), shade(color, 1.5)
    if kind == "cup":
        b.oval(0.68, 0.52, 0.14, 0.14, color)
        b.oval(0.68, 0.52, 0.08, 0.08, (255, 255, 255))
        b.shape([(0.25, 0.3), (0.68, 0.3), (0.62, 0.78), (0.31, 0.78)], color)
        b.oval(0.465, 0.3, 0.215, 0.05, light)
    elif kind == "flower":
        b.shape([(0.48, 0.5), (0.52, 0.5), (0.53, 0.95), (0.49, 0.95)], (60, 130, 60))
        n = rng.choice([5, 6, 8])
        for i in range(n):
            a = 2 * math.pi * i / n
            b.oval(0.5 + 0.2 * math.cos(a), 0.38 + 0.2 * math.sin(a), 0.14, 0.08, color, a)
        b.oval(0.5, 0.38, 0.1, 0.1, (240, 190, 50))
    elif kind == "house":
        b.shape([(0.22, 0.48), (0.78, 0.48), (0.78, 0.88), (0.22, 0.88)], light)
        b.shape([(0.14, 0.5), (0.5, 0.16), (0.86, 0.5)], color)
        b.shape([(0.44, 0.64), (0.56, 0.64), (0.56, 0.88), (0.44, 0.88)], shade(color, 0.6))
    elif kind == "car":
        b.shape([(0.28, 0.5), (0.38, 0.32), (0.66, 0.32), (0.76, 0.5)], light)
        b.shape([(0.1, 0.5), (0.88, 0.48), (0.92, 0.68), (0.08, 0.68)], color)
        for x in (0.27, 0.73):
            b.oval(x, 0.69, 0.09, 0.09, (40, 40, 40))
            b.oval(x, 0.69, 0.04, 0.04, (200, 200, 200))
    else:
        b.shape([(0.46, 0.6), (0.54, 0.6), (0.56, 0.95), (0.44, 0.95)], (110, 75, 45))
        for dx, dy, r in ((-0.15, 0.42, 0.17), (0.15, 0.42, 0.17), (0, 0.3, 0.2), (0, 0.5, 0.18)):
            b.oval(0.5 + dx, dy, r, r, color)
    return b.layer


def icon(rng: random.Random, side: int, color: Color) -> Image.Image:
    """A plain sign in one colour; RGBA."""
    b = Brush(rng, side, "flat", color)
    b.wobble = 0
    kind = rng.choice(["heart", "star", "paw", "arrow", "tick", "pin", "ring", "bars", "animal"])
    if kind == "animal":
        return animal(rng, side, "silhouette", color, color)
    if kind == "heart":
        b.oval(0.34, 0.36, 0.19, 0.19, color)
        b.oval(0.66, 0.36, 0.19, 0.19, color)
        b.shape([(0.17, 0.44), (0.83, 0.44), (0.5, 0.86)], color)
    elif kind == "star":
        n = rng.choice([5, 5, 6, 8, 12])
        spikes = [(math.pi * i / n - math.pi / 2, 0.45 if i % 2 == 0 else 0.2) for i in range(2 * n)]
        b.shape([(0.5 + r * math.cos(a), 0.5 + r * math.sin(a)) for a, r in spikes], color)
    elif kind == "paw":
        b.oval(0.5, 0.65, 0.22, 0.18, color)
        for x, y in ((0.22, 0.42), (0.4, 0.26), (0.6, 0.26), (0.78, 0.42)):
            b.oval(x, y, 0.085, 0.12, color)
    elif kind == "arrow":
        b.shape([(0.1, 0.4), (0.55, 0.4), (0.55, 0.2), (0.92, 0.5), (0.55, 0.8), (0.55, 0.6), (0.1, 0.6)], color)
    elif kind == "tick":
        b.shape([(0.12, 0.5), (0.25, 0.38), (0.42, 0.56), (0.76, 0.18), (0.9, 0.3), (0.42, 0.82)], color)
    elif kind == "pin":
        b.oval(0.5, 0.36, 0.24, 0.24, color)
        b.shape([(0.29, 0.47), (0.71, 0.47), (0.5, 0.92)], color)
        b.oval(0.5, 0.36, 0.1, 0.1, (255, 255, 255))
    elif kind == "ring":
        b.oval(0.5, 0.5, 0.42, 0.42, color)
        b.oval(0.5, 0.5, 0.3, 0.3, (255, 255, 255))
    else:
        for i in range(3):
            b.shape([(0.15, 0.25 + 0.22 * i), (0.85, 0.25 + 0.22 * i), (0.85, 0.35 + 0.22 * i), (0.15, 0.35 + 0.22 * i)], color)  # fmt: skip
    return b.layer
