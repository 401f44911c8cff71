"""The photos that noise is planted among: class folders, without what a truth file says is bad, and one of each copy."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from bench.review.noise.cutting import cut_out
from bench.review.noise.ink import Photo, Subject
from bench.review.truth import linked, read_truth
from keepset.importing import find_pictures

__all__ = ["Base", "Reserve", "clean_base", "drawn_base", "opened"]

_LONGEST = 1000  # pixels of a photo that is worked on
_RESERVE = 0.15  # of each class at least


@dataclass(frozen=True)
class Base:
    """Files by class, and a name for what they are."""

    name: str
    files: dict[str, list[Path]]

    def key(self) -> str:
        said = [f"{label}/{p.name}:{p.stat().st_size}" for label, files in self.files.items() for p in files]
        return hashlib.sha256("\n".join([self.name, *said]).encode()).hexdigest()[:12]


def clean_base(folder: Path, truth: Path | None, pairs: Path | None) -> Base:
    """Raises ``ConfigError`` as ``find_pictures`` and ``read_truth`` do."""
    found = find_pictures(folder)
    left_out: set[str] = set()
    if truth is not None:
        said = read_truth(truth, pairs, found.classes)
        left_out = {v.file for v in said.verdicts}
        for group in linked((p.a, p.b) for p in said.pairs):
            left_out |= set(sorted(group)[1:])
    files: dict[str, list[Path]] = {}
    for label, folders in sorted(found.folders.items()):
        every = sorted(p for d in folders for p in d.rglob("*") if p.is_file())
        files[label] = [p for p in every if p.relative_to(found.source).as_posix() not in left_out and _opens(p)]
    return Base(folder.resolve().name, files)


def _opens(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return min(image.size) >= 100
    except (OSError, UnidentifiedImageError):
        return False


def drawn_base(folder: Path, per_class: int) -> Base:
    """The demo's pictures, for machines without photos."""
    from keepset.demo.draw import CLASSES, draw

    files: dict[str, list[Path]] = {}
    for label in CLASSES:
        (folder / label).mkdir(parents=True, exist_ok=True)
        files[label] = [folder / label / f"{i:04d}.jpg" for i in range(per_class)]
        for i, path in enumerate(files[label]):
            if not path.exists():
                draw(label, 700_000 + i).save(path, quality=92)
    return Base("drawn", files)


def opened(path: Path) -> Image.Image:
    """RGB, upright, at most ``_LONGEST`` pixels long."""
    with Image.open(path) as image:
        image.draft("RGB", (_LONGEST, _LONGEST))
        upright = ImageOps.exif_transpose(image).convert("RGBA")
    ground = Image.new("RGB", upright.size, (255, 255, 255))
    ground.paste(upright, (0, 0), upright)
    ground.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    return ground


class Reserve:
    """Photos that are not in the set themselves, and are set into what is drawn: one after the other, by class."""

    def __init__(self, base: Base, per_class: int, seed: str) -> None:
        rng = random.Random(seed)
        self.used: dict[str, list[Path]] = {}
        self.kept: dict[str, list[Path]] = {}
        self.at: dict[str, int] = {}
        for label, files in base.files.items():
            every = rng.sample(files, len(files))
            n = min(per_class, int(len(every) * (1 - _RESERVE)))
            self.used[label], self.kept[label], self.at[label] = every[:n], every[n:], 0

    def photo(self, label: str) -> Photo:
        def next_one(_: random.Random) -> Image.Image:
            self.at[label] += 1
            return opened(self.kept[label][self.at[label] % len(self.kept[label])])

        return next_one

    def subject(self, label: str, other: str) -> Subject:
        photo = self.photo(label)

        def cut(rng: random.Random) -> Image.Image | None:
            for _ in range(4):
                if (found := cut_out(photo(rng))) is not None:
                    return found
            return None

        return Subject(label, other, photo, self.photo(other), cut)
