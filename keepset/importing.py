"""A run config for pictures that are here already: an ImageFolder tree, a table, or what Keepset has exported."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keepset.errors import ConfigError
from keepset.export.names import folder_names
from keepset.files import read_json
from keepset.reasons import Split

__all__ = ["Found", "config_text", "find_pictures", "quoted"]

_SPLITS = {
    "train": Split.TRAIN, "training": Split.TRAIN, "valid": Split.VALID, "val": Split.VALID,
    "validation": Split.VALID, "test": Split.TEST, "testing": Split.TEST,
}  # fmt: skip


@dataclass
class Found:
    """Where each class's pictures are; ``counts``: files by class and split, "" where no split is given."""

    source: Path
    folders: dict[str, list[Path]] = field(default_factory=dict)
    table: Path | None = None
    given: dict[Split, list[Path]] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        return sorted(self.counts)


def find_pictures(source: Path) -> Found:
    """Look at a folder or a CSV. Raises ``ConfigError`` if there are not at least two classes in it."""
    source = source.expanduser().resolve()
    found = Found(source)
    if source.suffix == ".toml" and source.is_file():
        raise ConfigError(f"{source} is a run config already.", f"keepset run {source} --workspace DIR")
    if source.is_file():
        _from_table(found, source)
    elif not source.is_dir():
        raise ConfigError(
            f"There is no {source}.", "Give a folder of pictures, or a CSV with name and label."
        )
    elif (exported := _exported(source)).get("format") == "csv":
        _from_table(found, source / "labels.csv")
    else:
        _from_tree(
            found, {folder: label for label, folder in folder_names(exported.get("classes", [])).items()}
        )
    if len(found.counts) < 2:
        seen = f"only the class '{found.classes[0]}'" if found.counts else "no class"
        raise ConfigError(
            f"A classifier needs at least two classes; in {source} there is {seen}.",
            "Expected: a folder a class, the same inside train/ and valid/, or a CSV with the columns name and label.",
        )
    return found


def _exported(folder: Path) -> dict[str, Any]:
    try:
        facts = read_json(folder / "keepset-export.json")
        return facts if isinstance(facts, dict) else {}
    except (OSError, ValueError):
        return {}


def _from_table(found: Found, path: Path) -> None:
    from keepset.scrape.tables import read_rows

    found.table, missing = path, 0
    for row, side in read_rows(path):
        found.counts.setdefault(row["label"].strip(), Counter())[str(side or "")] += 1
        missing += not (path.parent / row["name"]).is_file()
    if missing:
        found.notes.append(
            f"{missing} rows name a file that is not there; each will be a row with its reason."
        )


def _from_tree(found: Found, labels: dict[str, str]) -> None:
    source = found.source
    inside = _folders(source)
    splits = {p: _SPLITS[p.name.lower()] for p in inside if p.name.lower() in _SPLITS and _folders(p)}
    for top in splits or [source]:
        side = splits.get(top)
        if side is not None:
            found.given.setdefault(side, []).append(top)
        for folder in _folders(top):
            if n := _count(folder):
                label = labels.get(folder.name, folder.name)
                found.folders.setdefault(label, []).append(folder)
                found.counts.setdefault(label, Counter())[str(side or "")] += n
            else:
                found.notes.append(f"{folder.relative_to(source)} is empty and is left out.")
    if splits and (others := [p.name for p in inside if p not in splits]):
        found.notes.append(
            f"Beside the splits there are other folders, which are left out: {', '.join(others)}."
        )
    _tell_of_tables(found)


def _tell_of_tables(found: Found) -> None:
    if (found.source / "cleaned.csv").is_file():
        found.notes.append(
            "There is a cleaned.csv: import that file instead to leave out what it leaves out."
        )


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _count(folder: Path) -> int:
    return sum(1 for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))


# -- the config ------------------------------------------------------------------------------------


def config_text(found: Found, path: Path) -> str:
    """The run config as TOML, for the file ``path``: what lies below its folder is named relative to it."""
    return "\n".join(_lines(found, path.resolve().parent)) + "\n"


def _lines(found: Found, base: Path) -> Iterator[str]:
    yield f"# Made by `keepset import {found.source.name}`. docs/config.md lists every key."
    yield f"name = {quoted(_name(found))}"
    yield from ("seed = 42                                 # same seed, same split, same model", "")
    for label in found.classes:
        yield f"[classes.{quoted(label)}]"
        if found.table is not None:
            yield f"tables = {_paths([found.table], base)}"
        else:
            yield f"folders = {_paths(found.folders[label], base)}"
        yield ""
    most = max(sum(n.values()) for n in found.counts.values())
    if most > 1000:
        yield from ("[scrape]", f"max_per_class = {most}", "")
    yield "[split]"
    given = any(side for of in found.counts.values() for side in of)
    if given:
        yield "# the sides are given: nothing is drawn, and a training copy of a validation picture is set aside"
    for side, key in ((Split.VALID, "valid_folders"), (Split.TEST, "test_folders")):
        if side in found.given:
            yield f"{key} = {_paths(found.given[side], base)}"
    if not given:
        yield "valid = 0.2"
    yield from (
        "",
        "[train]",
        'arch = "lite0+lite1+lite2"                # "lite0" is 4 times as fast; or any timm network',
    )


def _name(found: Found) -> str:
    return (found.source.parent if found.source.is_file() else found.source).name[:100] or "dataset"


def _paths(paths: Iterable[Path], base: Path) -> str:
    return f"[{', '.join(quoted(_relative(p, base)) for p in paths)}]"


def _relative(path: Path, base: Path) -> str:
    return os.path.relpath(path, base) if path.is_relative_to(base) else str(path)


def quoted(value: str) -> str:
    """A TOML basic string, which JSON's is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
