"""Pictures that are graphics and not photos, made of a data set's own photos: what a scorer learns to tell apart.

Web searches bring drawings, banners, slides, charts, logos and more. Each maker draws one kind, with layout, colours and sizes by
lot. They need not fool anybody: frozen features see in them what real ones have, flat colours, hard edges, text and frames. More
kinds than these five find no more (``bench/review``).
"""

from __future__ import annotations

import colorsys
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

if TYPE_CHECKING:
    import numpy.typing as npt

    Squares = npt.NDArray[np.uint8]

__all__ = ["KINDS", "VERSION", "self_made"]

VERSION = 2
"""Raised when the same photos would give other pictures."""

Colour = tuple[int, int, int]
Photos = Sequence[Image.Image]
Maker = Callable[[random.Random, Photos], Image.Image]

_WORDS = [
    "the",
    "of",
    "and",
    "to",
    "day",
    "facts",
    "sale",
    "new",
    "best",
    "how",
    "guide",
    "free",
    "love",
    "news",
    "top",
    "about",
    "shop",
    "home",
    "info",
    "2024",
    "10",
    "tips",
    "world",
    "happy",
    "club",
    "menu",
    "story",
    "art",
    "wild",
    "price",
    "review",
    "part",
    "step",
    "history",
    "names",
]
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


def self_made(squares: Squares, count: int, seed: int) -> Squares:
    """``count`` graphics, uint8 [count, side, side, 3], of photos uint8 [n, side, side, 3]; the kinds in turn.

    The same photos and seed give the same pictures.
    """
    photos = [Image.fromarray(s) for s in squares]
    made = []
    for i in range(count):
        rng = random.Random(f"{seed}-{i}")  # noqa: S311 - a lot, not a secret
        made.append(np.asarray(KINDS[i % len(KINDS)](rng, rng.choices(photos, k=9)), np.uint8))
    return np.stack(made)


def _cartoon(r: random.Random, photos: Photos) -> Image.Image:
    """A few flat colours, often with dark outlines."""
    photo = photos[0]
    flat = photo.filter(ImageFilter.MedianFilter(r.choice((5, 7, 9)))).filter(ImageFilter.MedianFilter(7))
    flat = ImageEnhance.Color(flat).enhance(r.uniform(1, 2.2))
    flat = flat.quantize(r.choice((4, 6, 8, 12, 16)), dither=Image.Dither.NONE).convert("RGB")
    if r.random() < 0.7:
        soft = photo.convert("L").filter(ImageFilter.GaussianBlur(r.uniform(0.8, 2)))
        limit = r.randint(20, 50)
        edges = soft.filter(ImageFilter.FIND_EDGES).point([255 * (v > limit) for v in range(256)])
        flat.paste(_dark(r), (0, 0), edges)
    return flat


