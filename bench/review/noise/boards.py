"""Boards of many parts: infographics, charts, maps, tables, screenshots, product sheets, how-to pages, logos."""

from __future__ import annotations

import math
import random

from PIL import Image

from bench.review.noise import words
from bench.review.noise.figures import animal, icon
from bench.review.noise.ink import Box, Page, Subject, shade
from bench.review.noise.pages import bullets, figure, heading, page, picture

__all__ = ["BOARDS"]


def infographic(rng: random.Random, s: Subject) -> Image.Image:
    p = page(rng, s, ((1, 2), (2, 3), (1, 3), (4, 3), (3, 4)))
    p.backdrop()
    w, h = p.width, p.height
    y = max(heading(p, (w * 0.06, h * 0.02, w * 0.94, h * 0.14), align="center"), h * 0.1) + h * 0.01
    rows = rng.randint(2, 5)
    step = (h * 0.97 - y) / rows
    for i in range(rows):
        box = (w * 0.04, y + i * step, w * 0.96, y + (i + 0.94) * step)
        if rng.random() < 0.5:
            p.panel(box, rng.choice([p.colors.accents[i % 4], shade(p.colors.accents[i % 4], 1.7)]), round_by=rng.choice([0, step * 0.08]))  # fmt: skip
        columns = rng.choice([1, 2, 2, 3])
        for j in range(columns):
            across = (box[2] - box[0]) / columns
            _part(p, (box[0] + j * across + w * 0.01, box[1] + step * 0.05, box[0] + (j + 1) * across - w * 0.01, box[3] - step * 0.05))  # fmt: skip
    return p.done()


def _part(p: Page, box: Box) -> None:
    """One cell of an infographic."""
    left, top, right, bottom = box
    kind = p.rng.choice(["picture", "text", "icon", "number", "chart", "bullets"])
    if kind == "picture":
        picture(p, (left, top, right, top + (bottom - top) * 0.75))
        p.text((left, top + (bottom - top) * 0.78, right, bottom), words.bullet(p.rng), (bottom - top) * 0.12, align="center", bold=True)  # fmt: skip
    elif kind == "chart":
        _chart(p, box)
    elif kind == "bullets":
        bullets(p, box, 3)
    else:
        y = top
        if kind == "icon":
            side = min(right - left, bottom - top) * 0.45
            p.paste(icon(p.rng, round(side), p.accent()), (left, top, left + side, top + side))
            y = top + side
        elif kind == "number":
            said = p.rng.choice(
                [f"{p.rng.randint(1, 99)} %", str(p.rng.randint(2, 900)), f"{p.rng.randint(10, 400)} kg"]
            )
            y = p.text((left, top, right, top + (bottom - top) * 0.5), said, (bottom - top) * 0.4, bold=True, color=p.accent(), display=True)  # fmt: skip
        y = p.text((left, y, right, y + (bottom - y) * 0.4), words.bullet(p.rng), (bottom - top) * 0.12, bold=True)
        p.text((left, y, right, bottom), words.paragraph(p.rng, 2), (bottom - top) * 0.08)


