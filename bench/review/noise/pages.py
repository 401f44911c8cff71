"""Pages of words: slides, posters, covers, banners, memes, cards, and what stands in for a picture."""

from __future__ import annotations

import random

from PIL import Image, ImageEnhance

from bench.review.noise import words
from bench.review.noise.figures import LOOKS, animal, icon, thing
from bench.review.noise.ink import Box, Page, Subject, fitted, shade

__all__ = ["PAGES"]


def page(rng: random.Random, subject: Subject, shapes: tuple[tuple[int, int], ...]) -> Page:
    """A page of one of these shapes, at a size that the web has."""
    w, h = rng.choice(shapes)
    scale = rng.uniform(260, 900) / max(w, h)
    return Page(rng, subject, max(64, round(w * scale)), max(64, round(h * scale)))


def heading(p: Page, box: Box, *, align: str = "left", shadow: bool = False) -> float:
    said = words.title(p.rng, p.subject.label, p.subject.other)
    size = (box[3] - box[1]) * p.rng.uniform(0.4, 0.9)
    edge = p.accent() if p.rng.random() < 0.15 else None
    return p.text(box, said, size, bold=p.rng.random() < 0.8, align=align, display=True, edge=edge, shadow=shadow, color=p.rng.choice([p.colors.ink, p.colors.ink, p.accent()]))  # fmt: skip


def figure(p: Page, side: float) -> Image.Image:
    """Something drawn to set in: an animal, a thing or an icon."""
    rng, look = p.rng, p.rng.choice(LOOKS)
    make = rng.choice([animal, animal, thing])
    if rng.random() < 0.25:
        return icon(rng, max(16, round(side)), p.accent())
    return make(rng, max(32, round(side)), look, p.accent(), rng.choice([(25, 25, 25), p.colors.ink]))


def picture(p: Page, box: Box) -> None:
    """A photo inset, a cut-out or a drawing."""
    kind = p.rng.random()
    if kind < 0.55:
        p.photo(box)
    elif kind < 0.7 and (cut := p.subject.cutout(p.rng)) is not None:
        p.paste(cut, box)
    else:
        p.paste(figure(p, min(box[2] - box[0], box[3] - box[1])), box)


def bullets(p: Page, box: Box, n: int) -> None:
    left, top, right, bottom = box
    step, sign = (bottom - top) / n, p.rng.choice(["dot", "number", "icon", "dash"])
    size, shade_ = step * p.rng.uniform(0.3, 0.5), p.accent()
    for i in range(n):
        y = top + i * step
        if sign == "number":
            p.pen.ellipse((left, y, left + size * 1.3, y + size * 1.3), shade_)
            p.text((left + size * 0.35, y, left + size * 1.3, y + size * 1.3), str(i + 1), size * 0.9, color=p.colors.paper, bold=True)  # fmt: skip
        elif sign == "icon":
            p.paste(icon(p.rng, round(size * 1.3), shade_), (left, y, left + size * 1.3, y + size * 1.3))
        elif sign == "dot":
            p.pen.ellipse((left, y + size * 0.4, left + size * 0.4, y + size * 0.8), shade_)
        else:
            p.pen.line((left, y + size * 0.6, left + size * 0.6, y + size * 0.6), shade_, max(2, round(size * 0.12)))
        p.text((left + size * 1.8, y, right, y + step), words.bullet(p.rng, 9), size)


def slide(rng: random.Random, s: Subject) -> Image.Image:
    p = page(rng, s, ((4, 3), (16, 9)))
    p.backdrop()
    w, h = p.width, p.height
    if rng.random() < 0.5:
        p.panel((0, 0, w, h * 0.2), p.accent())
    heading(p, (w * 0.06, h * 0.05, w * 0.94, h * 0.2), align=rng.choice(["left", "center"]))
    split = rng.choice([0.45, 0.55, 0.65, 1.0])
    flip = rng.random() < 0.3
    text = (w * (0.06 if not flip else 1 - split + 0.04), h * 0.28, w * (split - 0.02 if not flip else 0.95), h * 0.88)
    if rng.random() < 0.75:
        bullets(p, text, rng.randint(3, 6))
    else:
        p.text(text, words.paragraph(rng, 5), h * 0.06)
    if split < 1:
        box = (w * (split + 0.02), h * 0.27, w * 0.95, h * 0.88)
        picture(p, box if not flip else (w * 0.05, box[1], w * (0.98 - split), box[3]))
    p.text((w * 0.06, h * 0.93, w * 0.94, h), words.brand(rng), h * 0.03)
    return p.done()


