"""Houses in the country: cottages and tall ones, in summer, autumn and snow, with trees, fences and a path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keepset.demo.canvas import Array, Brush, Canvas, Point, blob, line, mix, rgb
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
    front_lit: bool


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
    plan = _plan(c, horizon, side)
    _path(c, plan, ground * mix(mood.sun, mood.shade, 0.4))
    _house(c, mood, plan, side)
    if c.dice.random() < 0.5:
        _fence(c, mood, plan.foot + c.h * 0.09)
    if c.dice.random() < 0.4:
        x = plan.left - c.w * 0.1 if c.dice.random() < 0.5 else plan.right + c.w * 0.1
        tree(c, mood, x, plan.foot + c.h * 0.04, c.h * c.dice.uniform(0.45, 0.65), side, leaf)


def paint_house_on_white(c: Canvas) -> None:
    """A model house on white, as a shop shows it."""
    c.studio()
    side = c.dice.choice((-1, 1))
    _house(c, c.dice.choice(MOODS[:4]), _plan(c, c.h * c.dice.uniform(0.6, 0.7), side), side)


def _plan(c: Canvas, horizon: float, side: int) -> _Plan:
    width = c.h * c.dice.uniform(0.62, 0.9)
    tall = c.h * c.dice.uniform(0.2, 0.34)
    left = c.w * c.dice.uniform(0.42, 0.58) - width / 2
    foot = horizon + c.h * c.dice.uniform(0.12, 0.2)
    share = c.dice.uniform(0.55, 0.7)
    roof = c.h * c.dice.uniform(0.17, 0.25)
    return _Plan(left, left + width * share, left + width, foot, foot - tall, foot - tall - roof, side < 0)


def _house(c: Canvas, mood: Mood, p: _Plan, side: int) -> None:
    wall, roof = rgb(c.dice.choice(_WALLS)), rgb(c.dice.choice(_ROOFS))
    lit, dim = wall * mood.sun, wall * mix(mood.shade, mood.sun, 0.25) * 0.9
    front, end = (lit, dim) if p.front_lit else (dim, lit)
    tall = p.foot - p.eaves
    away = -side * tall * 0.9
    c.fill([(p.left, p.foot), (p.right, p.foot), (p.right + away, p.foot + tall * 0.22), (p.left + away, p.foot + tall * 0.22)],
           rgb("10161c"), blur=4, opacity=0.4)  # fmt: skip
    back = p.foot - tall * 0.06
    peak = ((p.corner + p.right) / 2, p.ridge)
    c.fill([(p.left, p.foot), (p.corner, p.foot), (p.corner, p.eaves), (p.left, p.eaves)], _rough(c, front, p))
    gable = [(p.corner, p.foot), (p.right, back), (p.right, p.eaves), peak, (p.corner, p.eaves)]
    c.fill(gable, _rough(c, end, p))
    _chimney(c, mood, p, rgb("8a5a4a") * mood.sun)
    over = tall * 0.1
    start = p.left + (peak[0] - p.corner) * 0.9
    slope = [
        (p.left - over, p.eaves + over * 0.6),
        (p.corner + over * 0.2, p.eaves + over * 0.6),
        (peak[0], p.ridge - over * 0.3),
        (start, p.ridge),
    ]
    c.fill(slope, _tiles(roof * (mood.sun if p.front_lit else mix(mood.shade, mood.sun, 0.4)), tall))
    c.fill(
        line((peak[0], p.ridge - over * 0.3), (p.right + over, p.eaves + over * 0.7), over * 0.7),
        roof * mood.shade * 0.9,
    )
    c.fill(
        line((p.left - over, p.eaves + over), (p.corner, p.eaves + over), over * 0.5),
        rgb("0d1014"),
        blur=1.5,
        opacity=0.45,
    )
    _openings(c, mood, p, back)


def _rough(c: Canvas, color: Array, p: _Plan) -> Brush:
    """Plaster, boards or bricks, darker towards the ground."""
    kind, spots = c.dice.randrange(3), c.noise((c.h, c.w), c.h / 6, 4)

    def painted(px: Array, py: Array) -> Array:
        down = np.clip((py - p.eaves) / (p.foot - p.eaves), 0, 1)
        light = 1 - 0.16 * down + 0.05 * spots[int(py[0, 0]) : int(py[-1, 0]) + 1, int(px[0, 0]) : int(px[0, -1]) + 1]
        if kind:
            size = 5.0 if kind == 1 else 4.0
            light = light - 0.1 * (np.mod(py, size) < 1)
        if kind == 2:
            light = light - 0.07 * (np.mod(px + 4 * (np.floor(py / 4) % 2), 8) < 1)
        return np.asarray(color * light[..., None], np.float32)

    return painted


def _tiles(color: Array, tall: float) -> Brush:
    row = max(3.0, tall * 0.07)

    def painted(px: Array, py: Array) -> Array:
        at = np.mod(py, row) / row
        joint = np.mod(px + row * 0.8 * (np.floor(py / row) % 2), row * 1.6) < 1
        tone = np.sin(
            np.floor(py / row) * 12.99 + np.floor((px + row * 0.8 * (np.floor(py / row) % 2)) / (row * 1.6)) * 78.23
        )
        return np.asarray(color * (0.84 + 0.24 * at - 0.12 * joint + 0.06 * tone)[..., None], np.float32)

    return painted


def _chimney(c: Canvas, mood: Mood, p: _Plan, color: Array) -> None:
    x, w = p.left + (p.corner - p.left) * c.dice.uniform(0.45, 0.8), (p.right - p.left) * 0.045
    top = p.ridge - (p.eaves - p.ridge) * 0.32
    c.fill([(x - w, p.eaves), (x + w, p.eaves), (x + w, top), (x - w, top)], _tiles(color, 40))
    c.fill([(x - w * 1.2, top), (x + w * 1.2, top), (x + w * 1.2, top + 3), (x - w * 1.2, top + 3)], color * 0.6)
    if c.dice.random() < 0.45:
        drift = c.dice.choice((-1, 1))
        for i in range(7):
            r = w * (0.7 + 0.45 * i)
            c.fill(
                blob(x + drift * i * i * w * 0.16, top - i * w * 1.3, r, r * 0.8),
                mix(mood.cloud, mood.low, 0.3),
                blur=r * 0.6,
                opacity=0.4 - 0.04 * i,
            )


def _openings(c: Canvas, mood: Mood, p: _Plan, back: float) -> None:
    wide, tall = p.corner - p.left, p.foot - p.eaves
    n = c.dice.choice((2, 3))
    door = c.dice.randrange(n)
    for i in range(n):
        x = p.left + wide * (i + 0.5) / n
        if i == door:
            _door(c, mood, x, p.foot, wide * 0.17, tall * 0.62)
        else:
            _window(c, mood, x, p.foot - tall * 0.52, wide * 0.18, tall * 0.36)
    x = (p.corner + p.right) / 2
    _window(c, mood, x, back - tall * 0.5, (p.right - p.corner) * 0.26, tall * 0.34)
    if p.eaves - p.ridge > c.h * 0.19:
        _window(c, mood, x, p.eaves - (p.eaves - p.ridge) * 0.28, (p.right - p.corner) * 0.2, tall * 0.24)


def _box(x: float, y: float, w: float, h: float) -> list[Point]:
    return [(x - w / 2, y - h / 2), (x + w / 2, y - h / 2), (x + w / 2, y + h / 2), (x - w / 2, y + h / 2)]


def _window(c: Canvas, mood: Mood, x: float, y: float, w: float, h: float) -> None:
    frame = rgb("f2efe8") * mix(mood.sun, mood.shade, 0.3)
    c.fill(_box(x, y, w * 1.22, h * 1.18), frame)
    glass = rgb("ffd27a") if mood.night else rgb("33424f")

    def pane(px: Array, py: Array) -> Array:
        share = np.clip(0.5 + ((x - px) / w + (y - py) / h) * 0.6, 0, 1)
        return mix(
            glass, mix(mood.low, mood.top, 0.5) if not mood.night else rgb("ffb04a"), (share * 0.7).astype(np.float32)
        )

    c.fill(_box(x, y, w, h), pane)
    c.fill(_box(x, y, max(1.2, w * 0.07), h), frame)
    c.fill(_box(x, y, w, max(1.2, h * 0.06)), frame)
    c.fill(_box(x, y + h * 0.62, w * 1.35, h * 0.1), frame * 0.85)
    if mood.night:
        c.glow(x, y, h * 1.6, rgb("ffb04a"), 0.12)


def _door(c: Canvas, mood: Mood, x: float, foot: float, w: float, h: float) -> None:
    color = rgb(c.dice.choice(_DOORS)) * mix(mood.sun, mood.shade, 0.35)
    c.fill(_box(x, foot - h / 2, w * 1.22, h * 1.06), rgb("ece6da") * mix(mood.sun, mood.shade, 0.35))
    c.fill(_box(x, foot - h / 2, w, h), color)
    for i in (0.3, 0.72):
        c.fill(_box(x, foot - h * i, w * 0.62, h * 0.3), color * 0.8)
    c.fill(blob(x + w * 0.34, foot - h * 0.5, 1.6, 1.6, n=8), rgb("e3c878"))


def _path(c: Canvas, p: _Plan, ground: Array) -> None:
    x, w = (p.left + p.corner) / 2, (p.corner - p.left) * 0.1
    bend = c.dice.uniform(-0.25, 0.25) * c.w
    stone = mix(ground, rgb("cdbfa3"), 0.55)
    c.fill(
        [(x - w, p.foot), (x + w, p.foot), (x + bend + w * 5, c.h + 4), (x + bend - w * 5, c.h + 4)],
        stone,
        blur=2.5,
        opacity=0.85,
    )


def _fence(c: Canvas, mood: Mood, y: float) -> None:
    color, high = rgb("e9e2d2") * mix(mood.sun, mood.shade, 0.3), c.h * 0.075
    for bar in (0.35, 0.75):
        c.fill(
            [(0, y - high * bar), (c.w, y - high * bar), (c.w, y - high * bar + 2.2), (0, y - high * bar + 2.2)],
            color * 0.88,
        )
    step = c.w / c.dice.choice((18, 24))
    for i in range(int(c.w / step) + 1):
        x = i * step + step * 0.3
        c.fill(
            [
                (x, y),
                (x, y - high),
                (x + step * 0.14, y - high * 1.16),
                (x + step * 0.28, y - high),
                (x + step * 0.28, y),
            ],
            color,
        )
