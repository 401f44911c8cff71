"""One picture of all that was planted, to look at."""

from __future__ import annotations

import csv
from pathlib import Path

from PIL import Image, ImageDraw

from bench.review.noise.planting import Planted

__all__ = ["sheet"]

_TILE, _COLUMNS = 150, 12


def sheet(made: Planted, out: Path) -> None:
    """What is wrong, then pairs, then innocents, each with its name; nothing if it is there."""
    if out.exists():
        return
    tiles = [(r["file"], r["note"]) for r in rows(made.truth)]
    tiles += [(r[side], r["kind"]) for r in rows(made.pairs) for side in ("file_a", "file_b")]
    tiles += [(r["file"], r["kind"]) for r in rows(made.innocents)]
    page = Image.new("RGB", (_COLUMNS * _TILE, -(-len(tiles) // _COLUMNS) * (_TILE + 14)), (80, 80, 80))
    for i, (file, name) in enumerate(tiles):
        x, y = i % _COLUMNS * _TILE, i // _COLUMNS * (_TILE + 14)
        with Image.open(made.folder / file) as image:
            small = image.convert("RGB")
        small.thumbnail((_TILE - 4, _TILE - 4))
        page.paste(small, (x, y))
        ImageDraw.Draw(page).text((x, y + _TILE - 2), name, fill=(255, 255, 0))
    page.save(out, quality=85)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))