def poster(rng: random.Random, s: Subject) -> Image.Image:
    p = page(rng, s, ((2, 3), (3, 4), (1, 1), (4, 5)))
    p.backdrop()
    w, h = p.width, p.height
    top = heading(
        p, (w * 0.07, h * 0.05, w * 0.93, h * rng.uniform(0.2, 0.35)), align="center", shadow=rng.random() < 0.3
    )
    middle = (w * 0.15, top + h * 0.03, w * 0.85, h * rng.uniform(0.68, 0.8))
    if rng.random() < 0.6:
        picture(p, middle)
    else:
        n = rng.choice([2, 3])
        for i in range(n):
            picture(p, (w * (0.06 + 0.9 * i / n), middle[1], w * (0.06 + 0.9 * (i + 0.9) / n), middle[3]))
    y = p.text((w * 0.1, middle[3] + h * 0.02, w * 0.9, h * 0.9), words.slogan(rng), h * rng.uniform(0.04, 0.09), bold=True, align="center", color=p.accent())  # fmt: skip
    p.text((w * 0.1, y, w * 0.9, h * 0.97), words.paragraph(rng, rng.randint(1, 4)), h * 0.025, align="center")
    return p.done()


def title_card(rng: random.Random, s: Subject) -> Image.Image:
    """A video's thumbnail: a photo, much darker or beside a block, and a few huge words."""
    p = page(rng, s, ((16, 9), (4, 3)))
    w, h = p.width, p.height
    back = ImageEnhance.Brightness(fitted(s.photo(rng), w, h)).enhance(rng.uniform(0.25, 0.8))
    p.image.paste(back)
    if rng.random() < 0.5:
        p.panel((0, 0, w * rng.uniform(0.4, 0.6), h), p.accent())
    color, edge = rng.choice([((255, 255, 255), (0, 0, 0)), ((255, 225, 40), (0, 0, 0)), ((255, 255, 255), p.accent())])
    said = words.title(rng, s.label, s.other).upper()
    y = p.text((w * 0.05, h * rng.uniform(0.08, 0.3), w * rng.choice([0.6, 0.95]), h * 0.8), said, h * rng.uniform(0.17, 0.3), color=color, bold=True, display=True, edge=edge)  # fmt: skip
    p.text((w * 0.05, min(y, h * 0.82), w * 0.9, h * 0.97), words.slogan(rng), h * 0.1, color=color, edge=edge)
    if rng.random() < 0.4:
        p.pen.ellipse(
            (w * 0.8, h * 0.35, w * 0.95, h * 0.35 + w * 0.15), (220, 30, 30), (255, 255, 255), round(h * 0.02)
        )
    return p.done()


def banner(rng: random.Random, s: Subject) -> Image.Image:
    p = page(rng, s, ((3, 1), (5, 2), (4, 1), (2, 1)))
    p.backdrop()
    w, h = p.width, p.height
    left = rng.random() < 0.5
    x = (w * 0.38, w * 0.96) if left else (w * 0.04, w * 0.6)
    spot = (w * 0.02, h * 0.06, w * 0.34, h * 0.94) if left else (w * 0.64, h * 0.06, w * 0.98, h * 0.94)
    picture(p, spot)
    y = heading(p, (x[0], h * 0.1, x[1], h * 0.6), align=rng.choice(["left", "center"]))
    button = (x[0], max(y, h * 0.6) + h * 0.04, x[0] + w * 0.25, h * 0.92)
    p.panel(button, p.accent(), round_by=h * rng.choice([0, 0.05, 0.15]))
    p.text((button[0] + w * 0.015, button[1] + h * 0.03, button[2] - w * 0.015, button[3]), words.slogan(rng), h * 0.13, color=p.colors.paper, bold=True, align="center")  # fmt: skip
    return p.done()


