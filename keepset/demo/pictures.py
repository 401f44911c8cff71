"""The demo's web: pictures under URLs, with errors planted on purpose and written down.

What was planted is known, so the demo can count honestly what was found.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from PIL import Image

from keepset.demo.draw import CLASSES, draw, draw_junk

__all__ = ["Plant", "Planted", "plant"]


class Plant(StrEnum):
    """What is wrong with a URL of the demo, if anything."""

    NOTHING = "good"
    WRONG_LABEL = "wrong label"
    JUNK = "junk picture"
    EXACT_COPY = "exact copy"  # the same bytes under another URL
    SAME_PIXELS = "same pixels as PNG"
    NEAR_COPY = "smaller, recompressed copy"
    TWO_CLASSES = "same picture in two classes"
    BROKEN = "broken file"
    HTML = "web page named .jpg"
    NOT_FOUND = "404"


@dataclass(frozen=True)
class Planted:
    """One URL of the demo: its path, the class whose list names it, and what the server answers."""

    path: str
    label: str
    kind: Plant
    truth: str | None
    body: bytes
    content_type: str = "image/jpeg"
    http_status: int = 200


def plant(seed: int, per_class: int = 50) -> list[Planted]:
    """All URLs of the demo, in list order: ``per_class`` good pictures a class and about 20 % trouble."""
    found = []
    for label in CLASSES:
        found += list(_good(label, seed, per_class))
        found += list(_trouble(label, seed, found))
    return found


def _good(label: str, seed: int, n: int) -> Iterator[Planted]:
    for i in range(n):
        yield Planted(f"/{label}/{i:03d}.jpg", label, Plant.NOTHING, label, _jpeg(draw(label, seed * 10_000 + i)))


def _trouble(label: str, seed: int, so_far: list[Planted]) -> Iterator[Planted]:
    mine = [p for p in so_far if p.label == label]
    others = [c for c in CLASSES if c != label]
    for i in range(3):
        true = others[i % 2]
        body = _jpeg(draw(true, seed * 10_000 + 5_000 + CLASSES.index(label) * 100 + i))
        yield Planted(f"/{label}/found-{i}.jpg", label, Plant.WRONG_LABEL, true, body)
    for i in range(2):
        body = _jpeg(draw_junk(seed * 100 + CLASSES.index(label) * 2 + i))
        yield Planted(f"/{label}/banner-{i}.jpg", label, Plant.JUNK, None, body)
    for i in range(2):
        yield Planted(f"/mirror/{label}-{i}.jpg", label, Plant.EXACT_COPY, label, mine[i].body)
    yield Planted(f"/{label}/lossless.png", label, Plant.SAME_PIXELS, label, _as_png(mine[5].body), "image/png")
    for i in range(2):
        yield Planted(f"/{label}/small-{i}.jpg", label, Plant.NEAR_COPY, label, _smaller(mine[7 + i].body))
    if label == CLASSES[-1]:
        first = next(p for p in so_far if p.label == CLASSES[0])
        again = so_far[so_far.index(first) + 11]
        yield Planted(f"/{label}/also.jpg", label, Plant.TWO_CLASSES, CLASSES[0], again.body)
    body = mine[9].body
    yield Planted(f"/{label}/broken.jpg", label, Plant.BROKEN, None, body[: len(body) // 2])
    page = f"<!doctype html><title>{label}</title><p>This picture has moved.".encode()
    yield Planted(f"/{label}/moved.jpg", label, Plant.HTML, None, page, "image/jpeg")
    yield Planted(f"/{label}/gone.jpg", label, Plant.NOT_FOUND, None, b"not found", "text/plain", 404)


def _jpeg(image: Image.Image, quality: int = 88) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _as_png(jpeg: bytes) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(out, "PNG")
    return out.getvalue()


def _smaller(jpeg: bytes) -> bytes:
    image = Image.open(io.BytesIO(jpeg))
    return _jpeg(image.resize((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.LANCZOS), 70)
