"""Photo-like JPEGs, drawn: sizes and bytes as web photos have them (mean about 0.53 megapixels and 91 kB)."""

from __future__ import annotations

import io
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["photo", "photos"]

_SIZES = ((640, 480), (800, 600), (1024, 768), (600, 800), (500, 375), (1024, 683), (720, 960))


def photo(number: int) -> bytes:
    """The same bytes for the same number: a few fields of light, each finer and weaker, and grain."""
    rng = np.random.default_rng(number)
    width, height = _SIZES[number % len(_SIZES)]
    light = np.zeros((height, width, 3), np.float32)
    for cells, weight in ((3, 70), (9, 40), (27, 26), (81, 18), (200, 11)):
        field = rng.normal(0, weight, (cells, cells, 3)).astype(np.float32)
        layers = [Image.fromarray(field[..., c]).resize((width, height), Image.Resampling.BICUBIC) for c in range(3)]
        light += np.stack([np.asarray(layer) for layer in layers], -1)
    light += 128 + rng.normal(0, 2.0, (height, width, 1)).astype(np.float32)
    out = io.BytesIO()
    Image.fromarray(light.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=84)
    return out.getvalue()


def photos(count: int, folder: Path) -> list[bytes]:
    """``count`` photos, drawn once and kept in ``folder``: drawing them takes longer than most benches."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(count) if not (folder / f"{i}.jpg").exists()]
    with ProcessPoolExecutor() as pool:
        for i, data in zip(missing, pool.map(photo, missing, chunksize=20), strict=True):
            (folder / f"{i}.jpg").write_bytes(data)
    return [(folder / f"{i}.jpg").read_bytes() for i in range(count)]
