"""The data sets of the training bench: one folder a class, and one split a seed.

* bears     real photos (``KEEPSET_PHOTOS`` or ``../shared/photos``): black, grizzly, teddy
* digits    scikit-learn's 8 x 8 handwritten digits, enlarged: real, ten classes, far from ImageNet
* drawn     the demo's apples, boats and houses at 43 x 32 pixels under noise
* polygons  5 to 8 corners, turned and among clutter: what frozen features hardly hold
"""

from __future__ import annotations

import csv
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Size:
    """Side of the network's input in pixels, and images to train on, to validate with and to test."""

    px: int
    train: int
    valid: int
    test: int


SIZES = {
    "bears": Size(224, 180, 60, 237),
    "digits": Size(128, 200, 60, 400),
    "drawn": Size(128, 150, 60, 400),
    "polygons": Size(128, 200, 60, 400),
}


def folder_of(name: str, scratch: Path) -> Path | None:
    """The set's folder, made once; None, with a word why, where there are no photos."""
    if name == "bears":
        found = Path(os.environ.get("KEEPSET_PHOTOS", CHECKOUT.parent / "shared" / "photos")) / "bears"
        if not found.is_dir():
            print(f"skipped: no photos at {found}; set KEEPSET_PHOTOS")
            return None
        return found
    folder = scratch / name
    if not folder.is_dir():
        {"digits": _digits, "drawn": _drawn, "polygons": _polygons}[name](folder)
    return folder


def write_rows(folder: Path, name: str, seed: int, out: Path) -> None:
    """``out`` gets path, label and part (train, valid or test), drawn by ``seed``."""
    paths = sorted(p for p in folder.glob("*/*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    size, order = SIZES[name], np.random.default_rng([seed, 5]).permutation(len(paths))
    parts = ["train"] * size.train + ["valid"] * size.valid + ["test"] * size.test
    with out.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["path", "label", "part"])
        for i, part in zip(order.tolist(), parts, strict=False):
            writer.writerow([paths[i], paths[i].parent.name, part])


def _save(image: Image.Image, folder: Path, label: str, i: int) -> None:
    (folder / label).mkdir(parents=True, exist_ok=True)
    image.save(folder / label / f"{i:04d}.png")


def _digits(folder: Path) -> None:
    from sklearn.datasets import load_digits

    data = load_digits()
    for i, (square, label) in enumerate(zip(data.images, data.target, strict=True)):
        grey = Image.fromarray((square * 255 / 16).astype(np.uint8))
        _save(grey.resize((160, 160), Image.Resampling.BICUBIC).convert("RGB"), folder, str(label), i)


def _drawn(folder: Path) -> None:
    from keepset.demo.draw import CLASSES, draw

    for label in CLASSES:
        for i in range(210):
            small = np.asarray(draw(label, 500_000 + i).resize((43, 32)), dtype=np.float64)
            noise = np.random.default_rng([CLASSES.index(label), i]).normal(0, 60, small.shape)
            picture = Image.fromarray(np.clip(small + noise, 0, 255).astype(np.uint8))
            _save(picture.resize((172, 128), Image.Resampling.NEAREST), folder, label, i)


def _polygons(folder: Path) -> None:
    for corners in range(5, 9):
        for i in range(170):
            _save(_polygon(corners, np.random.default_rng([corners, i])), folder, f"{corners} corners", i)


def _polygon(corners: int, rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (320, 320), _color(rng))
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, r = rng.uniform(0, 320), rng.uniform(0, 320), rng.uniform(4, 18)
        pen.ellipse((x - r, y - r, x + r, y + r), _color(rng))
    x, y, radius, turn = *rng.uniform(130, 190, 2), rng.uniform(80, 120), rng.uniform(0, 2 * math.pi)
    angles = [turn + 2 * math.pi * k / corners + rng.uniform(-0.08, 0.08) for k in range(corners)]
    pen.polygon([(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles], _color(rng), _color(rng), 4)
    return image.resize((160, 160), Image.Resampling.LANCZOS)


def _color(rng: np.random.Generator) -> tuple[int, int, int]:
    r, g, b = rng.integers(20, 236, 3).tolist()
    return r, g, b
