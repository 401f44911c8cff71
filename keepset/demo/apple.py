"""Apples on a table: round, streaked, one to three of them, by the light of a window."""

from __future__ import annotations

import math

import numpy as np

from keepset.demo.canvas import Array, Canvas, Point, blob, line, mix, rgb

__all__ = ["paint_apple", "paint_apple_on_white"]

_WALLS = ("cfc2ae", "9fb0b4", "6f7f86", "b7a48f", "8c9a86", "d8cfc4", "54606b", "a88f86")
_TABLES = ("9a6b43", "7a4f32", "b58a5c", "5f4634", "c9b494", "8d8f90")
_SKINS = (("b3202a", "d8903a"), ("8f1426", "c23a35"), ("7fae3a", "b9cf62"), ("d9a93a", "e6cf6a"), ("c23b2c", "e3b95a"))


def paint_apple(c: Canvas) -> None:
    """A still life on wood or stone."""
    side = c.dice.choice((-1, 1))
    edge = c.h * c.dice.uniform(0.5, 0.68)
    _room(c, edge, side)
    _table(c, edge, side)
    n = c.dice.choices((1, 2, 3), (6, 3, 2))[0]
    size = c.h * c.dice.uniform(0.44, 0.62) * (1, 0.78, 0.66)[n - 1]
    middle = c.w * c.dice.uniform(0.4, 0.6)
    skins = c.dice.sample(_SKINS, 2)
    for i in range(n):
        x = middle + (i - (n - 1) / 2) * size * c.dice.uniform(0.86, 1.02)
        foot = c.h * c.dice.uniform(0.8, 0.88) + (i % 2) * size * 0.1
        _apple(c, x, foot - size * 0.5, size * c.dice.uniform(0.93, 1.05), side, skins[min(i, 1) if n > 2 else 0])


def paint_apple_on_white(c: Canvas) -> None:
    """One apple or two on white, as a shop shows them."""
    c.studio()
    side, size = c.dice.choice((-1, 1)), c.h * c.dice.uniform(0.42, 0.64)
    x = c.w * c.dice.uniform(0.4, 0.6)
    if c.dice.random() < 0.5:
        _apple(c, x + side * size * 0.8, c.h * 0.5, size * 0.8, side, c.dice.choice(_SKINS))
        x -= side * size * 0.3
    _apple(c, x, c.h * c.dice.uniform(0.5, 0.6), size, side, c.dice.choice(_SKINS))


def _room(c: Canvas, edge: float, side: int) -> None:
    """A wall with the light of a window on it, out of focus."""
    wall = rgb(c.dice.choice(_WALLS)) * c.dice.uniform(0.75, 1.1)
    c.px[:] = wall * (0.55 + 0.45 * np.exp(-(((c.x / c.w - 0.5 - side * 0.45) / 0.6) ** 2)))[..., None]
    c.px *= (1 + 0.05 * c.noise((c.h, c.w), c.w / 5, 3))[..., None]
    for _ in range(c.dice.randint(0, 3)):
        x, r = c.dice.uniform(0, c.w), c.h * c.dice.uniform(0.08, 0.22)
        thing = rgb(c.dice.choice(("6d8a5b", "c9a66b", "7b5c52", "dcd6c8", "46616b"))) * 0.8
        c.fill(blob(x, edge - r * 0.8, r * c.dice.uniform(0.5, 1), r), thing, blur=c.h / 30)
    lean = c.w * 0.1 * side
    for i in (0, 1):
        x = c.w * (0.5 - side * 0.05 + 0.17 * i * side)
        pane = [(x, c.h * 0.06), (x + c.w * 0.13, c.h * 0.06), (x + c.w * 0.13 - lean, edge), (x - lean, edge)]
        c.fill(pane, np.minimum(wall * 1.6 + 0.08, 1), blur=c.h / 40, opacity=0.3)


def _table(c: Canvas, edge: float, side: int) -> None:
    top = int(edge)
    wood = rgb(c.dice.choice(_TABLES)) * c.dice.uniform(0.85, 1.1)
    grain = c.noise((c.h - top, c.w), (c.w * 0.9, c.h * 0.035), 4)
    light = 0.62 + 0.5 * np.exp(-(((c.x[top:] / c.w - 0.5 - side * 0.35) / 0.6) ** 2)) + grain * 0.17
    c.px[top:] = wood * light[..., None].astype(np.float32)
    for y in sorted(c.dice.uniform(edge, c.h) for _ in range(3)):
        c.fill([(0, y), (c.w, y + 2), (c.w, y + 4), (0, y + 2)], wood * 0.45, blur=0.7, opacity=0.6)
    c.fill([(0, edge), (c.w, edge), (c.w, edge + 3), (0, edge + 3)], wood * 0.4, blur=1.2, opacity=0.7)


