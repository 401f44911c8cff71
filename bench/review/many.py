"""A set of some thousand photos out of some hundred: several views of each, with web noise planted among them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

from bench.review.noise.base import Base, opened
from bench.review.noise.planting import Condition, Planted, planted
from bench.review.runs import Reviewed, reviewed

__all__ = ["many", "no_copies", "views"]

VIEWS = 6
_AREA = (0.45, 0.75)  # of the photo that a view shows


def views(base: Base, folder: Path) -> Base:
    """``VIEWS`` pictures of each photo: another part of it, half of them mirrored, in other light."""
    files: dict[str, list[Path]] = {}
    for label, photos in base.files.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        files[label] = [p for photo in photos for p in _views(photo, folder / label)]
    return Base(f"{base.name}-views", files)


def _views(photo: Path, folder: Path) -> Iterator[Path]:
    for i in range(VIEWS):
        path = folder / f"{photo.stem}-{i}.jpg"
        if not path.exists():
            rng = random.Random(f"{folder.name}:{photo.name}:{i}")
            _view(rng, opened(photo)).save(path, quality=rng.randint(75, 92))
        yield path


def _view(rng: random.Random, photo: Image.Image) -> Image.Image:
    side = rng.uniform(*_AREA) ** 0.5
    width, height = int(photo.width * side), int(photo.height * side)
    left, top = rng.randint(0, photo.width - width), rng.randint(0, photo.height - height)
    view = photo.crop((left, top, left + width, top + height))
    view = ImageOps.mirror(view) if rng.random() < 0.5 else view
    for change in (ImageEnhance.Brightness, ImageEnhance.Color, ImageEnhance.Contrast):
        view = change(view).enhance(rng.uniform(0.75, 1.25))
    return view


def many(base: Base, folder: Path, *, images: int, junk: int, cache: Path) -> tuple[Reviewed, Planted]:
    """About ``images`` pictures, ``junk`` of them junk, through the product's stages. Views of one photo are not looked for
    as copies: they stand for different photos."""
    classes = len(base.files)
    good = (images - junk) // classes
    condition = Condition(
        "junk", junk=junk / (good * classes), copies=0.0, bursts=0.0, innocents=0.05, per_class=good, seed=7
    )
    made = planted(views(base, folder / "views"), condition, folder / "made")
    with no_copies():
        return reviewed(made.folder, folder / "workspace", epochs=0, cache=cache), made


@contextmanager
def no_copies() -> Iterator[None]:
    """Within it no picture counts as a copy of another."""
    from keepset.validate import copies

    find = copies.find
    copies.find = lambda *_: ({}, 0)  # type: ignore[assignment]
    try:
        yield
    finally:
        copies.find = find
