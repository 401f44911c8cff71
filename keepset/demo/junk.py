"""What a search returns beside photos: banners, text slides, charts, cartoons and collages."""

from __future__ import annotations

import colorsys
import random
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

from keepset.demo.canvas import Point, blob

__all__ = ["draw_cartoon", "draw_collage", "draw_junk"]

Color = tuple[int, int, int]
_INK = (34, 32, 38)


def draw_junk(seed: int, *, width: int = 320, height: int = 240) -> Image.Image:
    """A picture of nothing: by the seed a banner, a text slide or a bar chart."""
    rng = random.Random(f"junk:{seed}")  # noqa: S311 - pictures, not secrets
    image = Image.new("RGB", (width, height))
    (_banner, _slide, _chart)[seed % 3](ImageDraw.Draw(image), rng, width, height)
    return image


def draw_cartoon(label: str, seed: int, *, width: int = 320, height: int = 240) -> Image.Image:
    """A flat drawing of ``label`` with black outlines, as clip art has it."""
    rng = random.Random(f"cartoon:{label}:{seed}")  # noqa: S311
    image = Image.new("RGB", (width * 2, height * 2), _pale(rng))
    _CARTOONS[label](ImageDraw.Draw(image), rng, width, height * 1.05, height * rng.uniform(0.6, 0.72))
    return image.resize((width, height), Image.Resampling.LANCZOS)