def _outline(x: float, y: float, r: float, seed: float) -> list[Point]:
    """The silhouette: a circle, dented at the top and a little at the bottom, wider at the shoulders."""
    found = []
    for i in range(80):
        a = 2 * math.pi * i / 80
        dent = 0.15 * math.exp(-(((a - math.pi * 1.5) / 0.34) ** 2)) + 0.07 * math.exp(
            -(((a - math.pi / 2) / 0.3) ** 2)
        )
        wide = 1.04 - 0.07 * math.sin(a) + 0.015 * math.sin(3 * a + seed)
        found.append((x + r * wide * (1 - dent) * math.cos(a), y + r * (1 - dent) * 0.98 * math.sin(a)))
    return found


def _apple(c: Canvas, x: float, y: float, size: float, side: int, skin: tuple[str, str]) -> None:
    r = size / 2
    c.fill(blob(x - side * r * 0.5, y + r * 0.86, r * 1.25, r * 0.2), rgb("1c1410"), blur=r * 0.12, opacity=0.5)
    c.fill(blob(x - side * r * 0.08, y + r * 0.9, r * 0.75, r * 0.1), rgb("120c09"), blur=r * 0.05, opacity=0.75)
    streaks = c.noise((24, 160), (7, 60), 2)
    blush, turn = c.dice.uniform(-0.2, 0.5), c.dice.uniform(0, 6)

    def shaded(px: Array, py: Array) -> Array:
        nx, ny = (px - x) / (r * 1.1), (py - y) / (r * 1.02)
        nz = np.sqrt(np.clip(1 - nx * nx - ny * ny, 0.02, 1))
        around = ((np.arctan2(ny + 0.62, nx) + math.pi) / (2 * math.pi) * 159).astype(np.int32)
        out = np.clip((ny + 1) * 11, 0, 23).astype(np.int32)
        streak = streaks[out, around]
        share = np.clip(blush + 0.55 * streak + 0.35 * np.sin(2 * nx + turn), 0, 1)
        color = mix(rgb(skin[0]), rgb(skin[1]), share.astype(np.float32))
        lit = np.clip(side * 0.55 * nx - 0.55 * ny + 0.63 * nz, 0, 1)
        hollow = 1 - 0.55 * np.exp(-((nx / 0.3) ** 2 + ((ny + 0.8) / 0.17) ** 2))
        light = (0.2 + 0.95 * lit) * hollow + 0.1 * np.clip(ny, 0, 1) * nz
        shine = np.exp(-(((nx - side * 0.42) / 0.17) ** 2 + ((ny + 0.42) / 0.2) ** 2)) * 0.5
        shine += np.clip(lit, 0, 1) ** 14 * 0.12
        return np.asarray(color * light[..., None] + shine[..., None], np.float32)

    c.fill(_outline(x, y, r, turn), shaded)
    _stem(c, x, y, r, side)


def _stem(c: Canvas, x: float, y: float, r: float, side: int) -> None:
    lean = c.dice.uniform(-0.2, 0.2) * r
    root, tip = (x, y - r * 0.72), (x + lean, y - r * 1.2)
    c.fill(line(root, tip, r * 0.07, r * 0.1), rgb("3c2a1b"))
    c.fill(line((root[0] + side, root[1]), (tip[0] + side, tip[1]), r * 0.025), rgb("8a6a48"))
    if c.dice.random() < 0.55:
        way, long = c.dice.choice((-1, 1)), r * c.dice.uniform(0.5, 0.75)
        lean = c.dice.uniform(0.1, 0.5)
        at = (root[0] + lean, (root[1] + tip[1]) / 2)
        end = (at[0] + way * long * math.cos(lean), at[1] - long * math.sin(lean))
        middle = ((at[0] + end[0]) / 2, (at[1] + end[1]) / 2)
        up, down = (middle[0], middle[1] - long * 0.24), (middle[0], middle[1] + long * 0.2)
        c.fill(_leaf(at, up, end), rgb("6f9c3c"))
        c.fill(_leaf(at, down, end), rgb("4a7a2e"))
        c.fill(line(at, end, r * 0.025, 0.5), rgb("a9c272"), opacity=0.8)


def _leaf(a: Point, over: Point, b: Point) -> list[Point]:
    """Half a leaf: the chord from ``a`` to ``b`` and a curve through ``over``."""

    def bent(i: int, t: float) -> float:
        pull = 2 * over[i] - (a[i] + b[i]) / 2
        return (1 - t) ** 2 * a[i] + 2 * t * (1 - t) * pull + t * t * b[i]

    return [(bent(0, k / 10), bent(1, k / 10)) for k in range(11)]
