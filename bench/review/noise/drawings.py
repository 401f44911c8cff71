"""Drawings: clip art, cartoons, comics, line drawings, patterns, renders, and photos redrawn."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from bench.review.noise import words
from bench.review.noise.figures import animal, thing
from bench.review.noise.ink import Box, Color, Page, Subject, fitted, shade
from bench.review.noise.pages import page

__all__ = ["DRAWINGS"]

_COATS: tuple[Color, ...] = ((150, 95, 50), (205, 150, 90), (90, 60, 45), (60, 60, 70), (235, 225, 205), (225, 130, 50), (140, 170, 210), (230, 150, 170))  # fmt: skip
_INK: Color = (30, 25, 25)


def clip_art(rng: random.Random, s: Subject) -> Image.Image:
    p = page(rng, s, ((1, 1), (4, 5), (5, 4)))
    side, look = p.short, rng.choice(["flat", "outlined", "outlined", "soft", "silhouette"])
    if rng.random() < 0.65:
        p.image.paste((255, 255, 255), (0, 0, p.width, p.height))
    else:
        p.backdrop()
    make = animal if rng.random() < 0.8 else thing
    p.paste(make(rng, side, look, rng.choice([*_COATS, p.colors.accents[0]]), _INK), (0, 0, p.width, p.height))
    if rng.random() < 0.3:  # a stock agency's mark, again and again
        for i in range(4):
            p.text((p.width * 0.08, p.height * (0.1 + 0.24 * i), p.width, p.height), f"{words.brand(rng)}   " * 3, side * 0.05, color=(190, 190, 190))  # fmt: skip
    return p.done()


def _scene(p: Page, box: Box) -> None:
    """Sky, hills, a sun and animals."""
    rng, (left, top, right, bottom) = p.rng, box
    w, h = right - left, bottom - top
    sky, ground = rng.choice([(170, 215, 245), (250, 225, 170), (40, 50, 100), (225, 240, 250)]), rng.choice([(120, 180, 80), (90, 140, 70), (235, 240, 245), (215, 185, 120)])  # fmt: skip
    p.pen.rectangle(box, sky)
    p.pen.ellipse((right - w * 0.25, top + h * 0.06, right - w * 0.08, top + h * 0.06 + w * 0.17), (255, 220, 90))
    inside = Image.new("RGB", (round(w), round(h)), sky)
    inside.paste(p.image.crop((round(left), round(top), round(left) + inside.width, round(top) + inside.height)))
    hills = Page(rng, p.subject, max(32, inside.width // 2), max(32, inside.height // 2))
    hills.image.paste(inside.resize(hills.image.size))
    for _ in range(3):
        x, r = rng.uniform(0, hills.width), hills.width * rng.uniform(0.25, 0.6)
        hills.pen.ellipse((x - r, hills.height * rng.uniform(0.5, 0.65), x + r, hills.height * 2), shade(ground, rng.uniform(0.85, 1.1)))  # fmt: skip
    p.image.paste(hills.image.resize(inside.size), (round(left), round(top)))
    look = rng.choice(["outlined", "flat", "soft"])
    for i in range(rng.choice([1, 1, 2, 3])):
        side = min(w, h) * rng.uniform(0.45, 0.75)
        x, y = left + rng.uniform(0, max(1, w - side)), bottom - side * 1.02
        make = thing if i and rng.random() < 0.5 else animal
        p.paste(make(rng, max(32, round(side)), look, rng.choice(_COATS), _INK), (x, y, x + side, y + side))


def cartoon(rng: random.Random, s: Subject) -> Image.Image:
    p = page(rng, s, ((4, 3), (1, 1), (3, 4), (16, 9)))
    _scene(p, (0, 0, p.width, p.height))
    if rng.random() < 0.4:
        _bubble(p, (p.width * 0.05, p.height * 0.05, p.width * 0.6, p.height * 0.25))
    return p.done()


def _bubble(p: Page, box: Box) -> None:
    left, top, right, bottom = box
    p.pen.ellipse(box, (255, 255, 255), _INK, max(3, p.short // 200))
    x = left + (right - left) * 0.4
    p.pen.polygon([(x, bottom - 6), (x + (right - left) * 0.12, bottom - 6), (x + (right - left) * 0.2, bottom + (bottom - top) * 0.4)], (255, 255, 255))  # fmt: skip
    p.text((left + (right - left) * 0.15, top + (bottom - top) * 0.2, right - (right - left) * 0.15, bottom), words.bullet(p.rng, 7), (bottom - top) * 0.2, color=_INK, align="center")  # fmt: skip


def comic(rng: random.Random, s: Subject) -> Image.Image:
    p = page(rng, s, ((3, 1), (1, 1), (3, 4)))
    p.image.paste((255, 255, 255), (0, 0, p.width, p.height))
    columns, rows = (3, 1) if p.width > 2 * p.height else rng.choice([(2, 2), (2, 3), (1, 2)])
    w, h, gap = p.width / columns, p.height / rows, p.short * 0.02
    for i in range(rows * columns):
        x, y = i % columns * w, i // columns * h
        box = (x + gap, y + gap, x + w - gap, y + h - gap)
        _scene(p, box)
        p.pen.rectangle(box, None, _INK, max(4, p.short // 120))
        if rng.random() < 0.8:
            _bubble(p, (box[0] + w * 0.05, box[1] + h * 0.04, box[0] + w * 0.7, box[1] + h * 0.26))
    return _greyed(p.done(), rng, 0.3)


def _greyed(image: Image.Image, rng: random.Random, share: float) -> Image.Image:
    return ImageOps.grayscale(image).convert("RGB") if rng.random() < share else image


def line_drawing(rng: random.Random, s: Subject) -> Image.Image:
    """A colouring page or an ink drawing on paper, sometimes hatched."""
    p = page(rng, s, ((1, 1), (3, 4), (4, 3)))
    paper = rng.choice([(255, 255, 255), (255, 255, 255), (245, 238, 220), (225, 215, 190)])
    p.image.paste(paper, (0, 0, p.width, p.height))
    ink = rng.choice([(0, 0, 0), (60, 50, 45), (30, 50, 120)])
    if rng.random() < 0.4:
        step = round(p.short * rng.uniform(0.012, 0.03))
        for x in range(-p.height, p.width, step):
            y = p.height * rng.uniform(0.75, 0.9)
            p.pen.line((x + (p.height - y), y, x, p.height), shade(ink, 1.5), 2)
    n = rng.choice([1, 1, 1, 2])
    for i in range(n):
        make = animal if rng.random() < 0.85 else thing
        figure = make(rng, p.short, "line", paper, ink)
        p.paste(figure, (p.width * i / n, p.height * 0.03, p.width * (i + 1) / n, p.height * 0.97))
    if rng.random() < 0.4:
        p.text((p.width * 0.1, p.height * 0.88, p.width * 0.9, p.height), words.title(rng, s.label, s.other), p.height * 0.07, color=ink, align="center")  # fmt: skip
    return p.done()


def pattern(rng: random.Random, s: Subject) -> Image.Image:
    """Fabric, wrapping paper or a sheet of stickers."""
    p = page(rng, s, ((1, 1), (4, 3)))
    p.backdrop()
    n, look, coat = rng.choice([2, 3, 4, 6]), rng.choice(["flat", "outlined", "soft"]), rng.choice([*_COATS, p.accent()])  # fmt: skip
    side, builds, alike = p.width / n, [rng.getrandbits(32) for _ in range(3)], rng.random() < 0.6
    for i in range(round(p.height / side) + 1):
        for j in range(-1, n + 1):
            build = random.Random(builds[(i + j) % 3] if alike else rng.getrandbits(32))
            make = animal if alike or rng.random() < 0.6 else thing
            x, y = (j + 0.5 * (i % 2)) * side, i * side
            p.paste(make(build, round(side), look, coat, _INK), (x + side * 0.06, y + side * 0.06, x + side * 0.94, y + side * 0.94))  # fmt: skip
    return p.done()


def render(rng: random.Random, s: Subject) -> Image.Image:
    """Balls under one lamp, as simple 3-D programs draw them: a head, ears, a body, on a plain floor."""
    w, h = rng.choice([(640, 480), (512, 512), (480, 640)])
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    low, high = np.array([_tone(rng), _tone(rng)], dtype=np.float32)
    image = low + (high - low) * (y / h)[..., None]
    coat, r = np.array(rng.choice(_COATS), dtype=np.float32), min(w, h) * rng.uniform(0.15, 0.2)
    cx, cy = w * rng.uniform(0.4, 0.6), h * rng.uniform(0.34, 0.42)
    light = np.array([rng.uniform(-0.7, 0.7), -0.6, 0.6])
    light /= np.linalg.norm(light)
    image *= 1 - 0.35 * np.exp(-(((x - cx) / (r * 2)) ** 2 + ((y - cy - r * 3) / (r * 0.5)) ** 2))[..., None]
    spread = rng.uniform(0.6, 0.8)
    balls = [(0, 1.75, 1.25, 1.0), (-1.1, 1.3, 0.5, 0.95), (1.1, 1.3, 0.5, 0.95), (-0.8, 2.7, 0.55, 0.9), (0.8, 2.7, 0.55, 0.9),
             (-spread, -0.8, 0.38, 0.9), (spread, -0.8, 0.38, 0.9), (0, 0, 1.0, 1.0), (0, 0.35, 0.5, 1.35),
             (-0.35, -0.15, 0.12, 0.1), (0.35, -0.15, 0.12, 0.1), (0, 0.15, 0.15, 0.15)]  # fmt: skip
    for dx, dy, size, tone in balls:
        u, v = (x - cx - dx * r) / (size * r), (y - cy - dy * r) / (size * r)
        inside = u * u + v * v < 1
        z = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
        lit = np.clip(u * light[0] + v * light[1] + z * light[2], 0, 1)
        shine = lit ** rng.choice([12, 40]) * 90
        color = coat * tone if tone > 0.2 else np.array([20, 20, 20])
        image = np.where(inside[..., None], color * (0.35 + 0.65 * lit)[..., None] + shine[..., None], image)
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


def _tone(rng: random.Random) -> Color:
    v = rng.randint(150, 250)
    return v, max(0, v - rng.randint(0, 40)), max(0, v - rng.randint(0, 60))


def pencil(rng: random.Random, s: Subject) -> Image.Image:
    """A photo as a pencil drawing: divided by its own blurred negative."""
    photo = _sized(s.photo(rng), rng)
    grey = ImageOps.grayscale(photo)
    soft = ImageOps.invert(grey).filter(ImageFilter.GaussianBlur(rng.uniform(3, 9)))
    dodged = np.asarray(grey, np.float32) * 255 / np.maximum(256 - np.asarray(soft, np.float32), 1)
    lines = np.clip(dodged, 0, 255) ** rng.uniform(1.2, 2.2)
    drawn = Image.fromarray((lines / lines.max() * 255).astype(np.uint8))
    paper = rng.choice([(255, 255, 255), (248, 240, 222)])
    return ImageOps.colorize(drawn, rng.choice([(20, 20, 20), (70, 50, 40), (30, 40, 90)]), paper)


def vector(rng: random.Random, s: Subject) -> Image.Image:
    """A photo redrawn in a few flat tones with dark edges: the cut-out alone on plain ground, or the whole."""
    cut = s.cutout(rng) if rng.random() < 0.7 else None
    photo = _sized(cut or s.photo(rng), rng)
    mask = photo.getchannel("A").point(lambda v: 255 * (v > 127)) if photo.mode == "RGBA" else None
    smooth = photo.convert("RGB")
    for _ in range(3):
        smooth = smooth.filter(ImageFilter.MedianFilter(7))
    flat = smooth.quantize(rng.choice([3, 4, 5]), Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    if rng.random() < 0.5:
        edges = ImageOps.grayscale(smooth).filter(ImageFilter.FIND_EDGES).point(lambda v: 255 * (v < 36))
        flat = ImageChops.multiply(flat, edges.filter(ImageFilter.MinFilter(3)).convert("RGB"))
    if mask is None:
        return flat
    p = page(rng, s, ((1, 1), (4, 3)))
    if rng.random() < 0.5:
        p.image.paste((255, 255, 255), (0, 0, p.width, p.height))
    else:
        p.backdrop()
    flat.putalpha(mask)
    p.paste(flat, (p.width * 0.08, p.height * 0.08, p.width * 0.92, p.height * 0.92))
    return p.done()


def painting(rng: random.Random, s: Subject) -> Image.Image:
    """A photo in strokes of a brush: patches of one tone, stronger colours, canvas."""
    photo = _sized(s.photo(rng), rng)
    size, scale = photo.size, rng.uniform(180, 260) / max(photo.size)
    photo = photo.resize((round(size[0] * scale), round(size[1] * scale)), Image.Resampling.BICUBIC)
    for _ in range(2):
        photo = photo.filter(rng.choice([ImageFilter.ModeFilter(6), ImageFilter.MedianFilter(5)]))
    photo = photo.resize(size, Image.Resampling.LANCZOS)
    photo = ImageEnhance.Color(photo).enhance(rng.uniform(1.2, 1.9))
    y, x = np.mgrid[0 : photo.height, 0 : photo.width]
    canvas = 6 * (np.sin(x * 1.3) + np.sin(y * 1.3))[..., None]
    return Image.fromarray(np.clip(np.asarray(photo, np.float32) + canvas, 0, 255).astype(np.uint8))


def engraving(rng: random.Random, s: Subject) -> Image.Image:
    """A photo in lines that are thicker where it is darker, or in dots, as old prints have it."""
    grey = ImageOps.autocontrast(ImageOps.grayscale(_sized(s.photo(rng), rng)))
    y, x = np.mgrid[0 : grey.height, 0 : grey.width].astype(np.float32)
    turn, step = rng.uniform(0, 3.1), rng.uniform(3.5, 7)
    u = (x * np.cos(turn) + y * np.sin(turn)) * 2 * np.pi / step
    v = (y * np.cos(turn) - x * np.sin(turn)) * 2 * np.pi / step
    screen = np.sin(u) if rng.random() < 0.5 else (np.sin(u) + np.sin(v)) / 2
    light = np.asarray(grey.filter(ImageFilter.GaussianBlur(1)), np.float32) / 255
    lines = 1 / (1 + np.exp(-9 * (light * 2.2 - 1.1 + screen * 0.9)))
    drawn = Image.fromarray((lines * 255).astype(np.uint8))
    ink, paper = rng.choice(
        [((15, 15, 15), (255, 255, 255)), ((60, 40, 25), (238, 225, 196)), ((160, 30, 30), (250, 245, 235))]
    )
    return ImageOps.colorize(drawn, ink, paper)


def _sized(photo: Image.Image, rng: random.Random) -> Image.Image:
    side = rng.uniform(300, 640)
    scale = side / max(photo.size)
    if photo.mode == "RGBA":
        return photo.resize((round(photo.width * scale), round(photo.height * scale)))
    return fitted(photo, photo.width * scale, photo.height * scale)


DRAWINGS = {
    "clip art": clip_art, "cartoon": cartoon, "comic": comic, "line drawing": line_drawing, "pattern": pattern,
    "render": render, "pencil": pencil, "vector": vector,
    "painting": painting, "engraving": engraving,
}  # fmt: skip
