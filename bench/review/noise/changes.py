"""One photo into another: copies as the web makes them, shots of one scene, and odd but innocent pictures."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from bench.review.noise import words
from bench.review.noise.figures import icon
from bench.review.noise.ink import Page, Subject, palette

__all__ = ["COPIES", "INNOCENT", "burst", "crop", "fragment", "recoloured"]

Change = Callable[[random.Random, Image.Image], Image.Image]


# -- copies ------------------------------------------------------------------------------------------


def _cropped(rng: random.Random, im: Image.Image, share: float) -> Image.Image:
    """``share`` of the area, from anywhere."""
    stretch = rng.uniform(0.85, 1.18)
    w = min(im.width, round(im.width * share**0.5 * stretch))
    h = min(im.height, max(1, round(im.width * im.height * share / w)))
    x, y = rng.randint(0, im.width - w), rng.randint(0, im.height - h)
    return im.crop((x, y, x + w, y + h))


def crop(rng: random.Random, im: Image.Image) -> Image.Image:
    return _resized(rng, _cropped(rng, im, rng.uniform(0.5, 0.9)))


def mirror(rng: random.Random, im: Image.Image) -> Image.Image:
    return _resized(rng, ImageOps.mirror(im))


def caption(rng: random.Random, im: Image.Image) -> Image.Image:
    """A line of text on a strip below or on the picture."""
    p = _over(rng, im)
    said, h = words.sentence(rng), p.height
    strip = h * rng.uniform(0.08, 0.16)
    if rng.random() < 0.5:
        p.image.paste(rng.choice([(0, 0, 0), (255, 255, 255), p.accent()]), (0, round(h - strip), p.width, h))
    p.text((p.width * 0.03, h - strip * 0.9, p.width * 0.97, h), said, strip * 0.6, color=(255, 255, 255), align="center", edge=(0, 0, 0))  # fmt: skip
    return p.done()


def mark(rng: random.Random, im: Image.Image) -> Image.Image:
    """A logo in a corner, or an agency's name across."""
    p = _over(rng, im)
    w, h = p.width, p.height
    if rng.random() < 0.5:
        side = p.short * rng.uniform(0.12, 0.22)
        x, y = rng.choice([(0.03 * w, 0.03 * h), (0.97 * w - side, 0.97 * h - side), (0.97 * w - side, 0.03 * h)])
        p.paste(icon(rng, round(side), rng.choice([(255, 255, 255), p.accent()])), (x, y, x + side, y + side))
        p.text((x, y + side * 0.9, x + side * 2, h), words.brand(rng), side * 0.25, color=(255, 255, 255))
        return p.done()
    plain = p.image.copy()
    for i in range(rng.choice([1, 3, 5])):
        p.text((w * 0.05, h * (0.15 + 0.18 * i), w, h), f"{words.brand(rng)}    " * 3, p.short * 0.07, color=(255, 255, 255), bold=True)  # fmt: skip
    p.image = Image.blend(plain, p.image, rng.uniform(0.35, 0.7))
    return p.done()