def _clip_art(r: random.Random, photos: Photos) -> Image.Image:
    """Two or three flat shapes, from the photo's darkest parts."""
    side = photos[0].width
    page = Image.new("RGB", (side, side), _paper(r))
    grey = np.asarray(photos[0].convert("L").filter(ImageFilter.GaussianBlur(4)))
    for share, colour in ((r.uniform(25, 60), _colour(r)), (r.uniform(8, 20), _dark(r))):
        shape = Image.fromarray(((grey < np.percentile(grey, share)) * 255).astype(np.uint8))
        page.paste(colour, (0, 0), shape.filter(ImageFilter.MedianFilter(7)))
    draw = ImageDraw.Draw(page)
    for _ in range(r.randint(0, 4)):
        x, y, size = r.randint(0, side), r.randint(0, side), r.randint(side // 30, side // 4)
        shape_of = draw.ellipse if r.random() < 0.7 else draw.rectangle
        shape_of((x, y, x + size, y + size), _colour(r), _dark(r), r.randint(1, 4))
    return page


def _banner(r: random.Random, photos: Photos) -> Image.Image:
    """A photo on one side, big letters on a flat colour on the other."""
    side = photos[0].width
    page, cut = Image.new("RGB", (side, side), _paper(r)), int(side * r.uniform(0.3, 0.65))
    page.paste(_cover(photos[0], side, cut), (0, 0))
    _text(ImageDraw.Draw(page), r, (8, cut + 6, side - 8, side - 4), _ink(r, page), r.uniform(0.06, 0.2) * side)
    return page.rotate(r.choice((0, 180))) if r.random() < 0.2 else _turned(r, page)


def _slide(r: random.Random, photos: Photos) -> Image.Image:
    """A heading, small photos and blocks of text."""
    side = photos[0].width
    page = Image.new("RGB", (side, side), _paper(r))
    draw, ink = ImageDraw.Draw(page), _ink(r, page)
    _text(draw, r, (10, 8, side - 10, side * 0.2), ink, side * r.uniform(0.07, 0.13))
    for photo in photos[: r.randint(1, 4)]:
        w, h = r.randint(side // 6, side // 2), r.randint(side // 6, side // 2)
        page.paste(_cover(photo, w, h), (r.randint(0, side - w), r.randint(side // 6, side - h)))
    for _ in range(r.randint(1, 3)):
        x, y = r.randint(6, side // 2), r.randint(side // 4, side - side // 4)
        _text(draw, r, (x, y, x + side * 0.45, y + side * r.uniform(0.1, 0.4)), ink, side * r.uniform(0.03, 0.06))
    return page


def _page(r: random.Random, photos: Photos) -> Image.Image:
    """Columns of text."""
    side, columns = photos[0].width, r.randint(1, 3)
    page = Image.new("RGB", (side, side), _light(r))
    draw, width = ImageDraw.Draw(page), photos[0].width // columns
    for i in range(columns):
        box = (i * width + 6, r.randint(6, 40), (i + 1) * width - 6, side - 6)
        _text(draw, r, box, _dark(r), side * r.uniform(0.035, 0.06))
    return page


KINDS: tuple[Maker, ...] = (_cartoon, _page, _clip_art, _slide, _banner)


def _turned(r: random.Random, page: Image.Image) -> Image.Image:
    """The photo of a banner on another side, the letters still upright: mirrored halves swap places."""
    if r.random() < 0.5:
        return page
    side, cut = page.width, page.height // 2
    out = Image.new("RGB", page.size)
    out.paste(page.crop((0, cut, side, side)), (0, 0))
    out.paste(page.crop((0, 0, side, cut)), (0, side - cut))
    return out


def _cover(photo: Image.Image, width: int, height: int) -> Image.Image:
    return ImageOps.fit(photo, (width, height), Image.Resampling.BILINEAR)


def _text(
    draw: ImageDraw.ImageDraw, r: random.Random, box: tuple[float, float, float, float], ink: Colour, size: float
) -> None:
    """Lines of words that fill ``box`` (left, top, right, bottom)."""
    left, y, right, bottom = box
    font = _font(size)
    while y + size < bottom:
        line = _words(r, 9)
        while font.getlength(line) > right - left and " " in line:
            line = line.rsplit(" ", 1)[0]
        draw.text((left, y), line, ink, font)
        y += size * r.uniform(1.15, 1.6)


def _words(r: random.Random, count: int) -> str:
    return " ".join(r.choice(_WORDS) for _ in range(count))


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(8, int(size)))


def _colour(r: random.Random) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(r.random(), r.uniform(0, 0.95), r.uniform(0.25, 1))
    return int(255 * red), int(255 * green), int(255 * blue)


def _light(r: random.Random) -> Colour:
    return r.choice((_WHITE, _WHITE, (250, 248, 240), (r.randint(215, 255), r.randint(215, 255), r.randint(215, 255))))


def _dark(r: random.Random) -> Colour:
    return r.choice((_BLACK, (20, 20, 40), (r.randint(0, 90), r.randint(0, 90), r.randint(0, 90))))


def _paper(r: random.Random) -> Colour:
    return _light(r) if r.random() < 0.6 else _colour(r)


def _ink(r: random.Random, page: Image.Image) -> Colour:
    """What can be read on the page's last corner."""
    corner = page.getpixel((page.width - 1, page.height - 1))
    return _dark(r) if isinstance(corner, tuple) and sum(corner[:3]) > 380 else _light(r)
