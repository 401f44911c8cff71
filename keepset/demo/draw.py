"""Draw small scenes that a pretrained network can tell apart: apples, boats and houses.

Every picture comes from its own seeded generator, so the same seed gives the same bytes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFilter

__all__ = ["CLASSES", "draw", "draw_junk"]

CLASSES = ("apple", "boat", "house")

Color = tuple[int, int, int]
_SCALE = 2  # drawn larger, then reduced: smooth edges


def draw(label: str, seed: int, *, width: int = 320, height: int = 240) -> Image.Image:
    """One picture of ``label`` (one of ``CLASSES``) as RGB of width x height pixels."""
    rng = random.Random(f"{label}:{seed}")  # noqa: S311 - pictures, not secrets
    image = _backdrop(rng, width * _SCALE, height * _SCALE, _HORIZON[label])
    size = rng.uniform(0.42, 0.7) * image.height
    x = image.width * rng.uniform(0.36, 0.64)
    y = image.height * rng.uniform(0.46, 0.6)
    _PAINTERS[label](ImageDraw.Draw(image), rng, x, y, size)
    image = _tilted(image, rng.uniform(-7, 7))
    return _grain(image.resize((width, height), Image.Resampling.LANCZOS), rng)


def _tilted(image: Image.Image, degrees: float) -> Image.Image:
    """Rotate and cut a little off each side, so that no empty corners show."""
    turned = image.rotate(degrees, Image.Resampling.BICUBIC)
    dx, dy = int(image.width * 0.09), int(image.height * 0.11)
    return turned.crop((dx, dy, image.width - dx, image.height - dy))


def draw_junk(seed: int, *, width: int = 320, height: int = 240) -> Image.Image:
    """A picture of nothing: a flat banner, a bar chart or stripes, as searches return them."""
    rng = random.Random(f"junk:{seed}")  # noqa: S311
    image = Image.new("RGB", (width, height), _pale(rng))
    pen = ImageDraw.Draw(image)
    kind = seed % 3
    if kind == 0:
        for i in range(3):
            top = height * (0.25 + 0.18 * i)
            pen.rectangle((width * 0.15, top, width * rng.uniform(0.5, 0.85), top + height * 0.08), _vivid(rng))
    elif kind == 1:
        for i in range(7):
            left = width * (0.1 + 0.115 * i)
            pen.rectangle((left, height * rng.uniform(0.2, 0.8), left + width * 0.08, height * 0.88), _vivid(rng))
    else:
        for i in range(0, width + height, 24):
            pen.line((i, 0, i - height, height), _vivid(rng), 9)
    return image


def _vivid(rng: random.Random) -> Color:
    import colorsys

    r, g, b = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.6, 0.95), rng.uniform(0.55, 0.95))
    return int(r * 255), int(g * 255), int(b * 255)


def _pale(rng: random.Random) -> Color:
    return rng.randint(205, 250), rng.randint(205, 250), rng.randint(205, 250)


def _shade(color: Color, by: float) -> Color:
    r, g, b = (max(0, min(255, int(c * by))) for c in color)
    return r, g, b


_HORIZON: dict[str, tuple[Color, Color]] = {
    "apple": ((214, 196, 170), (150, 112, 80)),
    "boat": ((176, 212, 238), (52, 110, 160)),
    "house": ((190, 216, 240), (104, 152, 84)),
}


def _backdrop(rng: random.Random, w: int, h: int, colors: tuple[Color, Color]) -> Image.Image:
    sky, ground = (_shade(c, rng.uniform(0.8, 1.15)) for c in colors)
    if rng.random() < 0.25:  # some pictures have an unusual setting
        sky, ground = _pale(rng), _shade(_vivid(rng), 0.8)
    image = Image.new("RGB", (w, h), sky)
    pen = ImageDraw.Draw(image)
    line = int(h * rng.uniform(0.55, 0.72))
    pen.rectangle((0, line, w, h), ground)
    for _ in range(rng.randint(2, 6)):
        x, y, r = rng.uniform(0, w), rng.uniform(0, line * 0.7), rng.uniform(0.03, 0.1) * w
        pen.ellipse((x - r, y - r * 0.4, x + r, y + r * 0.4), _shade(sky, rng.uniform(0.92, 1.1)))
    for _ in range(rng.randint(6, 16)):
        x, y = rng.uniform(0, w), rng.uniform(line, h)
        pen.line((x, y, x + rng.uniform(0.02, 0.14) * w, y), _shade(ground, rng.uniform(0.8, 1.25)), 5)
    return image


def _apple(pen: ImageDraw.ImageDraw, rng: random.Random, x: float, y: float, size: float) -> None:
    color = rng.choice([(196, 34, 38), (168, 22, 40), (112, 168, 46), (222, 180, 52)])
    color = _shade(color, rng.uniform(0.85, 1.15))
    r = size / 2
    pen.ellipse((x - r, y + r * 0.78, x + r, y + r * 1.12), _shade((90, 70, 55), rng.uniform(0.8, 1.2)))
    outline = []
    for i in range(120):
        a = 2 * math.pi * i / 120
        dip = (
            1
            - 0.2 * math.exp(-(((a - math.pi * 1.5) / 0.36) ** 2))
            - 0.08 * math.exp(-(((a - math.pi / 2) / 0.3) ** 2))
        )
        outline.append((x + r * 1.03 * dip * math.cos(a), y + r * dip * math.sin(a)))
    pen.polygon(outline, color)
    for k in range(14):
        s = r * (0.62 - 0.042 * k)
        pen.ellipse(
            (x - r * 0.3 - s, y - r * 0.22 - s, x - r * 0.3 + s, y - r * 0.22 + s), _shade(color, 1 + 0.028 * k)
        )
    lean = rng.uniform(-0.18, 0.18) * r
    pen.line((x, y - r * 0.76, x + lean, y - r * 1.26), (86, 58, 34), max(4, int(r * 0.09)))
    if rng.random() < 0.75:
        pen.chord((x + lean, y - r * 1.34, x + lean + r * 0.66, y - r * 0.88), 150, 340, (64, 132, 48))


def _boat(pen: ImageDraw.ImageDraw, rng: random.Random, x: float, y: float, size: float) -> None:
    hull, sail = _shade(_vivid(rng), 0.75), _pale(rng)
    half, deck = size * 0.62, y + size * 0.18
    mast = x + rng.uniform(-0.08, 0.08) * size
    pen.line((mast, deck, mast, y - size * 0.62), (92, 70, 50), max(4, int(size * 0.03)))
    pen.polygon(
        [
            (mast + size * 0.03, y - size * 0.58),
            (mast + size * 0.03, deck - size * 0.05),
            (mast + half * 0.82, deck - size * 0.05),
        ],
        sail,
    )
    jib = sail if rng.random() < 0.6 else _vivid(rng)
    pen.polygon(
        [
            (mast - size * 0.03, y - size * 0.5),
            (mast - size * 0.03, deck - size * 0.05),
            (mast - half * 0.66, deck - size * 0.05),
        ],
        _shade(jib, 0.93),
    )
    pen.polygon(
        [
            (x - half, deck),
            (x + half, deck),
            (x + half * 0.68, deck + size * 0.24),
            (x - half * 0.7, deck + size * 0.24),
        ],
        hull,
    )
    pen.line(
        (x - half * 0.95, deck + size * 0.05, x + half * 0.95, deck + size * 0.05),
        _pale(rng),
        max(3, int(size * 0.025)),
    )
    for i in range(9):
        left = x - half * 1.3 + i * half * 0.3
        pen.arc(
            (left, deck + size * 0.2, left + half * 0.32, deck + size * 0.32),
            0,
            180,
            (214, 232, 244),
            max(3, int(size * 0.02)),
        )


def _house(pen: ImageDraw.ImageDraw, rng: random.Random, x: float, y: float, size: float) -> None:
    wall, roof = rng.choice([_pale(rng), _shade(_vivid(rng), 1.05)]), _shade(_vivid(rng), 0.6)
    w, h = size * rng.uniform(0.5, 0.66), size * 0.42
    base = y + size * 0.42
    if rng.random() < 0.7:
        pen.rectangle((x + w * 0.4, base - h * 2.02, x + w * 0.64, base - h * 1.2), _shade(roof, 0.8))
    pen.rectangle((x - w, base - h * 1.15, x + w, base), wall)
    pen.polygon(
        [
            (x - w * 1.16, base - h * 1.12),
            (x + w * 1.16, base - h * 1.12),
            (x + w * rng.uniform(-0.2, 0.2), base - h * 2.1),
        ],
        roof,
    )
    pen.rectangle((x - w * 0.16, base - h * 0.7, x + w * 0.16, base), _shade(_vivid(rng), 0.55))
    for side in (-1, 1):
        cx = x + side * w * 0.58
        pen.rectangle(
            (cx - w * 0.2, base - h * 0.88, cx + w * 0.2, base - h * 0.42), (126, 170, 204), (245, 245, 240), 5
        )
        pen.line((cx, base - h * 0.88, cx, base - h * 0.42), (245, 245, 240), 4)
    if rng.random() < 0.6:
        tx = x + rng.choice((-1, 1)) * w * 1.55
        pen.rectangle((tx - w * 0.06, base - h * 0.7, tx + w * 0.06, base), (98, 70, 46))
        pen.ellipse(
            (tx - w * 0.36, base - h * 1.7, tx + w * 0.36, base - h * 0.5), _shade((66, 126, 58), rng.uniform(0.8, 1.2))
        )


_PAINTERS: dict[str, Callable[[ImageDraw.ImageDraw, random.Random, float, float, float], None]] = {
    "apple": _apple,
    "boat": _boat,
    "house": _house,
}


def _grain(image: Image.Image, rng: random.Random) -> Image.Image:
    """A little blur and noise, so that no two pictures share flat areas as drawings would."""
    import numpy as np

    if rng.random() < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))
    noise = np.random.default_rng(rng.getrandbits(63)).normal(0, rng.uniform(2, 7), (image.height, image.width, 1))
    pixels = np.clip(np.asarray(image, dtype=np.float32) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels)
