"""COCO-like JSON: a file a split, with licences; each picture has one annotation, which is its whole area.

The format: https://cocodataset.org/#format-data. It has no place for a picture's class, so the class is that of a
box over everything. The two long lists are written item by item: memory does not grow with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from keepset.export.originals import Originals
from keepset.export.rows import facts
from keepset.export.selection import ExportedImage, Selection
from keepset.stages import Progress

__all__ = ["write_coco"]

Json = dict[str, Any]


def write_coco(folder: Path, chosen: Selection, originals: Originals, progress: Progress) -> list[str]:
    """``annotations/<split>.json`` beside ``images/<split>/<sha256>.<ext>``. Category ids begin with 1."""
    (folder / "annotations").mkdir()
    licenses = _licenses(chosen)
    categories = [{"id": i, "name": c, "supercategory": ""} for i, c in enumerate(chosen.labels, 1)]
    numbers = {label: i for i, label in enumerate(chosen.labels, 1)}
    for split in chosen.splits:
        pictures = folder / "images" / split
        pictures.mkdir(parents=True)

        def images(split: str = split, pictures: Path = pictures) -> Iterator[Json]:
            for number, item in enumerate(chosen.items(split), 1):
                yield _image(item, number, originals.put(item, pictures), licenses)
                progress.advance()

        def annotations(split: str = split) -> Iterator[Json]:
            for number, item in enumerate(chosen.items(split), 1):
                yield _annotation(item, number, numbers[item.label])

        with (folder / "annotations" / f"{split}.json").open("w", encoding="utf-8") as out:
            _write(
                out,
                {"info": _info(chosen, split), "licenses": list(licenses.values()), "categories": categories},
                {"images": images, "annotations": annotations},
            )
    return []


def _info(chosen: Selection, split: str) -> Json:
    return {
        "description": f"{chosen.ws.name}, {split}", "version": str(chosen.revision), "contributor": "keepset",
        "keepset": {"revision": chosen.revision, "split": split},
    }  # fmt: skip


def _licenses(chosen: Selection) -> dict[tuple[str, str], Json]:
    """By (licence, its URL); what nobody named has its own entry, for "not known" is not "free"."""
    found = sorted({_license(i) for i in chosen.items()})
    return {key: {"id": n, "name": key[0] or "not known", "url": key[1]} for n, key in enumerate(found, 1)}


def _license(item: ExportedImage) -> tuple[str, str]:
    return item.license or "", item.license_url or ""


def _image(item: ExportedImage, number: int, name: str, licenses: Mapping[tuple[str, str], Json]) -> Json:
    more = {k: v for k, v in facts(item).items() if k not in ("width", "height", "license", "license_url")}
    return {
        "id": number, "file_name": name, "width": item.width, "height": item.height,
        "license": licenses[_license(item)]["id"], "coco_url": item.url or "", **more,
    }  # fmt: skip


def _annotation(item: ExportedImage, number: int, category: int) -> Json:
    width, height = item.width or 0, item.height or 0
    return {
        "id": number, "image_id": number, "category_id": category, "bbox": [0, 0, width, height],
        "area": width * height, "iscrowd": 0, "segmentation": [],
    }  # fmt: skip


def _write(out: TextIO, short: Json, long: Mapping[str, Callable[[], Iterable[Json]]]) -> None:
    out.write("{\n")
    out.write(",\n".join(f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in short.items()))
    for key, rows in long.items():
        out.write(f",\n{json.dumps(key)}: [")
        for n, row in enumerate(rows()):
            out.write(("," if n else "") + "\n" + json.dumps(row, ensure_ascii=False))
        out.write("\n]")
    out.write("\n}\n")
