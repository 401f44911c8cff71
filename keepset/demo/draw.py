"""The demo's pictures: apples, boats and houses, painted with light, texture and depth.

Every picture comes from its own seeded generator, so the same seed gives the same bytes.
"""

from __future__ import annotations

from PIL import Image

from keepset.demo import apple, boat, house
from keepset.demo.canvas import Canvas

__all__ = ["CLASSES", "SOLD", "draw", "draw_on_white"]

CLASSES = ("apple", "boat", "house")
SOLD = ("apple", "house")  # as fruit and as models: what ``draw_on_white`` can draw

_PAINTERS = {"apple": apple.paint_apple, "boat": boat.paint_boat, "house": house.paint_house}
_ON_WHITE = {"apple": apple.paint_apple_on_white, "house": house.paint_house_on_white}


def draw(label: str, seed: int, *, width: int = 320, height: int = 240) -> Image.Image:
    """One picture of ``label`` (one of ``CLASSES``) as RGB of width x height pixels."""
    canvas = Canvas(f"{label}:{seed}", width, height)
    _PAINTERS[label](canvas)
    return canvas.picture(tilt=canvas.dice.uniform(-3, 3), grain=canvas.dice.uniform(0.008, 0.024))


def draw_on_white(label: str, seed: int, *, width: int = 320, height: int = 240) -> Image.Image:
    """One thing of ``label`` (one of ``SOLD``) cut out on white, as shops show it: unlike the others, and right."""
    canvas = Canvas(f"white:{label}:{seed}", width, height)
    _ON_WHITE[label](canvas)
    return canvas.picture(grain=0.004, corners=0.0)
