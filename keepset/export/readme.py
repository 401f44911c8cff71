"""The README of an export: what is in it, how to load it, where it came from, and whom to credit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from keepset.card import write_card
from keepset.card.page import page
from keepset.export import huggingface
from keepset.export.selection import Selection

__all__ = ["write_readme"]

_LOAD = {
    "imagefolder": """\
from torchvision.datasets import ImageFolder

train = ImageFolder("train")  # classes in the order of train.classes; sources and licences: images.csv""",
    "csv": """\
import pandas as pd

labels = pd.read_csv("labels.csv")  # name, label, split, is_valid, sources and licences""",
    "webdataset": """\
import webdataset as wds

train = wds.WebDataset("train-000000.tar").decode("pil").to_tuple("jpg;png;webp;gif;bmp;avif", "cls", "json")""",
    "huggingface": """\
from datasets import load_dataset

data = load_dataset("FOLDER")  # this folder; or upload it: hf upload NAME FOLDER --repo-type dataset""",
}


def write_readme(folder: Path, form: str, chosen: Selection, notes: Sequence[str]) -> None:
    """The data set card, with what is particular to this export; and the table of whom to credit."""
    card = write_card(chosen.ws, folder, revision=chosen.revision)
    more = huggingface.front_matter(chosen) if form == "huggingface" else None
    text = page(card.facts, more) + "\n" + "\n".join(_lines(form, chosen, notes))
    card.page.write_text(text.lstrip("\n") + "\n", encoding="utf-8")


def _lines(form: str, chosen: Selection, notes: Sequence[str]) -> Iterator[str]:
    out = chosen.left_out
    counts = ", ".join(f"{sum(of.values())} {split}" for split, of in chosen.counts.items())
    yield from ("## This export", "")
    yield f"{chosen.total} pictures ({counts}) as `{form}`. Left out of revision {chosen.revision}: {out['deleted']} that are"
    yield f"not in use, {out['exact_copies']} exact copies of a better one, {out['other_splits']} of splits that were not asked for."
    yield "The files are the originals, byte for byte; each is named by its sha256."
    yield from ("", "```python", _LOAD[form], "```")
    if notes:
        yield from ("", *(f"* {note}" for note in notes))
