"""Houses in the country: cottages and tall ones, in summer, autumn and snow, among trees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keepset.demo.canvas import Array, Brush, Canvas, line, mix, rgb
from keepset.demo.outdoors import MOODS, Mood, hills, meadow, sky, tree

__all__ = ["paint_house", "paint_house_on_white"]

_WALLS = ("efe6d4", "d9c7a8", "c7d2d4", "b5503f", "e8d9b0", "a7b7a0", "dfe2e0", "c98f6c")
_ROOFS = ("8a3f31", "5b4a45", "454f5a", "7c5a3f", "9a5138")
_DOORS = ("2f5d62", "7a2f2b", "3f5f3a", "5a3d28", "274a77")
_GROUNDS = (("7f9a4e", "5f8140"), ("94a256", "6b8a45"), ("a58f52", "b0702f"), ("e9eef4", "57705e"))


@dataclass(frozen=True)
class _Plan:
    """Where the walls are: the front from ``left`` to ``corner``, the gable's wall from there to ``right``."""

    left: float
    corner: float
    right: float
    foot: float
    eaves: float
    ridge: float


def paint_house(c: Canvas) -> None:
    """A house among trees."""
    mood, side = c.dice.choice(MOODS), c.dice.choice((-1, 1))
    ground, leaf = (rgb(x) for x in c.dice.choice(_GROUNDS))
    horizon = c.h * c.dice.uniform(0.5, 0.64)
    sky(c, mood, horizon, side)
    hills(c, mood, horizon, mix(ground, leaf, 0.5), c.dice.choice((1, 2, 3)))
    meadow(c, mood, horizon, ground)
    for _ in range(c.dice.randint(1, 4)):
        x = c.dice.choice((c.dice.uniform(0, 0.25), c.dice.uniform(0.75, 1))) * c.w
        tree(c, mood, x, horizon + c.h * c.dice.uniform(0.02, 0.1), c.h * c.dice.uniform(0.2, 0.42), side, leaf)
    p = _plan(c, horizon)
    x, w, bend = (p.left + p.corner) / 2, (p.corner - p.left) * 0.1, c.dice.uniform(-0.25, 0.25) * c.w
    path = [(x - w, p.foot), (x + w, p.foot), (x + bend + w * 5, c.h + 4), (x + bend - w * 5, c.h + 4)]
    c.fill(path, mix(ground * mix(mood.sun, mood.shade, 0.4), rgb("cdbfa3"), 0.55), blur=2.5, opacity=0.85)
    _house(c, mood, p, side)
    if c.dice.random() < 0.6:
        x = p.left - c.w * 0.1 if c.dice.random() < 0.5 else p.right + c.w * 0.1
        tree(c, mood, x, p.foot + c.h * 0.04, c.h * c.dice.uniform(0.45, 0.65), side, leaf)


def paint_house_on_white(c: Canvas) -> None:
    """A model house on white, as a shop shows it."""
    c.studio()
    _house(c, c.dice.choice(MOODS[:4]), _plan(c, c.h * c.dice.uniform(0.6, 0.7)), c.dice.choice((-1, 1)))


def _plan(c: Canvas, horizon: float) -> _Plan:
    width, tall, roof = (c.h * c.dice.uniform(*span) for span in ((0.62, 0.9), (0.2, 0.34), (0.17, 0.25)))
    left, foot = c.w * c.dice.uniform(0.42, 0.58) - width / 2, horizon + c.h * c.dice.uniform(0.12, 0.2)
    return _Plan(left, left + width * c.dice.uniform(0.55, 0.7), left + width, foot, foot - tall, foot - tall - roof)


def _house(c: Canvas, mood: Mood, p: _Plan, side: int) -> None:
    wall, roof = rgb(c.dice.choice(_WALLS)), rgb(c.dice.choice(_ROOFS))
    lit, dim = wall * mood.sun, wall * mix(mood.shade, mood.sun, 0.25) * 0.9
    front, end = (lit, dim) if side < 0 else (dim, lit)
    tall, back = p.foot - p.eaves, p.foot - (p.foot - p.eaves) * 0.06
    low, away, over = p.foot + tall * 0.22, -side * tall * 0.9, tall * 0.1
    shadow = [(p.left, p.foot), (p.right, p.foot), (p.right + away, low), (p.left + away, low)]
    c.fill(shadow, rgb("10161c"), blur=4, opacity=0.4)
    c.box(p.left, p.eaves, p.corner, p.foot, _rough(c, front, p))
    top = (p.corner + p.right) / 2
    gable = [(p.corner, p.foot), (p.right, back), (p.right, p.eaves), (top, p.ridge), (p.corner, p.eaves)]
    c.fill(gable, _rough(c, end, p))
    _chimney(c, p, rgb("8a5a4a") * mood.sun)
    edge, peak = p.eaves + over * 0.6, (top, p.ridge - over * 0.3)
    slope = [(p.left - over, edge), (p.corner + over * 0.2, edge), peak, (p.left + (top - p.corner) * 0.9, p.ridge)]
    c.fill(slope, _tiles(roof * (mood.sun if side < 0 else mix(mood.shade, mood.sun, 0.4)), tall))
    c.fill(line(peak, (p.right + over, p.eaves + over * 0.7), over * 0.7), roof * mood.shade * 0.9)
    c.box(p.left - over, p.eaves + over * 0.75, p.corner, p.eaves + over * 1.25, rgb("0d1014"), blur=1.5, opacity=0.45)
    _openings(c, mood, p, top, back)