def draw_collage(pictures: Sequence[Image.Image], *, width: int = 320, height: int = 240) -> Image.Image:
    """Four pictures side by side on white."""
    gap = max(2, width // 50)
    w, h = (width - gap * 3) // 2, (height - gap * 3) // 2
    sheet = Image.new("RGB", (width, height), "white")
    for i, picture in enumerate(pictures[:4]):
        sheet.paste(ImageOps.fit(picture, (w, h)), (gap + (i % 2) * (w + gap), gap + (i // 2) * (h + gap)))
    return sheet


def _vivid(rng: random.Random) -> Color:
    r, g, b = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.6, 0.95), rng.uniform(0.55, 0.95))
    return int(r * 255), int(g * 255), int(b * 255)


def _pale(rng: random.Random) -> Color:
    return rng.randint(205, 250), rng.randint(205, 250), rng.randint(205, 250)


def _type(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(6, size))


def _banner(pen: ImageDraw.ImageDraw, rng: random.Random, w: int, h: int) -> None:
    color = _vivid(rng)
    pen.rectangle((0, 0, w, h), color)
    pen.polygon([(w * 0.7, 0), (w, 0), (w, h), (w * 0.52, h)], _vivid(rng))
    offers = (("SUMMER SALE", "up to 40 % off"), ("NEW SEASON", "order today"), ("BIG DEALS", "this week only"))
    words, more = rng.choice(offers)
    pen.text((w * 0.16, h * 0.3), words, "white", _type(h * 0.13))
    pen.text((w * 0.16, h * 0.48), more, "white", _type(h * 0.08))
    pen.rounded_rectangle((w * 0.16, h * 0.66, w * 0.47, h * 0.8), h * 0.05, "white")
    pen.text((w * 0.2, h * 0.685), "Shop now", color, _type(h * 0.07))


def _slide(pen: ImageDraw.ImageDraw, rng: random.Random, w: int, h: int) -> None:
    pen.rectangle((0, 0, w, h), (250, 250, 247))
    pen.rectangle((0, 0, w, h * 0.2), _vivid(rng))
    title = rng.choice(("Results by quarter", "What we learned", "Next steps"))
    pen.text((w * 0.16, h * 0.05), title, "white", _type(h * 0.085))
    points = ["Costs fell by a third", "Two teams, one plan", "Ask every customer", "Ship it in spring"]
    for i, words in enumerate(rng.sample(points, 4)):
        pen.text((w * 0.16, h * (0.29 + 0.16 * i)), f"-  {words}", _INK, _type(h * 0.07))


def _chart(pen: ImageDraw.ImageDraw, rng: random.Random, w: int, h: int) -> None:
    pen.rectangle((0, 0, w, h), "white")
    pen.text((w * 0.22, h * 0.03), "Sales per month", _INK, _type(h * 0.07))
    color = _vivid(rng)
    for i in range(5):
        y = h * (0.2 + 0.165 * i)
        pen.line((w * 0.21, y, w * 0.86, y), (215, 215, 215), 1)
        pen.text((w * 0.15, y - h * 0.03), str(80 - 20 * i), _INK, _type(h * 0.05))
    for i, month in enumerate("JFMAMJJA"):
        left = w * (0.23 + 0.078 * i)
        pen.rectangle((left, h * rng.uniform(0.25, 0.75), left + w * 0.05, h * 0.86), color)
        pen.text((left + w * 0.014, h * 0.88), month, _INK, _type(h * 0.055))


def _flat(pen: ImageDraw.ImageDraw, shape: Sequence[Point], color: Color | str, ink: float) -> None:
    pen.polygon(shape, color)
    pen.line([*shape, shape[0], shape[1]], _INK, max(2, int(ink)), joint="curve")


def _apple(pen: ImageDraw.ImageDraw, rng: random.Random, x: float, y: float, size: float) -> None:
    ink = size * 0.045
    _flat(pen, blob(x, y, size, size * 0.95), rng.choice([(222, 44, 48), (126, 190, 52)]), ink)
    pen.line((x, y - size * 0.85, x + size * 0.1, y - size * 1.2), (96, 62, 32), int(ink * 2))
    _flat(pen, blob(x + size * 0.45, y - size * 1.08, size * 0.35, size * 0.15, lean=-0.4), (84, 168, 60), ink)
    for eye in (x - size * 0.3, x + size * 0.3):
        pen.ellipse((eye - ink * 2, y - ink * 4, eye + ink * 2, y + ink * 2), _INK)
    pen.arc((x - size * 0.35, y, x + size * 0.35, y + size * 0.5), 20, 160, _INK, int(ink))


def _boat(pen: ImageDraw.ImageDraw, rng: random.Random, x: float, y: float, size: float) -> None:
    ink, deck, keel = size * 0.045, y + size * 0.4, y + size * 0.85
    low = deck - size * 0.1
    _flat(pen, [(x, deck), (x, y - size), (x + size * 0.8, low)], _pale(rng), ink)
    _flat(pen, [(x - size * 0.1, deck), (x - size * 0.1, y - size * 0.8), (x - size * 0.7, low)], _vivid(rng), ink)
    hull = [(x - size, deck), (x + size, deck), (x + size * 0.65, keel), (x - size * 0.7, keel)]
    _flat(pen, hull, _vivid(rng), ink)
    for i in range(7):
        left = x - size * 1.4 + i * size * 0.4
        wave = (left, keel - size * 0.07, left + size * 0.42, keel + size * 0.17)
        pen.arc(wave, 0, 180, (70, 150, 220), int(ink * 1.3))


def _house(pen: ImageDraw.ImageDraw, rng: random.Random, x: float, y: float, size: float) -> None:
    ink, foot, eaves = size * 0.045, y + size * 0.8, y - size * 0.1
    _flat(pen, [(x - size, foot), (x - size, eaves), (x + size, eaves), (x + size, foot)], _pale(rng), ink)
    _flat(pen, [(x - size * 1.2, eaves), (x, y - size), (x + size * 1.2, eaves)], _vivid(rng), ink)
    pen.rectangle((x - size * 0.2, foot - size * 0.5, x + size * 0.2, foot), _vivid(rng), _INK, int(ink))
    for left in (x - size * 0.8, x + size * 0.4):
        pen.rectangle((left, foot - size * 0.65, left + size * 0.4, foot - size * 0.3), (150, 205, 240), _INK, int(ink))


_CARTOONS = {"apple": _apple, "boat": _boat, "house": _house}
