"""What every drawn picture is made with: a page, a palette, type, shapes and photos to set in.

A page is drawn at twice its size and reduced, so that edges are smooth. All that is random comes from the page's own
generator. The fonts are those that matplotlib and Pillow bring along: the same on every machine.
"""

from __future__ import annotations

import colorsys
import functools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

__all__ = ["Box", "Color", "Page", "Palette", "Subject", "fitted", "palette", "shade"]

Color = tuple[int, int, int]
Box = tuple[float, float, float, float]
Photo = Callable[[random.Random], Image.Image]

_FAMILIES = (
    ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"), ("DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf"),
    ("DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf"), ("STIXGeneral.ttf", "STIXGeneralBol.ttf"),
    ("STIXGeneralItalic.ttf", "STIXGeneralBolIta.ttf"), ("cmss10.ttf", "cmss10.ttf"), ("cmr10.ttf", "cmb10.ttf"),
    ("DejaVuSans-Oblique.ttf", "DejaVuSans-BoldOblique.ttf"), ("cmtt10.ttf", "DejaVuSansMono-Bold.ttf"), ("", ""),
)  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """What a picture is about: its class, another one, and photos of both (RGB, any size) by generator."""

    label: str
    other: str
    photo: Photo
    other_photo: Photo
    cutout: Callable[[random.Random], Image.Image | None]
    """A photo of the class with its surroundings transparent (RGBA), if one can be cut out."""


@dataclass(frozen=True)
class Palette:
    paper: Color
    ink: Color
    accents: tuple[Color, ...]


def _hsv(h: float, s: float, v: float) -> Color:
    r, g, b = colorsys.hsv_to_rgb(h % 1, min(max(s, 0), 1), min(max(v, 0), 1))
    return round(r * 255), round(g * 255), round(b * 255)


def shade(color: Color, by: float) -> Color:
    """Darker (``by`` under 1) or towards white (over 1)."""
    if by <= 1:
        return tuple(round(c * by) for c in color)  # type: ignore[return-value]
    return tuple(round(c + (255 - c) * (by - 1)) for c in color)  # type: ignore[return-value]


def palette(rng: random.Random) -> Palette:
    """White, pale, vivid or dark paper, with readable ink and four accents of one scheme."""
    hue, steps = rng.random(), rng.choice([(0, 0.5, 0.04, 0.54), (0, 1 / 3, 2 / 3, 0.1), (0, 0.06, 0.12, 0.5), (0, 0, 0, 0)])  # fmt: skip
    s, v = rng.uniform(0.35, 0.95), rng.uniform(0.55, 0.95)
    accents = tuple(_hsv(hue + d, s * rng.uniform(0.7, 1), v * rng.uniform(0.75, 1)) for d in steps)
    kind = rng.random()
    if kind < 0.4:
        return Palette((255, 255, 255), rng.choice([(20, 20, 20), shade(accents[0], 0.4)]), accents)
    if kind < 0.65:
        return Palette(_hsv(hue, rng.uniform(0.04, 0.2), rng.uniform(0.9, 1)), shade(accents[1], 0.35), accents)
    if kind < 0.85:
        return Palette(shade(accents[0], 0.9), (255, 255, 255), (*accents[1:], (255, 255, 255)))
    return Palette(_hsv(hue, rng.uniform(0, 0.6), rng.uniform(0.03, 0.2)), (245, 245, 240), accents)