def _rough(c: Canvas, color: Array, p: _Plan) -> Brush:
    """Plaster, or boards, darker towards the ground."""
    boards, spots = 0.1 * c.dice.choice((0, 1)), c.noise((c.h, c.w), c.h / 6, 4)

    def painted(px: Array, py: Array) -> Array:
        here = spots[int(py[0, 0]) : int(py[-1, 0]) + 1, int(px[0, 0]) : int(px[0, -1]) + 1]
        light = 1 - 0.16 * np.clip((py - p.eaves) / (p.foot - p.eaves), 0, 1) + 0.05 * here
        return np.asarray(color * (light - boards * (np.mod(py, 5) < 1))[..., None], np.float32)

    return painted


def _tiles(color: Array, tall: float) -> Brush:
    row = max(3.0, tall * 0.07)

    def painted(px: Array, py: Array) -> Array:
        n = np.floor(py / row)
        at = (px + row * 0.8 * (n % 2)) / (row * 1.6)
        tone = 0.84 + 0.24 * (py / row - n) - 0.12 * (np.mod(at, 1) * row * 1.6 < 1)
        return np.asarray(color * (tone + 0.06 * np.sin(n * 12.99 + np.floor(at) * 78.23))[..., None], np.float32)

    return painted


def _chimney(c: Canvas, p: _Plan, color: Array) -> None:
    x, w = p.left + (p.corner - p.left) * c.dice.uniform(0.45, 0.8), (p.right - p.left) * 0.045
    top = p.ridge - (p.eaves - p.ridge) * 0.32
    c.box(x - w, top, x + w, p.eaves, _tiles(color, 40))
    c.box(x - w * 1.2, top, x + w * 1.2, top + 3, color * 0.6)


def _openings(c: Canvas, mood: Mood, p: _Plan, top: float, back: float) -> None:
    """A door and windows in the front, one or two windows in the gable's wall."""
    wide, tall, n = p.corner - p.left, p.foot - p.eaves, c.dice.choice((2, 3))
    door = c.dice.randrange(n)
    for i in range(n):
        x = p.left + wide * (i + 0.5) / n
        if i == door:
            _door(c, mood, x, p.foot, wide * 0.17, tall * 0.62)
        else:
            _window(c, mood, x, p.foot - tall * 0.52, wide * 0.18, tall * 0.36)
    _window(c, mood, top, back - tall * 0.5, (p.right - p.corner) * 0.26, tall * 0.34)
    if p.eaves - p.ridge > c.h * 0.19:
        _window(c, mood, top, p.eaves - (p.eaves - p.ridge) * 0.28, (p.right - p.corner) * 0.2, tall * 0.24)


def _window(c: Canvas, mood: Mood, x: float, y: float, w: float, h: float) -> None:
    """With the sky in its glass, or lit from inside."""
    frame = rgb("f2efe8") * mix(mood.sun, mood.shade, 0.3)
    glass = (rgb("ffd27a"), rgb("ffb04a")) if mood.night else (rgb("33424f"), mix(mood.low, mood.top, 0.5))

    def pane(px: Array, py: Array) -> Array:
        share = np.clip(0.5 + ((x - px) / w + (y - py) / h) * 0.6, 0, 1)
        return mix(*glass, (share * 0.7).astype(np.float32))

    c.box(x - w * 0.61, y - h * 0.59, x + w * 0.61, y + h * 0.59, frame)
    c.box(x - w / 2, y - h / 2, x + w / 2, y + h / 2, pane)
    c.fill(line((x, y - h / 2), (x, y + h / 2), max(1.2, w * 0.07)), frame)
    c.fill(line((x - w / 2, y), (x + w / 2, y), max(1.2, h * 0.06)), frame)
    c.box(x - w * 0.68, y + h * 0.57, x + w * 0.68, y + h * 0.67, frame * 0.85)
    if mood.night:
        c.glow(x, y, h * 1.6, rgb("ffb04a"), 0.12)


def _door(c: Canvas, mood: Mood, x: float, foot: float, w: float, h: float) -> None:
    light = mix(mood.sun, mood.shade, 0.35)
    c.box(x - w * 0.61, foot - h * 1.03, x + w * 0.61, foot, rgb("ece6da") * light)
    c.box(x - w / 2, foot - h, x + w / 2, foot, rgb(c.dice.choice(_DOORS)) * light)
    c.box(x + w * 0.27, foot - h * 0.52, x + w * 0.4, foot - h * 0.46, rgb("e3c878"))
