"""Several photos in one: grids, mosaics, halves with VS, prints on a table."""

from __future__ import annotations

import random

from PIL import Image, ImageDraw, ImageOps

from bench.review.noise.changes import crop, recoloured
from bench.review.noise.ink import Subject, fitted
from bench.review.noise.pages import page

__all__ = ["COLLAGES"]


def grid(rng: random.Random, s: Subject) -> Image.Image:
    p = page(rng, s, ((1, 1), (4, 3), (3, 4), (16, 9)))
    gap = p.short * rng.choice([0, 0, 0.01, 0.03])
    rows, columns = rng.choice([(1, 2), (2, 1), (2, 2), (2, 3), (3, 3), (1, 3), (3, 1), (3, 4)])
    w, h = p.width / columns, p.height / rows
    for i in range(rows * columns):
        x, y = i % columns * w, i // columns * h
        inset = fitted(_any(rng, s), w - gap, h - gap, rng)
        p.image.paste(inset, (round(x + gap / 2), round(y + gap / 2)))
    return p.done()


def _any(rng: random.Random, s: Subject) -> Image.Image:
    return (s.other_photo if rng.random() < 0.2 else s.photo)(rng)


def mosaic(rng: random.Random, s: Subject) -> Image.Image:
    """Tiles of different sizes, split again and again."""
    p = page(rng, s, ((1, 1), (4, 3), (16, 9)))
    gap, boxes = p.short * rng.choice([0, 0.008, 0.02]), [(0.0, 0.0, float(p.width), float(p.height))]
    for _ in range(rng.randint(2, 6)):
        boxes.sort(key=lambda b: (b[2] - b[0]) * (b[3] - b[1]))
        left, top, right, bottom = boxes.pop()
        at = rng.uniform(0.35, 0.65)
        if right - left > bottom - top:
            x = left + (right - left) * at
            boxes += [(left, top, x, bottom), (x, top, right, bottom)]
        else:
            y = top + (bottom - top) * at
            boxes += [(left, top, right, y), (left, y, right, bottom)]
    for left, top, right, bottom in boxes:
        inset = fitted(_any(rng, s), right - left - gap, bottom - top - gap, rng)
        p.image.paste(inset, (round(left + gap / 2), round(top + gap / 2)))
    return p.done()


def versus(rng: random.Random, s: Subject) -> Image.Image:
    """Two halves with VS, before and after, or right and wrong."""
    p = page(rng, s, ((16, 9), (4, 3), (2, 1)))
    w, h = p.width, p.height
    same = rng.random() < 0.4
    one = s.photo(rng)
    two = recoloured(rng, crop(rng, one)) if same else s.other_photo(rng)
    lean = rng.choice([0, 0, 0.1]) * w
    p.image.paste(fitted(one, w, h))
    mask = Image.new("L", (w, h), 0)
    ImageDraw.Draw(mask).polygon([(w / 2 + lean, 0), (w, 0), (w, h), (w / 2 - lean, h)], 255)
    p.image.paste(fitted(two, w / 2 + lean, h), (round(w / 2 - lean), 0), mask.crop((round(w / 2 - lean), 0, round(w / 2 - lean) + round(w / 2 + lean), h)))  # fmt: skip
    if rng.random() < 0.6:
        p.pen.line((w / 2 + lean, 0, w / 2 - lean, h), (255, 255, 255), max(4, round(w * 0.008)))
    left, right = rng.choice([("BEFORE", "AFTER"), ("1", "2"), (s.label.upper(), s.other.upper())])
    for i, said in enumerate((left, right)):
        p.text((w * (0.03 + 0.5 * i), h * 0.86, w * (0.47 + 0.5 * i), h), said, h * 0.09, color=(255, 255, 255), bold=True, edge=(0, 0, 0), align="center")  # fmt: skip
    if not same and rng.random() < 0.7:
        r = h * 0.12
        p.pen.ellipse((w / 2 - r, h / 2 - r, w / 2 + r, h / 2 + r), rng.choice([(210, 30, 30), (20, 20, 20)]))
        p.text((w / 2 - r, h / 2 - r * 0.6, w / 2 + r, h / 2 + r), "VS", r, color=(255, 255, 255), bold=True, align="center")  # fmt: skip
    return p.done()


def prints(rng: random.Random, s: Subject) -> Image.Image:
    """Prints scattered over a table, or a small picture in a large one."""
    p = page(rng, s, ((4, 3), (1, 1), (3, 4)))
    w, h = p.width, p.height
    if rng.random() < 0.4:
        p.image.paste(fitted(s.photo(rng), w, h))
        x, y = rng.choice([0.03, 0.6]) * w, rng.choice([0.03, 0.58]) * h
        inset = ImageOps.expand(fitted(_any(rng, s), w * 0.37, h * 0.37), max(4, p.short // 90), (255, 255, 255))
        p.image.paste(inset, (round(x), round(y)))
        return p.done()
    p.backdrop()
    for _ in range(rng.randint(3, 8)):
        side = p.short * rng.uniform(0.35, 0.55)
        edge = round(side * 0.05)
        shot = ImageOps.expand(fitted(_any(rng, s), side, side * rng.choice([0.7, 1])), edge, (250, 250, 250))
        tilted = shot.convert("RGBA").rotate(rng.uniform(-25, 25), Image.Resampling.BICUBIC, expand=True)
        p.image.paste(tilted, (round(rng.uniform(-0.1, 0.75) * w), round(rng.uniform(-0.1, 0.75) * h)), tilted)
    return p.done()


COLLAGES = {"grid": grid, "mosaic": mosaic, "versus": versus, "prints": prints}
