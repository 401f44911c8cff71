"""Pictures as files: an ImageFolder tree, or one folder with a CSV of labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from keepset.export.originals import Originals
from keepset.export.rows import ExportTable
from keepset.export.selection import Selection
from keepset.stages import Progress
from keepset.storage.filenames import folder_names

__all__ = ["write_csv", "write_imagefolder"]

_TORCHVISION = {"jpg", "png", "bmp", "webp"}
"""Of our extensions, those that ``torchvision.datasets.folder.IMG_EXTENSIONS`` has."""


def write_imagefolder(folder: Path, chosen: Selection, originals: Originals, progress: Progress) -> list[str]:
    """``<split>/<class>/<sha256>.<ext>``; every class has its folder in every split, so that all splits number
    the classes alike. ``images.csv`` holds labels and sources."""
    names = folder_names(chosen.labels)
    places = {(s, label): folder / s / names[label] for s in chosen.splits for label in chosen.labels}
    for place in places.values():
        place.mkdir(parents=True)
    kinds: Counter[str] = Counter()
    with ExportTable(folder / "images.csv") as table:
        for item in chosen.items():
            place = places[item.split, item.label]
            name = originals.put(item, place)
            table.add(item, f"{item.split}/{place.name}/{name}")
            kinds[name.rpartition(".")[2]] += 1
            progress.advance()
    return [*_unread(kinds), *_empty(chosen)]


def _unread(kinds: Counter[str]) -> list[str]:
    unread = {k: n for k, n in sorted(kinds.items()) if k not in _TORCHVISION}
    if not unread:
        return []
    words = " and ".join(f"{n} {k}" for k, n in unread.items())
    return [f"torchvision's ImageFolder passes over {words} unless it is given is_valid_file."]


def _empty(chosen: Selection) -> list[str]:
    gaps = [f"{label} in {s}" for s, of in chosen.counts.items() for label in chosen.labels if label not in of]
    if not gaps:
        return []
    words = ", ".join(gaps[:5]) + (f" and {len(gaps) - 5} more" if len(gaps) > 5 else "")
    return [f"No picture of {words}: torchvision's ImageFolder needs allow_empty=True there."]


def write_csv(folder: Path, chosen: Selection, originals: Originals, progress: Progress) -> list[str]:
    """``labels.csv`` (name, label, split, is_valid, and the sources) and ``images/<sha256>.<ext>``."""
    pictures = folder / "images"
    pictures.mkdir()
    with ExportTable(folder / "labels.csv") as table:
        for item in chosen.items():
            table.add(item, f"images/{originals.put(item, pictures)}")
            progress.advance()
    return []
