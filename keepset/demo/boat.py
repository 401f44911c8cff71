"""Boats on the sea: sloops, near and far, at five times of day."""

from __future__ import annotations

import itertools

import numpy as np

from keepset.demo.canvas import Array, Brush, Canvas, Point, line, mix, rgb
from keepset.demo.outdoors import MOODS, Mood, hills, sky, water

__all__ = ["paint_boat"]

_HULLS = ("f1eee6", "24405f", "8e2f2b", "2f6f6b", "d9b25a", "3b3a3c", "7a4a2d", "c8573a")
_SAILS = ("f4f0e4", "f7f5ee", "e9dcc0", "c8563f", "dfe6ea", "e0a94e", "33566f")


def paint_boat(c: Canvas) -> None:
    """One boat, and sometimes others far away."""
    mood, side = c.dice.choice(MOODS), c.dice.choice((-1, 1))
    horizon = c.h * c.dice.uniform(0.48, 0.64)
    sky(c, mood, horizon, side)
    if c.dice.random() < 0.65:
        hills(c, mood, horizon, rgb(c.dice.choice(("55704f", "6b6a58", "49606b"))), c.dice.choice((1, 2, 3)))
    water(c, mood, horizon, side)
    for _ in range(c.dice.choice((0, 0, 1, 2))):
        _sloop(c, mood, c.w * c.dice.uniform(0.05, 0.95), horizon + c.h * 0.01, c.h * c.dice.uniform(0.06, 0.13), side)
    size = c.h * c.dice.uniform(0.5, 0.72)
    x, y = c.w * c.dice.uniform(0.38, 0.62), horizon + c.h * c.dice.uniform(0.13, 0.22)
    _sloop(c, mood, x, y, size, side)


def _sloop(c: Canvas, mood: Mood, x: float, y: float, size: float, side: int) -> None:
    half, way = size * c.dice.uniform(0.46, 0.56), c.dice.choice((-1, 1))
    hull, sail = rgb(c.dice.choice(_HULLS)), rgb(c.dice.choice(_SAILS))
    top, deck = y - size * c.dice.uniform(0.86, 0.98), y - size * 0.1
    mast = x + way * half * 0.12
    _reflection(c, x, y, half, size, mix(hull, sail, 0.4) * mix(mood.sun, mood.shade, 0.5))
    c.fill(line((mast, deck), (mast, top), max(1.2, size * 0.016)), rgb("4d3a2a") * mood.sun)
    main = _sail((mast - way * size * 0.015, top + size * 0.03), (mast - way * size * 0.015, deck - size * 0.05),
                 (mast - way * half * c.dice.uniform(0.8, 1.0), deck - size * 0.05), -way * size * 0.07)  # fmt: skip
    c.fill(main, _cloth(sail, mood, mast, half, side))
    jib = sail if c.dice.random() < 0.6 else rgb(c.dice.choice(_SAILS))
    front = _sail((mast + way * size * 0.01, top + size * 0.12), (mast + way * half * 0.84, deck),
                  (mast + way * size * 0.05, deck - size * 0.03), -way * size * 0.05)  # fmt: skip
    c.fill(front, _cloth(jib * 0.97, mood, mast + way * half, half, side))
    c.fill(line((mast, top), (x - way * half * 0.95, deck), 0.8), rgb("55504a"), opacity=0.6)
    _hull(c, mood, x, y, half, size * 0.17, hull, way, side)
    _foam(c, x, y, half, way)


def _hull(
    c: Canvas, mood: Mood, x: float, y: float, half: float, deep: float, color: Array, way: int, side: int
) -> None:
    bow, stern = x + way * half * 1.06, x - way * half
    deck = y - deep * 0.75
    sheer = [
        (stern + (bow - stern) * t, deck + deep * (0.32 * t * (1 - t) * 2 - 0.3 * t * t))
        for t in (i / 12 for i in range(13))
    ]
    keel = [(bow - way * half * 0.2, y + deep * 0.22), (stern + way * half * 0.12, y + deep * 0.22)]

    def shaded(px: Array, py: Array) -> Array:
        down = np.clip((py - deck) / (deep * 0.97), 0, 1)
        along = (px - x) / half * side
        light = 0.82 + 0.2 * along - 0.3 * down + 0.03 * np.sin(py * 2.2)
        return np.asarray(mix(color * mood.sun, color * mood.shade, 0.35 + 0.3 * down) * light[..., None], np.float32)

    c.fill([*sheer, *keel], shaded)
    rail = mix(rgb("f3ead8"), color, 0.2) * mood.sun
    for a, b in itertools.pairwise(sheer):
        c.fill(line(a, b, max(1.2, deep * 0.12)), rail)
    c.fill([*keel, (keel[1][0], y + deep * 0.1), (keel[0][0], y + deep * 0.1)], rgb("6b2a22") * mood.shade, opacity=0.8)


def _sail(a: Point, b: Point, d: Point, belly: float) -> list[Point]:
    """A triangle whose edge from ``d`` back to ``a`` is blown out by ``belly`` pixels."""
    edge = [
        (d[0] + (a[0] - d[0]) * t + belly * 4 * t * (1 - t) * 0.6, d[1] + (a[1] - d[1]) * t)
        for t in (i / 8 for i in range(9))
    ]
    return [a, b, *edge]


def _cloth(color: Array, mood: Mood, mast: float, half: float, side: int) -> Brush:
    bright, dark = color * mood.sun, color * mix(mood.shade, mood.sun, 0.35)

    def shaded(px: Array, py: Array) -> Array:
        round_ = np.clip(np.abs(px - mast) / half, 0, 1)
        share = np.clip(0.25 + 0.75 * (round_ if side < 0 else 1 - round_) + 0.04 * np.sin(py * 0.35), 0, 1)
        seams = 1 - 0.07 * (np.mod(py + px * 0.1, max(5.0, half * 0.16)) < 1.1)
        return np.asarray(mix(dark, bright, share.astype(np.float32)) * seams[..., None], np.float32)

    return shaded


def _reflection(c: Canvas, x: float, y: float, half: float, size: float, color: Array) -> None:
    shake = c.noise((2, 32), 6, 2)[0] * half * 0.14
    left = [(x - half * (0.95 - 0.6 * i / 31) + float(shake[i]), y + size * 0.55 * i / 31) for i in range(32)]
    right = [(x + half * (0.95 - 0.6 * i / 31) + float(shake[31 - i]), y + size * 0.55 * i / 31) for i in range(32)]
    c.fill([*left, *reversed(right)], color * 0.5, blur=2, opacity=0.45)


def _foam(c: Canvas, x: float, y: float, half: float, way: int) -> None:
    for _ in range(14):
        px = x + c.dice.uniform(-1.15, 1.1) * half
        py = y + c.dice.uniform(0.0, 0.09) * half
        long = half * c.dice.uniform(0.06, 0.2)
        c.fill(line((px, py), (px + way * long, py + 0.6), 1.6, 0.6), rgb("f2f7f8"), blur=0.6, opacity=0.6)
