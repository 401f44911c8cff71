"""Sky, hills, water, meadows and trees of the demo's pictures, in the light of five times of day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keepset.demo.canvas import Array, Canvas, Point, blob, line, mix, rgb

__all__ = ["MOODS", "Mood", "hills", "meadow", "sky", "tree", "water"]


@dataclass(frozen=True)
class Mood:
    """A time of day: colours of the sky, of what the sun meets and of what it does not."""

    top: Array
    low: Array
    sun: Array
    shade: Array
    cloud: Array
    night: bool = False


MOODS = (
    Mood(rgb("3f7fc4"), rgb("c4def0"), rgb("fff6e4"), rgb("7088ac"), rgb("ffffff")),
    Mood(rgb("5577a8"), rgb("f7cf94"), rgb("ffd596"), rgb("6a6480"), rgb("ffdfae")),
    Mood(rgb("7d8fbf"), rgb("f6c4bd"), rgb("ffd9cc"), rgb("77759a"), rgb("ffd7d2")),
    Mood(rgb("8b9aa8"), rgb("d3d9db"), rgb("eef0ee"), rgb("8792a0"), rgb("eceff0")),
    Mood(rgb("1f2f5c"), rgb("e08e62"), rgb("e0a284"), rgb("3c456e"), rgb("c0819a"), night=True),
)


def sky(c: Canvas, mood: Mood, horizon: float, side: int) -> None:
    """Fill everything with sky down to the horizon; the sun is on the left (-1) or on the right (1)."""
    down = np.clip(c.y / np.float32(horizon), 0, 1) ** np.float32(1.3)
    c.px = mix(mood.top, mood.low, down)
    x = c.w * (0.5 + side * c.dice.uniform(0.22, 0.42))
    y = horizon * c.dice.uniform(0.25, 0.8)
    c.glow(x, y, c.h * 0.5, mood.sun, 0.28)
    c.glow(x, y, c.h * 0.06, mood.sun, 0.6)
    thick = c.noise((c.h, c.w), (c.w * 0.7, c.h * 0.16), 4) + c.dice.uniform(-0.35, 0.2)
    share = np.clip(thick * 1.4, 0, 0.85) * np.clip(1.15 - down, 0, 1)
    lit = mix(mood.cloud, mix(mood.low, mood.shade, 0.5), np.clip(thick - 0.35, 0, 0.7).astype(np.float32))
    c.px = mix(c.px, lit, share.astype(np.float32))


def hills(c: Canvas, mood: Mood, horizon: float, color: Array, rows: int = 2) -> None:
    """Ranges of hills before the horizon, the farther the paler."""
    for i in range(rows):
        ridge = c.noise((2, c.w), c.w * c.dice.uniform(0.4, 0.7), 4)[0]
        height = c.h * (0.09 - 0.03 * i) * (1 + ridge) + c.h * 0.015
        shape: list[Point] = [(float(x), float(horizon - height[x])) for x in range(0, c.w, 4)]
        far = mix(color * 0.85, mix(mood.low, mood.shade, 0.35), 0.75 - 0.4 * i / max(1, rows - 1))
        c.fill([(0, horizon + 2), *shape, (c.w, float(horizon - height[-1])), (c.w, horizon + 2)], far)


def water(c: Canvas, mood: Mood, horizon: float, side: int) -> None:
    """A sea with waves, the sky in it, and the sun's glitter."""
    top = int(horizon)
    rows = c.h - top
    waves = c.plane(horizon, (46, 9), 3)
    t = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    deep = mix(mood.top * 0.55, rgb(c.dice.choice(["1d5a6a", "22507c", "2a6b73"])), 0.45)
    sheen = np.clip(0.75 - t * 0.75 + waves * (0.1 + 0.22 * t), 0, 1)
    c.px[top:] = mix(deep * (0.85 if not mood.night else 0.6), mix(mood.low, mood.top, 0.3), sheen.astype(np.float32))
    path = np.exp(-(((c.x[top:] / c.w - 0.5 - side * 0.3) / (0.05 + 0.16 * t)) ** 2))
    c.px[top:] += (np.clip(waves - 0.25, 0, 1) * path * 1.2)[..., None].astype(np.float32) * mood.sun


def meadow(c: Canvas, mood: Mood, horizon: float, color: Array) -> None:
    """Ground in perspective: grass, heath or snow by its colour."""
    top = int(horizon)
    t = np.linspace(0, 1, c.h - top, dtype=np.float32)[:, None]
    patches, blades = c.plane(horizon, (60, 30), 3), c.plane(horizon, (5, 3), 2)
    light = 0.95 + patches * 0.12 + blades * (0.03 + 0.09 * t)
    lit = color * mix(mood.sun, mood.shade, 0.25) * 1.1
    c.px[top:] = mix(mix(lit, mix(mood.low, mood.shade, 0.3), 0.45), lit, np.sqrt(t) * np.ones_like(light))
    c.px[top:] *= light[..., None].astype(np.float32)


def tree(c: Canvas, mood: Mood, x: float, foot: float, height: float, side: int, leaf: Array) -> None:
    """A tree or a fir whose lit side is where the sun is."""
    c.fill(blob(x - side * height * 0.25, foot, height * 0.4, height * 0.05), mood.shade * 0.3, blur=3, opacity=0.5)
    c.fill(line((x, foot), (x, foot - height * 0.5), height * 0.07, height * 0.03), rgb("4a3829") * mood.sun)
    bright, dark = leaf * mood.sun, leaf * mood.shade * 0.75
    if c.dice.random() < 0.4:
        for i in range(5):
            y, half = foot - height * (0.12 + 0.17 * i), height * (0.25 - 0.042 * i)
            tip = (x, y - height * 0.3)
            c.fill([(x - half, y), tip, (x + half, y)], dark)
            c.fill([(x, y), tip, (x + side * half, y)], mix(dark, bright, 0.75), blur=1)
        return
    for i in range(26):
        share = i / 26
        spread = height * 0.2
        px = x + c.dice.gauss(0, 0.8) * spread + side * share * spread * 0.45
        py = foot - height * 0.66 + c.dice.gauss(0, 0.75) * spread - share * spread * 0.4
        r = height * c.dice.uniform(0.06, 0.13) * (1.25 - 0.6 * share)
        c.fill(blob(px, py, r, r * 0.85, n=12), mix(dark, bright, share * c.dice.uniform(0.7, 1.1)), blur=0.8)
