"""A run config for pictures that are here already: a tree of folders, a table, or what Keepset has exported."""

from __future__ import annotations

import json
import os
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from keepset.config import check_config
from keepset.errors import ConfigError
from keepset.files import read_json
from keepset.importing.layouts import LocalPictures, labelled_tables, quoted, read_tree
from keepset.reasons import Split
from keepset.storage.filenames import folder_names
from keepset.storage.localfiles import absolute, config_path, path_of, shown
from keepset.text import label_of, many, one_line

__all__ = ["ARCH_LINE", "LocalPictures", "config_text", "find_pictures", "toml_string"]

ARCH_LINE = """\
arch = "lite0+lite1+lite2"                # "lite0" is 3 times as fast
# weights = "hub"                         # needed for other timm networks, e.g. arch = "resnet34": downloads weights once"""


def find_pictures(source: Path) -> LocalPictures:
    """Look at a folder or a table. Raises ``ConfigError`` if there are not at least two classes in it."""
    source = absolute(os.path.expanduser(source))  # noqa: PTH111 - it never raises
    found = LocalPictures(source)
    if source.suffix == ".toml" and source.is_file():
        raise ConfigError(f"{shown(source)} is a run config already.", f"Run it: keepset run {quoted(source)}")
    if source.is_file():
        _from_table(found, source)
    elif not source.is_dir():
        raise ConfigError(
            f"There is no {shown(source)}.", "Give a folder of pictures, or a table with the columns name and label."
        )
    elif (exported := _exported(source)).get("format") == "csv":
        _from_table(found, source / "labels.csv")
    else:
        labels = exported.get("classes")
        known = [x for x in labels if isinstance(x, str)] if isinstance(labels, list) else []
        _from_tree(found, {folder: label for label, folder in folder_names(known).items()})
    if len(found.counts) < 2:
        seen = f"only the class '{found.classes[0]}'" if found.counts else "no class"
        tables = labelled_tables(source) if source.is_dir() else []
        raise ConfigError(
            " ".join((f"A classifier needs at least two classes; in {shown(source)} there is {seen}.", *found.notes)),
            f"Import the table that gives the classes: keepset import {quoted(tables[0])}"
            if tables
            else "Expected: one folder per class, the same inside train/ and valid/, or a table with the columns name and label.",
        )
    return found


def _exported(folder: Path) -> dict[str, Any]:
    try:
        facts = read_json(folder / "keepset-export.json")
        return facts if isinstance(facts, dict) else {}
    except (OSError, ValueError):
        return {}


def _from_table(found: LocalPictures, path: Path) -> None:
    from keepset.scrape.border import address
    from keepset.scrape.tables import read_labelled

    found.table = path
    odd: dict[str, list[str]] = {}
    for row in read_labelled(config_path(path), found.notes.append):
        url, reason, detail = address(row.found)
        if row.label:
            found.counts.setdefault(row.label, Counter())[str(row.side or "")] += 1
        if reason is not None:
            odd.setdefault(f"{reason}", []).append(detail or url)
        elif url.startswith("file:") and not path_of(url).is_file():
            odd.setdefault("no such file", []).append(shown(path_of(url).name))
    for why, examples in odd.items():
        found.notes.append(
            f"{many(len(examples), 'row')} cannot be taken ({why}: {'; '.join(examples[:3])}"
            f"{' ...' if len(examples) > 3 else ''}); each will be a row with its reason."
        )
    untaught = [c for c, of in sorted(found.counts.items()) if found.sides and not of[""] + of[Split.TRAIN]]
    if untaught:
        found.notes.append(
            f"No row for training: {', '.join(untaught)}. Remove these classes from the config, or add rows."
        )
    if found.sides and (without := sum(of[""] for of in found.counts.values())):
        found.notes.append(f"{many(without, 'row')} without a side of the split: used for training.")


def _from_tree(found: LocalPictures, labels: dict[str, str]) -> None:
    read_tree(found, labels)
    tables = [] if labels else [shown(t.name) for t in labelled_tables(found.source)]
    if "cleaned.csv" in tables:
        found.notes.append("There is a cleaned.csv: import that file instead to leave out what it leaves out.")
    elif tables:
        found.notes.append(f"Classes are also in {', '.join(tables)}: to use them, import that file instead.")


# -- the config ------------------------------------------------------------------------------------


def config_text(found: LocalPictures, path: Path) -> str:
    """The run config as TOML, for the file ``path``: what lies below its folder is named relative to it.

    Raises ``ConfigError`` for classes that no run config takes, such as two names for one class.
    """
    base = path.resolve().parent
    text = "\n".join(_lines(found, base)) + "\n"
    try:
        check_config(tomllib.loads(text), base=base, where=shown(found.source))
    except ConfigError as e:
        what = e.message.partition("\n")[2] or e.message
        raise ConfigError(
            f"The classes in {shown(found.source)} cannot be used:\n{what}",
            "Rename the folders, or the classes in the table, then import again.",
        ) from e
    return text


def _lines(found: LocalPictures, base: Path) -> Iterator[str]:
    yield f"# Written by Keepset for {one_line(shown(found.source.name))}. `keepset docs config` lists every key."
    yield f"name = {toml_string(_name(found))}"
    yield from ("seed = 42                                 # same seed, same split, same model", "")
    for label in found.classes:
        yield f"[classes.{toml_string(label)}]"
        if found.table is not None:
            yield f"tables = {_paths([found.table], base)}"
        else:
            yield f"folders = {_paths(found.folders[label], base)}"
        yield ""
    most = max(sum(n.values()) for n in found.counts.values())
    if most > 1000:
        yield from ("[scrape]", f"max_per_class = {most}", "")
    yield "[split]"
    if Split.VALID in found.sides:
        yield "# the sides are given: nothing is drawn, and a training copy of a validation picture is set aside"
    elif found.sides:
        yield "# drawn by seed from the pictures for training: the source gives no validation set"
    for side, key in ((Split.VALID, "valid_folders"), (Split.TEST, "test_folders")):
        if side in found.given:
            yield f"{key} = {_paths(found.given[side], base)}"
    if Split.VALID not in found.sides:
        yield "valid = 0.2"
    yield from ("", "[train]", ARCH_LINE)


def _name(found: LocalPictures) -> str:
    folder = found.source.parent if found.source.is_file() else found.source
    return label_of(shown(folder.name))[:100] or "dataset"


def _paths(paths: Iterable[Path], base: Path) -> str:
    return f"[{', '.join(toml_string(_relative(p, base)) for p in paths)}]"


def _relative(path: Path, base: Path) -> str:
    """Relative to ``base`` where it is below, and as a ``file:`` URL where TOML cannot hold its bytes."""
    text = config_path(path)
    return os.path.relpath(path, base) if text == str(path) and path.is_relative_to(base) else text


def toml_string(value: str) -> str:
    """A TOML basic string, which JSON's is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