def cover(rng: random.Random, s: Subject) -> Image.Image:
    """A book, a magazine or a catalogue; sometimes as an object on a plain ground."""
    p = page(rng, s, ((2, 3), (3, 4), (5, 7)))
    w, h = p.width, p.height
    p.backdrop()
    if rng.random() < 0.5:
        p.image.paste(fitted(s.photo(rng), w, h, rng))
        if rng.random() < 0.5:
            p.panel((0, h * 0.68, w, h), p.accent())
    else:
        picture(p, (w * 0.12, h * 0.36, w * 0.88, h * 0.82))
    heading(p, (w * 0.08, h * 0.06, w * 0.92, h * 0.34), align="center", shadow=True)
    p.text((w * 0.1, h * 0.86, w * 0.9, h * 0.95), f"{words.brand(rng)} {words.brand(rng)}", h * 0.04, align="center", bold=True)  # fmt: skip
    if rng.random() < 0.4:
        for i in range(rng.randint(2, 4)):
            p.text((w * 0.06, h * (0.42 + 0.09 * i), w * 0.5, h * (0.5 + 0.09 * i)), words.bullet(rng), h * 0.03, color=p.accent(), bold=True)  # fmt: skip
    if rng.random() < 0.4:
        p.pen.rectangle((0, 0, w * 0.03, h), shade(p.colors.accents[0], 0.5))
        ground = Image.new("RGB", (round(w * 1.3), round(h * 1.15)), (255, 255, 255))
        ground.paste(shade(p.colors.paper, 0.6), (round(w * 0.18), round(h * 0.1), round(w * 1.18), round(h * 1.1)))
        ground.paste(p.image, (round(w * 0.15), round(h * 0.075)))
        return ground.resize((ground.width // 2, ground.height // 2), Image.Resampling.LANCZOS)
    return p.done()


def meme(rng: random.Random, s: Subject) -> Image.Image:
    p = page(rng, s, ((1, 1), (4, 3), (3, 4)))
    w, h = p.width, p.height
    if rng.random() < 0.5:
        p.image.paste(fitted(s.photo(rng), w, h, rng))
        for box in ((w * 0.03, h * 0.02, w * 0.97, h * 0.3), (w * 0.03, h * 0.74, w * 0.97, h * 0.99)):
            p.text(box, words.bullet(rng, 9).upper(), h * 0.13, color=(255, 255, 255), bold=True, align="center", edge=(0, 0, 0))  # fmt: skip
    else:
        dark = rng.random() < 0.4
        p.image.paste((10, 10, 10) if dark else (255, 255, 255), (0, 0, w, h))
        p.image.paste(
            fitted(s.photo(rng), w * 0.9, h * 0.6, rng), (round(w * 0.05), round(h * (0.06 if dark else 0.36)))
        )
        top = h * (0.7 if dark else 0.04)
        p.text((w * 0.05, top, w * 0.95, top + h * 0.28), words.sentence(rng), h * 0.09, color=(255, 255, 255) if dark else (10, 10, 10), align="center", bold=True)  # fmt: skip
    return p.done()


def card(rng: random.Random, s: Subject) -> Image.Image:
    """A greeting card, a quotation, a certificate or a coupon."""
    p = page(rng, s, ((4, 3), (1, 1), (3, 2), (3, 4)))
    w, h = p.width, p.height
    p.backdrop()
    edge = p.short * rng.uniform(0.02, 0.06)
    for i in range(rng.choice([0, 1, 2])):
        p.pen.rectangle((edge * (i + 1), edge * (i + 1), w - edge * (i + 1), h - edge * (i + 1)), None, p.accent(), max(3, round(edge * 0.3)))  # fmt: skip
    for _ in range(rng.choice([0, 6, 20])):
        side = p.short * rng.uniform(0.03, 0.09)
        x, y = rng.uniform(0, w - side), rng.uniform(0, h - side)
        p.paste(icon(rng, round(side), p.accent()), (x, y, x + side, y + side))
    y = heading(p, (w * 0.12, h * 0.12, w * 0.88, h * 0.45), align="center")
    if rng.random() < 0.6:
        picture(p, (w * 0.32, y + h * 0.02, w * 0.68, h * 0.85))
    else:
        p.text((w * 0.15, y, w * 0.85, h * 0.85), words.paragraph(rng, 2), h * 0.06, align="center")
    return p.done()


def placeholder(rng: random.Random, s: Subject) -> Image.Image:
    p = page(rng, s, ((1, 1), (4, 3), (16, 9)))
    w, h = p.width, p.height
    grey = rng.randint(190, 250)
    ground = rng.choice([(255, 255, 255), (grey, grey, grey), shade(p.accent(), 1.7)])
    p.image.paste(ground, (0, 0, w, h))
    dark = shade(ground, rng.uniform(0.4, 0.8))
    if rng.random() < 0.6:
        side = p.short * rng.uniform(0.2, 0.45)
        x, y = (w - side) / 2, h * 0.45 - side / 2
        p.pen.rounded_rectangle((x, y, x + side, y + side * 0.75), side * 0.05, None, dark, max(4, round(side * 0.06)))
        p.pen.polygon([(x + side * 0.1, y + side * 0.65), (x + side * 0.4, y + side * 0.25), (x + side * 0.6, y + side * 0.5), (x + side * 0.72, y + side * 0.4), (x + side * 0.9, y + side * 0.65)], dark)  # fmt: skip
    said = rng.choice(["No image available", "Image not found", "404", "Coming soon", "This image has been removed", f"{w // 2} x {h // 2}", "photo unavailable", "Hotlinking is not allowed"])  # fmt: skip
    p.text((w * 0.1, h * 0.72, w * 0.9, h * 0.95), said, p.short * rng.uniform(0.05, 0.12), color=dark, align="center")
    return p.done()


def blank(rng: random.Random, s: Subject) -> Image.Image:
    p = page(rng, s, ((1, 1), (4, 3), (16, 9)))
    tone = rng.choice([(255, 255, 255), (0, 0, 0), (rng.randint(100, 245),) * 3, p.accent()])
    p.image.paste(tone, (0, 0, p.width, p.height))
    if rng.random() < 0.3:
        p.gradient((0, 0, p.width, p.height), tone, shade(tone, 0.8))
    if rng.random() < 0.3:
        p.text((p.width * 0.75, p.height * 0.93, p.width, p.height), words.brand(rng), p.short * 0.03)
    return p.done()


PAGES = {
    "slide": slide, "poster": poster, "title card": title_card, "banner": banner, "cover": cover, "meme": meme,
    "card": card, "placeholder": placeholder, "blank": blank,
}  # fmt: skip
