"""The README of an export: what is in it, how to load it, where it came from, and whom to credit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from keepset.card import facts as card_facts
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
    "coco": """\
from pycocotools.coco import COCO

train = COCO("annotations/train.json")  # one annotation a picture: its class, over the whole area""",
}
_HUB = {
    "cc0": "cc0-1.0", "pdm": "other", "cc-by-4.0": "cc-by-4.0", "cc-by-3.0": "cc-by-3.0", "cc-by-2.0": "cc-by-2.0",
    "cc-by-sa-4.0": "cc-by-sa-4.0", "cc-by-sa-3.0": "cc-by-sa-3.0", "cc-by-nc-4.0": "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0": "cc-by-nc-sa-4.0", "cc-by-nd-4.0": "cc-by-nd-4.0", "cc-by-nc-nd-4.0": "cc-by-nc-nd-4.0",
}  # fmt: skip
"""Licence names that the Hugging Face hub knows."""


def write_readme(folder: Path, form: str, chosen: Selection, notes: Sequence[str]) -> None:
    card = card_facts(chosen.ws, chosen.revision)
    lines = [*_lines(form, chosen, card, notes)]
    if form == "huggingface":
        lines = [*_front(huggingface.front_matter(chosen), card), *lines]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _front(facts: Mapping[str, Any], card: Mapping[str, Any]) -> Iterator[str]:
    """YAML, of which JSON is a part."""
    known = {
        _HUB.get(r["license"], "unknown" if r["license"] == "unknown" else "other") for r in card["licenses"]
    }
    facts = dict(facts) | {"license": known.pop() if len(known) == 1 else "other"}
    yield "---"
    yield from (f"{k}: {json.dumps(v, ensure_ascii=False)}" for k, v in facts.items())
    yield "---"


def _lines(form: str, chosen: Selection, card: Mapping[str, Any], notes: Sequence[str]) -> Iterator[str]:
    out = chosen.left_out
    yield from (f"# {_plain(chosen.ws.name)}", "")
    yield f"{chosen.total} pictures in {len(chosen.labels)} classes: revision {chosen.revision}, exported by Keepset."
    yield f"Left out of it: {out['deleted']} deleted, {out['exact_copies']} exact copies, {out['other_splits']} of other splits."
    yield "The files are the originals, byte for byte; each is named by its sha256."
    yield from ("", "```python", _LOAD[form], "```", "")
    yield from (f"* {note}" for note in notes)
    yield from ("", "## Classes", "", *_table(("class", *chosen.splits), _classes(chosen)))
    yield from ("", "## Licences and credits", "")
    yield "Each picture keeps its own licence; its creator, licence and address are with it. Of the whole revision:"
    licenses = [
        (r["license"], r["url"] or "", r["images"], ", ".join(r["names"][:10])) for r in card["licenses"]
    ]
    yield from ("", *_table(("licence", "", "pictures", "creators, the most frequent first"), licenses))
    yield from ("", "## Where it came from", "")
    sources = [(r["label"], r["source"], r["query"], r["images"]) for r in card["sources"]]
    yield from _table(("class", "source", "place or search", "pictures"), sources)
    yield from ("", "## Revisions", "")
    history = [(r["revision"], r["cause"], r["images"], r["who"], r["why"]) for r in card["revisions"]]
    yield from _table(("revision", "cause", "pictures", "who", "why"), history)


def _classes(chosen: Selection) -> Iterator[tuple[Any, ...]]:
    for label in chosen.labels:
        yield label, *(chosen.counts[s].get(label, 0) for s in chosen.splits)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(_plain(c) for c in row)} |"


def _plain(text: Any) -> str:
    """Text of strangers, so that it is neither markup nor a new cell."""
    flat = " ".join(str(text).split())
    for sign in "\\`*_[]<>|":
        flat = flat.replace(sign, f"\\{sign}")
    return flat