def border(rng: random.Random, im: Image.Image) -> Image.Image:
    edge = round(min(im.size) * rng.uniform(0.03, 0.12))
    color = rng.choice([(255, 255, 255), (0, 0, 0), palette(rng).accents[0]])
    if rng.random() < 0.3:  # bars to make it square
        side = max(im.size)
        ground = Image.new("RGB", (side, side), color)
        ground.paste(im, ((side - im.width) // 2, (side - im.height) // 2))
        return _resized(rng, ground)
    return _resized(rng, ImageOps.expand(im, edge, color))


def recoloured(rng: random.Random, im: Image.Image) -> Image.Image:
    kind = rng.choice(["grey", "sepia", "saturated", "warm", "faded", "contrast"])
    if kind in ("grey", "sepia"):
        return _resized(rng, _toned(rng, im, kind))
    if kind == "warm":
        gains = np.array([rng.uniform(1.05, 1.3), 1.0, rng.uniform(0.7, 0.95)])[:: rng.choice([1, -1])]
        return Image.fromarray(np.clip(np.asarray(im, np.float32) * gains, 0, 255).astype(np.uint8))
    if kind == "faded":
        return Image.blend(im, Image.new("RGB", im.size, (235, 220, 200)), rng.uniform(0.2, 0.4))
    change = ImageEnhance.Contrast if kind == "contrast" else ImageEnhance.Color
    return change(im).enhance(rng.choice([rng.uniform(0.3, 0.6), rng.uniform(1.4, 2.2)]))


def reencoded(rng: random.Random, im: Image.Image) -> Image.Image:
    """Much smaller, or saved so badly that the blocks show."""
    if rng.random() < 0.5:
        scale = rng.uniform(0.25, 0.6)
        return im.resize(
            (max(96, round(im.width * scale)), max(96, round(im.height * scale))), Image.Resampling.LANCZOS
        )
    body = io.BytesIO()
    im.save(body, "JPEG", quality=rng.randint(8, 30))
    return Image.open(body).convert("RGB")


def _resized(rng: random.Random, im: Image.Image) -> Image.Image:
    """At another size, as another site keeps it."""
    scale = min(rng.uniform(0.6, 1.1), 1400 / max(im.size))
    return im.resize((max(64, round(im.width * scale)), max(64, round(im.height * scale))), Image.Resampling.LANCZOS)


def _over(rng: random.Random, im: Image.Image) -> Page:
    """A page that is the picture itself."""
    subject = Subject("", "", lambda _: im, lambda _: im, lambda _: None)
    p = Page(rng, subject, im.width, im.height)
    p.image = im.resize((p.width, p.height), Image.Resampling.BICUBIC)
    return p


def _two(one: Change, two: Change) -> Change:
    return lambda rng, im: two(rng, one(rng, im))


COPIES: dict[str, Change] = {
    "crop": crop, "mirror": mirror, "caption": caption, "mark": mark, "border": border, "recoloured": recoloured,
    "re-encoded": reencoded, "mirrored crop": _two(crop, mirror), "recoloured crop": _two(crop, recoloured),
}  # fmt: skip


# -- bursts ------------------------------------------------------------------------------------------


def burst(rng: random.Random, im: Image.Image) -> Image.Image:
    """Another shot of the same scene: the camera moved, the light and the noise are others."""
    w, h = im.size
    turn, zoom = np.deg2rad(rng.uniform(-3.5, 3.5)), rng.uniform(0.74, 0.85)
    c, s = np.cos(turn) * zoom, np.sin(turn) * zoom
    skew = rng.uniform(-0.03, 0.03)
    x, y = w * (0.5 + rng.uniform(-0.03, 0.03)), h * (0.5 + rng.uniform(-0.03, 0.03))
    a, b, d, e = c, -s + skew, s, c
    moved = im.transform((w, h), Image.Transform.AFFINE, (a, b, x - a * w / 2 - b * h / 2, d, e, y - d * w / 2 - e * h / 2), Image.Resampling.BICUBIC)  # fmt: skip
    light = np.asarray(moved, np.float32) / 255
    light = light ** rng.uniform(0.8, 1.25) * rng.uniform(0.88, 1.1)
    noise = np.random.default_rng(rng.getrandbits(63)).normal(0, rng.uniform(0.005, 0.025), light.shape)
    return Image.fromarray((np.clip(light + noise, 0, 1) * 255).astype(np.uint8))


def fragment(rng: random.Random, im: Image.Image) -> Image.Image:
    """A corner of a photo, without its subject."""
    w, h = round(im.width * rng.uniform(0.16, 0.26)), round(im.height * rng.uniform(0.16, 0.26))
    x, y = rng.choice([0, im.width - w]), rng.choice([0, im.height - h])
    scale = 360 / max(w, h)
    return im.crop((x, y, x + w, y + h)).resize((round(w * scale), round(h * scale)), Image.Resampling.BICUBIC)


# -- innocents: odd to look at, and right --------------------------------------------------------------


def night(rng: random.Random, im: Image.Image) -> Image.Image:
    dark = (np.asarray(im, np.float32) / 255) ** rng.uniform(1.1, 1.5) * rng.uniform(0.4, 0.6)
    dark *= np.array([0.75, 0.85, 1.1])
    noise = np.random.default_rng(rng.getrandbits(63)).normal(0, 0.025, dark.shape)
    return Image.fromarray((np.clip(dark + noise, 0, 1) * 255).astype(np.uint8))


def close_up(rng: random.Random, im: Image.Image) -> Image.Image:
    share = rng.uniform(0.5, 0.65)
    w, h = im.width * share, im.height * share
    x, y = (im.width - w) / 2, (im.height - h) * rng.uniform(0.3, 0.5)
    near = im.crop((round(x), round(y), round(x + w), round(y + h)))
    scale = max(1.0, 420 / max(near.size))
    return near.resize((round(near.width * scale), round(near.height * scale)), Image.Resampling.LANCZOS)


def _toned(rng: random.Random, im: Image.Image, kind: str) -> Image.Image:
    grey = ImageOps.autocontrast(ImageOps.grayscale(im), cutoff=rng.uniform(0, 2))
    return grey.convert("RGB") if kind == "grey" else ImageOps.colorize(grey, (45, 28, 15), (250, 235, 205))


def grey(rng: random.Random, im: Image.Image) -> Image.Image:
    return _toned(rng, im, "grey")


def sepia(rng: random.Random, im: Image.Image) -> Image.Image:
    return _toned(rng, im, "sepia")


def snow(rng: random.Random, im: Image.Image) -> Image.Image:
    """Fog or falling snow over everything."""
    pale = Image.blend(im, Image.new("RGB", im.size, (232, 236, 240)), rng.uniform(0.25, 0.45))
    pen = ImageDraw.Draw(pale)
    for _ in range(rng.randint(60, 200)):
        x, y, r = rng.uniform(0, im.width), rng.uniform(0, im.height), min(im.size) * rng.uniform(0.002, 0.008)
        pen.ellipse((x - r, y - r, x + r, y + r), (250, 250, 252))
    return pale


def shallow(rng: random.Random, im: Image.Image) -> Image.Image:
    """Sharp in the middle only, as a portrait lens sees it."""
    soft = im.filter(ImageFilter.GaussianBlur(min(im.size) * rng.uniform(0.015, 0.03)))
    mask = Image.radial_gradient("L").resize(im.size).point(lambda v: max(0, min(255, (v - 70) * 3)))
    return Image.composite(soft, im, mask)


def on_white(rng: random.Random, cut: Image.Image) -> Image.Image:
    """The subject alone on white, with a soft shadow, as shops show it; ``cut`` is RGBA."""
    side = round(max(cut.size) * rng.uniform(1.15, 1.5))
    ground = Image.new("RGB", (side, side), rng.choice([(255, 255, 255), (255, 255, 255), (246, 246, 246)]))
    x, y = (side - cut.width) // 2, (side - cut.height) // 2
    shadow = Image.new("L", (side, side), 0)
    ImageDraw.Draw(shadow).ellipse((x, y + cut.height * 0.9, x + cut.width, y + cut.height * 1.05), 90)
    ground.paste((120, 120, 120), (0, 0), shadow.filter(ImageFilter.GaussianBlur(side * 0.02)))
    ground.paste(cut, (x, y), cut)
    return ground


INNOCENT: dict[str, Change] = {
    "on white": on_white, "night": night, "close-up": close_up, "grey": grey, "sepia": sepia, "snow": snow,
    "shallow": shallow,
}  # fmt: skip