def _chart(p: Page, box: Box) -> None:
    rng, (left, top, right, bottom) = p.rng, box
    kind, n = rng.choice(["bars", "rows", "pie", "line"]), rng.randint(3, 8)
    w, h = right - left, bottom - top
    values = [rng.uniform(0.15, 1) for _ in range(n)]
    if kind == "bars":
        for i, v in enumerate(values):
            x = left + w * i / n
            p.pen.rectangle(
                (x, bottom - h * 0.1 - v * h * 0.85, x + w / n * 0.7, bottom - h * 0.1), p.colors.accents[i % 4]
            )
            p.text((x, bottom - h * 0.09, x + w / n, bottom), str(2000 + i), h * 0.06)
        p.pen.line((left, bottom - h * 0.1, right, bottom - h * 0.1), p.colors.ink, 3)
    elif kind == "rows":
        for i, v in enumerate(values):
            y = top + h * i / n
            p.text((left, y, left + w * 0.3, y + h / n), words.bullet(rng, 2), h / n * 0.5)
            p.pen.rectangle((left + w * 0.32, y, left + w * (0.32 + 0.66 * v), y + h / n * 0.7), p.accent())
    elif kind == "pie":
        side, start = min(w, h) * 0.9, rng.uniform(0, 360)
        for i, v in enumerate(values):
            end = start + 360 * v / sum(values)
            p.pen.pieslice((left, top, left + side, top + side), start, end, p.colors.accents[i % 4], p.colors.paper, 4)
            start = end
        if rng.random() < 0.4:
            p.pen.ellipse((left + side * 0.3, top + side * 0.3, left + side * 0.7, top + side * 0.7), p.colors.paper)
    else:
        for i in range(5):
            p.pen.line((left, top + h * i / 4, right, top + h * i / 4), shade(p.colors.ink, 1.7), 2)
        for _ in range(rng.randint(1, 3)):
            y, points = rng.uniform(0.2, 0.8), []
            for i in range(12):
                y = min(0.98, max(0.02, y + rng.uniform(-0.17, 0.17)))
                points.append((left + w * i / 11, top + h * y))
            p.pen.line(points, p.accent(), max(4, p.short // 120), joint="curve")


def chart(rng: random.Random, s: Subject) -> Image.Image:
    p = page(rng, s, ((4, 3), (16, 9), (1, 1)))
    heading(p, (p.width * 0.08, p.height * 0.03, p.width * 0.92, p.height * 0.15), align="center")
    _chart(p, (p.width * 0.1, p.height * 0.2, p.width * 0.92, p.height * 0.92))
    return p.done()


def range_map(rng: random.Random, s: Subject) -> Image.Image:
    """Land with a ragged coast, borders, a coloured range, a legend; or streets."""
    p = page(rng, s, ((4, 3), (1, 1), (3, 2)))
    w, h = p.width, p.height
    if rng.random() < 0.3:
        p.image.paste((238, 234, 224), (0, 0, w, h))
        for _ in range(rng.randint(14, 30)):
            x, y, a, far = rng.uniform(0, w), rng.uniform(0, h), rng.choice([0.2, 1.77, 0.8]) + rng.uniform(-0.1, 0.1), w + h  # fmt: skip
            ends = (x - far * math.cos(a), y - far * math.sin(a), x + far * math.cos(a), y + far * math.sin(a))
            p.pen.line(ends, rng.choice([(255, 255, 255), (255, 255, 255), (250, 215, 120)]), round(p.short * rng.uniform(0.006, 0.03)))  # fmt: skip
    else:
        p.image.paste(rng.choice([(190, 215, 235), (230, 240, 248), (255, 255, 255)]), (0, 0, w, h))
        land = rng.choice([(240, 236, 220), (205, 220, 180), (225, 225, 225)])
        for _ in range(rng.randint(2, 5)):
            coast = _ragged(
                rng, rng.uniform(0.1, 0.9) * w, rng.uniform(0.2, 0.8) * h, p.short * rng.uniform(0.15, 0.45)
            )
            p.pen.polygon(coast, land, (120, 120, 120), 3)
        for _ in range(rng.randint(1, 4)):
            spot = _ragged(rng, rng.uniform(0.2, 0.8) * w, rng.uniform(0.2, 0.8) * h, p.short * rng.uniform(0.06, 0.25))
            p.pen.polygon(spot, p.accent())
    for _ in range(rng.randint(3, 10)):
        x, y = rng.uniform(0.05, 0.85) * w, rng.uniform(0.1, 0.9) * h
        p.pen.ellipse((x - 6, y - 6, x + 6, y + 6), (40, 40, 40))
        p.text((x + 10, y - 10, x + w * 0.25, y + h * 0.1), words.brand(rng), h * 0.03, color=(40, 40, 40))
    if rng.random() < 0.7:
        p.panel((w * 0.02, h * 0.72, w * 0.3, h * 0.97), (255, 255, 255), edge=(90, 90, 90))
        p.text((w * 0.04, h * 0.74, w * 0.28, h * 0.82), f"{s.label} range".capitalize(), h * 0.04, color=(20, 20, 20), bold=True)  # fmt: skip
        for i in range(3):
            p.pen.rectangle((w * 0.04, h * (0.82 + 0.05 * i), w * 0.08, h * (0.85 + 0.05 * i)), p.colors.accents[i])
    return p.done()


def _ragged(rng: random.Random, x: float, y: float, r: float) -> list[tuple[float, float]]:
    waves = [(rng.uniform(0.02, 0.25) / k, rng.uniform(0, 6.3), k) for k in (1, 2, 3, 5, 8, 13, 21)]
    points = []
    for i in range(160):
        a = 2 * math.pi * i / 160
        far = r * (1 + sum(s * math.sin(k * a + f) for s, f, k in waves))
        points.append((x + far * math.cos(a) * 1.3, y + far * math.sin(a)))
    return points


def worksheet(rng: random.Random, s: Subject) -> Image.Image:
    """A list of names, a price list, a table, a calendar or a word search."""
    p = page(rng, s, ((3, 4), (1, 1), (4, 3)))
    w, h = p.width, p.height
    y = heading(p, (w * 0.06, h * 0.03, w * 0.94, h * 0.17), align="center") + h * 0.02
    rows, columns = rng.randint(5, 14), rng.choice([2, 3, 4, 7])
    step, across = (h * 0.96 - y) / rows, w * 0.9 / columns
    grid, letters = rng.random() < 0.6, columns == 7
    for i in range(rows):
        if i % 2 and not grid:
            p.panel((w * 0.05, y + i * step, w * 0.95, y + (i + 1) * step), shade(p.colors.accents[0], 1.8))
        for j in range(columns):
            box = (w * 0.05 + j * across, y + i * step, w * 0.05 + (j + 1) * across, y + (i + 1) * step)
            if grid:
                p.pen.rectangle(box, None, p.colors.ink, 2)
            said = rng.choice("ABCDEFGHIKLMNOPRSTUW") if letters else words.bullet(rng, 2)
            p.text((box[0] + across * 0.08, box[1] + step * 0.15, box[2], box[3]), said, step * 0.5, bold=i == 0)
    if rng.random() < 0.5:
        side = p.short * rng.uniform(0.15, 0.3)
        p.paste(figure(p, side), (w - side * 1.1, h - side * 1.1, w, h))
    return p.done()


def screenshot(rng: random.Random, s: Subject) -> Image.Image:
    """A page in a browser or on a phone: search results, a shop, an article or a chat."""
    phone = rng.random() < 0.35
    p = page(rng, s, ((9, 16), (9, 19)) if phone else ((16, 10), (4, 3)))
    w, h = p.width, p.height
    dark = rng.random() < 0.25
    ground, ink = ((24, 24, 28), (235, 235, 235)) if dark else ((255, 255, 255), (30, 30, 30))
    p.image.paste(ground, (0, 0, w, h))
    p.panel((0, 0, w, h * 0.08), (45, 45, 50) if dark else (222, 225, 230))
    p.panel((w * 0.15, h * 0.02, w * 0.85, h * 0.06), ground, round_by=h * 0.02)
    p.text(
        (w * 0.18, h * 0.025, w * 0.8, h * 0.06), f"www.{words.brand(rng).lower()}.com/{s.label}", h * 0.025, color=ink
    )
    kind = rng.choice(["grid", "article", "chat", "shop"])
    if kind == "article":
        p.text(
            (w * 0.06, h * 0.11, w * 0.94, h * 0.24), words.title(rng, s.label, s.other), h * 0.06, color=ink, bold=True
        )
        p.photo((w * 0.06, h * 0.26, w * rng.choice([0.5, 0.94]), h * 0.58))
        p.text((w * 0.06, h * 0.6, w * 0.94, h * 0.98), words.paragraph(rng, 9), h * 0.028, color=ink)
        return p.done()
    if kind == "chat":
        y = h * 0.11
        while y < h * 0.88:
            mine, tall = rng.random() < 0.5, h * rng.uniform(0.06, 0.13)
            box = (w * (0.3 if mine else 0.05), y, w * (0.95 if mine else 0.7), y + tall)
            p.panel(box, p.colors.accents[0] if mine else (225, 225, 230), round_by=h * 0.02)
            p.text((box[0] + w * 0.02, y + h * 0.01, box[2] - w * 0.02, box[3]), words.sentence(rng), h * 0.026, color=(20, 20, 20))  # fmt: skip
            y += tall + h * 0.02
        return p.done()
    columns = 2 if phone else rng.choice([3, 4, 5])
    across, tall = w / columns, w / columns * (1.35 if kind == "shop" else 1.0)
    for i in range(math.ceil(h * 0.9 / tall)):
        for j in range(columns):
            x, y = j * across, h * 0.1 + i * tall
            box = (x + across * 0.06, y + across * 0.04, x + across * 0.94, y + across * 0.8)
            p.photo(box, (s.other_photo if rng.random() < 0.2 else s.photo)(rng))
            price = f"$ {rng.randint(3, 90)}.99 " if kind == "shop" else ""
            p.text((box[0], box[3] + across * 0.02, box[2], y + tall), price + words.bullet(rng, 4), across * 0.07, color=ink)  # fmt: skip
    return p.done()


def product_sheet(rng: random.Random, s: Subject) -> Image.Image:
    """Many wares on one sheet, with prices or names."""
    p = page(rng, s, ((1, 1), (4, 3), (3, 4)))
    w, h = p.width, p.height
    p.image.paste(rng.choice([(255, 255, 255), p.colors.paper]), (0, 0, w, h))
    top = h * 0.16 if rng.random() < 0.6 else h * 0.02
    if top > h * 0.1:
        heading(p, (w * 0.05, h * 0.02, w * 0.95, top), align="center")
    rows, columns = rng.choice([(2, 2), (2, 3), (3, 3), (3, 4), (2, 4), (1, 3)])
    across, tall = w / columns, (h - top) / rows
    for i in range(rows):
        for j in range(columns):
            x, y = j * across, top + i * tall
            box = (x + across * 0.1, y + tall * 0.05, x + across * 0.9, y + tall * 0.75)
            cut = s.cutout(rng)
            p.paste(cut if cut is not None else figure(p, min(across, tall) * 0.7), box)
            p.text((x, y + tall * 0.78, x + across, y + tall), f"{words.bullet(rng, 2)} ${rng.randint(2, 99)}.{rng.randint(10, 99)}", tall * 0.08, align="center", bold=rng.random() < 0.5)  # fmt: skip
    return p.done()


def how_to(rng: random.Random, s: Subject) -> Image.Image:
    """Steps of a drawing course or of instructions, numbered."""
    p = page(rng, s, ((3, 4), (4, 3), (1, 1)))
    w, h = p.width, p.height
    p.image.paste((255, 255, 255), (0, 0, w, h))
    p.colors = type(p.colors)((255, 255, 255), (30, 30, 30), p.colors.accents)
    heading(p, (w * 0.05, h * 0.02, w * 0.95, h * 0.14), align="center")
    rows, columns = rng.choice([(2, 2), (2, 3), (3, 2), (1, 3)])
    across, tall, build = w / columns, h * 0.84 / rows, rng.getrandbits(32)
    for n in range(rows * columns):
        x, y = n % columns * across, h * 0.15 + n // columns * tall
        side = min(across, tall) * 0.8
        last = n == rows * columns - 1
        look = "outlined" if last and rng.random() < 0.7 else "line"
        same = random.Random(build)  # the same animal in every step
        p.paste(animal(same, round(side), look, p.colors.accents[0], (30, 30, 30)), (x, y, x + across, y + side))
        p.text((x + across * 0.05, y + tall * 0.02, x + across, y + tall * 0.2), f"{n + 1}.", tall * 0.12, bold=True, color=p.accent())  # fmt: skip
        p.text((x + across * 0.1, y + tall * 0.82, x + across * 0.95, y + tall), words.bullet(rng, 7), tall * 0.07)
    return p.done()


def logo(rng: random.Random, s: Subject) -> Image.Image:
    p = page(rng, s, ((1, 1), (2, 1), (4, 3)))
    w, h = p.width, p.height
    side, name = p.short * rng.uniform(0.35, 0.6), rng.choice([words.brand(rng), s.label.upper(), f"{s.label} {words.brand(rng)}"])  # fmt: skip
    x, y = (w - side) / 2, h * 0.12
    round_, color = rng.random() < 0.5, p.accent()
    if round_:
        p.pen.ellipse((x, y, x + side, y + side), color)
        p.pen.ellipse((x + side * 0.04, y + side * 0.04, x + side * 0.96, y + side * 0.96), None, p.colors.paper, max(3, round(side * 0.02)))  # fmt: skip
    inner = (
        (x + side * 0.18, y + side * 0.18, x + side * 0.82, y + side * 0.82) if round_ else (x, y, x + side, y + side)
    )
    p.paste(icon(rng, round(side), p.colors.paper if round_ else color), inner)
    p.text((w * 0.05, y + side * 1.03, w * 0.95, h * 0.98), name, h * 0.14, bold=True, align="center", display=True)
    return p.done()


BOARDS = {
    "infographic": infographic, "chart": chart, "map": range_map, "worksheet": worksheet, "screenshot": screenshot,
    "product sheet": product_sheet, "how-to": how_to, "logo": logo,
}  # fmt: skip
