"""The demo's web: pictures under URLs, with errors planted on purpose and written down.

What was planted is known, so the demo can count honestly what was found.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from PIL import Image, ImageOps

from keepset.demo.draw import CLASSES, SOLD, draw, draw_on_white
from keepset.demo.junk import draw_cartoon, draw_collage, draw_junk

__all__ = ["Plant", "Planted", "plant"]

_SIZE = {"width": 400, "height": 300}


class Plant(StrEnum):
    """What is wrong with a URL of the demo, if anything."""

    NOTHING = "good"
    WRONG_LABEL = "wrong label"
    JUNK = "banner, text slide or chart"
    CARTOON = "cartoon"
    COLLAGE = "collage"
    EXACT_COPY = "exact copy"  # the same bytes under another URL
    SAME_PIXELS = "same pixels as PNG"
    NEAR_COPY = "smaller, recompressed copy"
    CROP = "cropped copy"
    MIRRORED = "mirrored copy"
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
    """All URLs of the demo, in list order: ``per_class`` good pictures per class and about 25 % trouble."""
    found = []
    for label in CLASSES:
        found += list(_good(label, seed, per_class))
        found += list(_trouble(label, seed, found))
    return found


def _good(label: str, seed: int, n: int) -> Iterator[Planted]:
    """Right pictures; one apple or house in 16 is cut out on white, which looks odd among the others and is right all the same."""
    for i in range(n):
        maker = draw_on_white if label in SOLD and i % 16 == 15 else draw
        body = _jpeg(maker(label, seed * 10_000 + i, **_SIZE))
        yield Planted(f"/{label}/{i:03d}.jpg", label, Plant.NOTHING, label, body)


def _trouble(label: str, seed: int, so_far: list[Planted]) -> Iterator[Planted]:
    mine = [p for p in so_far if p.label == label]
    yield from _wrong(label, seed)
    yield from _copies(label, mine)
    if label == CLASSES[-1]:
        first = next(i for i, p in enumerate(so_far) if p.label == CLASSES[0])
        yield Planted(f"/{label}/also.jpg", label, Plant.TWO_CLASSES, CLASSES[0], so_far[first + 11].body)
    body = mine[9].body
    yield Planted(f"/{label}/broken.jpg", label, Plant.BROKEN, None, body[: len(body) // 2])
    page = f"<!doctype html><title>{label}</title><p>This picture has moved.".encode()
    yield Planted(f"/{label}/moved.jpg", label, Plant.HTML, None, page, "image/jpeg")
    yield Planted(f"/{label}/gone.jpg", label, Plant.NOT_FOUND, None, b"not found", "text/plain", 404)


def _wrong(label: str, seed: int) -> Iterator[Planted]:
    """Pictures of another class, and of none."""
    others, at = [c for c in CLASSES if c != label], CLASSES.index(label)
    more = seed * 10_000 + 5_000 + at * 100
    for i in range(3):
        true = others[i % 2]
        yield Planted(f"/{label}/found-{i}.jpg", label, Plant.WRONG_LABEL, true, _jpeg(draw(true, more + i, **_SIZE)))
    for i in range(2):
        body = _jpeg(draw_junk(seed * 100 + at * 2 + i, **_SIZE))
        yield Planted(f"/{label}/banner-{i}.jpg", label, Plant.JUNK, None, body)
    yield Planted(f"/{label}/cartoon.jpg", label, Plant.CARTOON, None, _jpeg(draw_cartoon(label, seed + at, **_SIZE)))
    parts = [draw((label, *others, label)[i], more + 10 + i) for i in range(4)]
    yield Planted(f"/{label}/collage.jpg", label, Plant.COLLAGE, None, _jpeg(draw_collage(parts, **_SIZE)))


def _copies(label: str, mine: list[Planted]) -> Iterator[Planted]:
    """The first pictures again: the same bytes, the same pixels, smaller, cropped, mirrored."""
    for i in range(2):
        yield Planted(f"/mirror/{label}-{i}.jpg", label, Plant.EXACT_COPY, label, mine[i].body)
    yield Planted(f"/{label}/lossless.png", label, Plant.SAME_PIXELS, label, _as_png(mine[5].body), "image/png")
    for i in range(2):
        yield Planted(f"/{label}/small-{i}.jpg", label, Plant.NEAR_COPY, label, _smaller(mine[7 + i].body))
    yield Planted(f"/{label}/part.jpg", label, Plant.CROP, label, _cropped(mine[3].body))
    yield Planted(f"/{label}/turned.jpg", label, Plant.MIRRORED, label, _jpeg(ImageOps.mirror(_open(mine[4].body))))


def _open(body: bytes) -> Image.Image:
    return Image.open(io.BytesIO(body)).convert("RGB")


def _jpeg(image: Image.Image, quality: int = 88) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _as_png(jpeg: bytes) -> bytes:
    out = io.BytesIO()
    _open(jpeg).save(out, "PNG")
    return out.getvalue()


def _smaller(jpeg: bytes) -> bytes:
    image = _open(jpeg)
    return _jpeg(image.resize((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.LANCZOS), 70)


def _cropped(jpeg: bytes) -> bytes:
    """Without an eighth at the left and the top: three quarters of the area."""
    image = _open(jpeg)
    return _jpeg(image.crop((image.width // 8, image.height // 8, image.width, image.height)), 80)