@functools.cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    if not name:
        return ImageFont.load_default(size)  # type: ignore[return-value]
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def fitted(picture: Image.Image, width: float, height: float, rng: random.Random | None = None) -> Image.Image:
    """Cut to the shape and scaled to width x height pixels; with ``rng`` not always from the middle."""
    w, h = max(1, round(width)), max(1, round(height))
    scale = max(w / picture.width, h / picture.height)
    size = max(w, math.ceil(picture.width * scale)), max(h, math.ceil(picture.height * scale))
    large = picture.resize(size, Image.Resampling.BICUBIC)
    x, y = (size[0] - w) // 2, (size[1] - h) // 2
    if rng is not None:
        x, y = rng.randint(0, size[0] - w), rng.randint(0, (size[1] - h) // 2)
    return large.crop((x, y, x + w, y + h))


@dataclass
class Page:
    """A picture in the making, ``width`` x ``height`` at twice the final size. Boxes are left, top, right, bottom."""

    rng: random.Random
    subject: Subject
    width: int
    height: int
    colors: Palette = field(init=False)
    image: Image.Image = field(init=False)

    def __post_init__(self) -> None:
        self.width, self.height = self.width * 2, self.height * 2
        self.colors = palette(self.rng)
        self.family = self.rng.choice(_FAMILIES)
        self.display = self.rng.choice([self.family, self.rng.choice(_FAMILIES)])
        self.image = Image.new("RGB", (self.width, self.height), self.colors.paper)

    @property
    def pen(self) -> ImageDraw.ImageDraw:
        return ImageDraw.Draw(self.image)

    @property
    def short(self) -> int:
        return min(self.width, self.height)

    def accent(self) -> Color:
        return self.rng.choice(self.colors.accents)

    def done(self) -> Image.Image:
        return self.image.resize((self.width // 2, self.height // 2), Image.Resampling.LANCZOS)

    # -- type ----------------------------------------------------------------------------------------

    def font(self, size: float, *, bold: bool = False, display: bool = False) -> ImageFont.FreeTypeFont:
        return _font((self.display if display else self.family)[bold], max(8, round(size)))

    def text(
        self, box: Box, words: str, size: float, *, color: Color | None = None, bold: bool = False,
        align: str = "left", display: bool = False, edge: Color | None = None, shadow: bool = False,
    ) -> float:  # fmt: skip
        """Wrapped, and smaller until it fits into ``box``; returns the bottom of what was written."""
        left, top, right, bottom = box
        foreign = not words.isascii() and _FAMILIES[0]  # not every family has other letters
        while True:
            font = _font(foreign[bold], max(8, round(size))) if foreign else self.font(size, bold=bold, display=display)
            lines = _wrapped(words, font, right - left)
            step = size * 1.25
            if size < 12 or (step * len(lines) <= bottom - top and max(map(font.getlength, lines)) <= right - left):
                break
            size *= 0.9
        pen, stroke = self.pen, round(size * 0.08) if edge else 0
        for i, line in enumerate(lines):
            x = {"left": left, "center": (left + right) / 2, "right": right}[align]
            anchor, at = {"left": "la", "center": "ma", "right": "ra"}[align], top + i * step
            if shadow:
                pen.text((x + size * 0.06, at + size * 0.06), line, (0, 0, 0), font, anchor)
            pen.text((x, at), line, color or self.colors.ink, font, anchor, stroke_width=stroke, stroke_fill=edge)
        return top + len(lines) * step

    # -- surfaces ------------------------------------------------------------------------------------

    def gradient(self, box: Box, one: Color, two: Color, *, upright: bool = True) -> None:
        ramp = Image.linear_gradient("L") if upright else Image.linear_gradient("L").rotate(90)
        w, h = round(box[2] - box[0]), round(box[3] - box[1])
        mixed = Image.composite(Image.new("RGB", (w, h), two), Image.new("RGB", (w, h), one), ramp.resize((w, h)))
        self.image.paste(mixed, (round(box[0]), round(box[1])))

    def panel(self, box: Box, color: Color, *, round_by: float = 0, edge: Color | None = None) -> None:
        self.pen.rounded_rectangle(box, round_by, color, edge, max(2, self.short // 150) if edge else 1)

    def backdrop(self) -> None:
        """Flat, a gradient, stripes, dots, rays or a softened photo behind everything."""
        rng, c = self.rng, self.colors
        kind = rng.choice(["flat", "flat", "flat", "gradient", "stripes", "dots", "rays", "photo"])
        near = shade(c.paper, rng.choice([0.9, 0.94]) if sum(c.paper) > 200 else 1.12)
        if kind == "gradient":
            self.gradient((0, 0, self.width, self.height), c.paper, shade(c.paper, 0.7), upright=rng.random() < 0.7)
        elif kind == "stripes":
            step = self.short // rng.randint(6, 24)
            for x in range(-self.height, self.width, 2 * step):
                self.pen.line((x, self.height, x + self.height, 0), near, step)
        elif kind == "dots":
            step = self.short // rng.randint(8, 24)
            for y in range(0, self.height, step):
                for x in range((y // step % 2) * step // 2, self.width, step):
                    self.pen.ellipse((x, y, x + step * 0.4, y + step * 0.4), near)
        elif kind == "rays":
            self.rays(self.width / 2, self.height * rng.uniform(0.3, 0.7), near)
        elif kind == "photo":
            soft = fitted(self.subject.photo(rng), self.width, self.height).filter(
                ImageFilter.GaussianBlur(self.short / 50)
            )
            veil = Image.new("RGB", soft.size, c.paper)
            self.image.paste(Image.blend(soft, veil, rng.uniform(0.5, 0.85)))

    def rays(self, x: float, y: float, color: Color) -> None:
        n, far = self.rng.choice([12, 16, 24]), self.width + self.height
        for i in range(n):
            a, b = 2 * math.pi * i / n, 2 * math.pi * (i + 0.5) / n
            self.pen.polygon([(x, y), (x + far * math.cos(a), y + far * math.sin(a)), (x + far * math.cos(b), y + far * math.sin(b))], color)  # fmt: skip

    def photo(self, box: Box, picture: Image.Image | None = None) -> None:
        """A photo of the subject set into the page: plain, rounded, round, framed or tilted like a print."""
        rng, w, h = self.rng, box[2] - box[0], box[3] - box[1]
        look = rng.choice(["plain", "plain", "rounded", "round", "framed", "tilted"])
        inset = fitted(picture or self.subject.photo(rng), w, h, rng)
        if look in ("framed", "tilted"):
            edge = max(4, round(min(w, h) * 0.05))
            framed = Image.new(
                "RGB", (inset.width + 2 * edge, inset.height + 2 * edge), rng.choice([(255, 255, 255), self.accent()])
            )
            framed.paste(inset, (edge, edge))
            inset = framed.resize(inset.size)
        if look == "tilted":
            self.paste(inset.convert("RGBA").rotate(rng.uniform(-9, 9), Image.Resampling.BICUBIC, expand=True), box)
            return
        mask = Image.new("L", inset.size, 255 if look in ("plain", "framed") else 0)
        if look == "rounded":
            ImageDraw.Draw(mask).rounded_rectangle((0, 0, *inset.size), min(w, h) * 0.12, 255)
        elif look == "round":
            ImageDraw.Draw(mask).ellipse((0, 0, *inset.size), 255)
        self.image.paste(inset, (round(box[0]), round(box[1])), mask)

    def paste(self, layer: Image.Image, box: Box) -> None:
        """An RGBA picture, whole, into the middle of ``box``."""
        w, h = box[2] - box[0], box[3] - box[1]
        scale = min(w / layer.width, h / layer.height)
        small = layer.resize(
            (max(1, round(layer.width * scale)), max(1, round(layer.height * scale))), Image.Resampling.LANCZOS
        )
        at = round(box[0] + (w - small.width) / 2), round(box[1] + (h - small.height) / 2)
        self.image.paste(small, at, small if small.mode == "RGBA" else None)


def _wrapped(words: str, font: ImageFont.FreeTypeFont, width: float) -> Sequence[str]:
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
