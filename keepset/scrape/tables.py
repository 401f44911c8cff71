"""Labelled tables: a file or a web address and a class per row, such as fast.ai's ``cleaned.csv``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from keepset.errors import SourceError
from keepset.reasons import Split, UrlReason
from keepset.scrape.found import Found, Note
from keepset.scrape.lists import read_facts
from keepset.scrape.sides import SIDE_WORDS, is_nothing, side_of, truth_of
from keepset.storage.localfiles import absolute, file_url, path_of, shown, spelled, visible
from keepset.tables import Table, TableRow, is_web_address, open_table, text_at
from keepset.tables.cells import clean_address
from keepset.text import label_of, with_formula

__all__ = ["Labelled", "read_labelled"]

_LOOKED_FOR = 50  # names that a folder is chosen by
_Side = Callable[[TableRow], Split | None]


@dataclass(frozen=True)
class Labelled:
    """One row: what it names, its class ("" if it gives none) and the side it gives."""

    found: Found
    label: str
    side: Split | None


def read_labelled(path: str, note: Note) -> Iterator[Labelled]:
    """Every row of the table. A name is relative to the table's own folder; one that leads out of it is not taken.

    ``note`` gets what was guessed. Raises ``SourceError``, also for a side that is not understood.
    """
    file = path_of(path)
    table = open_table(file)
    root = absolute(file).parent
    _check_columns(table, root)
    base = _base(table, root)
    side = _sides(table)
    for sentence in table.notes:
        note(sentence)
    for rank, row in enumerate(table.rows()):
        label = "" if row.problem else label_of(with_formula(table.text(row, "label")))
        yield Labelled(_found(table, row, (root, base), path, rank, label), label, side(row))


def _check_columns(table: Table, root: Path) -> None:
    name = table.find("name", lambda cell: is_web_address(cell) or os.path.lexists(spelled(root, cell)))
    url = table.find("url", is_web_address)
    missing = "label" if table.find("label") is None else "name" if name is None and url is None else ""
    if missing:
        first = ", ".join(f"'{c}'" for c in table.columns)
        raise SourceError(
            f"The table {shown(table.path)} has no column '{missing}'; its first line is: {first or 'a single cell'}.",
            "The first line must name the columns: name (of the file) or url, and label; as in fast.ai's cleaned.csv.",
        )
    if name is not None and any(isinstance(r.cells[name], dict | bytes) for r in table.sample() if name < len(r.cells)):
        raise SourceError(
            f"The column '{table.columns[name]}' of {shown(table.path)} holds the pictures themselves, not their files.",
            "Save the pictures as files, in one folder per class, and import that folder.",
        )
    table.announce("name", "file name")
    if url is not None and any(is_web_address(text_at(r, url)) for r in table.sample()):
        table.announce("url", "address")
    table.announce("label", "class")


def _base(table: Table, root: Path) -> Path:
    """The folder that names begin at: the table's own, or the only one below it that holds them (``train.csv``, ``train/``)."""
    named = (table.text(r, "name") for r in table.sample()[:_LOOKED_FOR])
    names = [n for n in named if n and not is_web_address(n)]
    if not names or _held(root, names):
        return root
    below = [p for p in _folders(root) if 2 * _held(p, names) > len(names)]
    if len(below) > 1:
        several = ", ".join(shown(p.relative_to(root)) for p in below)
        raise SourceError(
            f"The files that {shown(table.path)} names are in several folders: {several}.",
            "Write the folder in front of each name, as in train/1.jpg.",
        )
    if not below:
        return root
    table.notes.append(f"{shown(table.path.name)}: the files are in {shown(below[0].relative_to(root))}.")
    return below[0]


def _held(folder: Path, names: list[str]) -> int:
    return sum(os.path.lexists(spelled(folder, name)) for name in names)


def _folders(root: Path) -> list[Path]:
    """The visible folders inside, and those inside them."""
    try:
        first = [p for p in visible(root) if p.is_dir()]
        return first + [p for folder in first for p in visible(folder) if p.is_dir()]
    except OSError:
        return []


def _found(table: Table, row: TableRow, folders: tuple[Path, Path], path: str, rank: int, label: str) -> Found:
    root, base = folders
    name, link = with_formula(table.text(row, "name")), table.text(row, "url")
    facts = read_facts(table, row)
    reason, detail = (UrlReason.UNREADABLE, row.problem) if row.problem else (None, None)
    if not label and reason is None:
        reason, detail = UrlReason.NO_LABEL, f"line {row.line} gives no class"
    file = spelled(base, name) if name and not is_web_address(name) else None
    if is_web_address(name) or (is_web_address(link) and (file is None or not os.path.lexists(file))):
        url = clean_address(name if is_web_address(name) else link)
        return Found(url, "list", shown(table.path.name), rank, reason=reason, detail=detail, **facts)
    if file is None:
        reason, detail = reason or UrlReason.UNREADABLE, detail or f"line {row.line} names no file"
        return Found("", "table", path, rank, reason=reason, detail=detail, **facts)
    inside = file.is_relative_to(root) and "\0" not in name
    return Found(file_url(file) if inside else name, "table", path, rank, reason=reason, detail=detail, **facts)


# -- sides -----------------------------------------------------------------------------------------


def _sides(table: Table) -> _Side:
    """How a row gives its side. Raises ``SourceError`` for words that are not understood, and names them."""
    given = [r for r in ("is_test", "is_valid", "is_train") if table.find(r) is not None]
    if table.find("split") is not None:
        says = _by_word(table, "split")
        if any(_by_truth(table, r, given) not in (None, says(r)) for r in table.sample()):
            table.notes.append(f"{shown(table.path.name)}: the split is taken from the column 'split' only.")
        return says
    if (column := table.find("maybe_split")) is not None:
        values = _values(table, "maybe_split")
        used = bool(values) and all(side_of(v) for v in values)
        table.notes.append(
            f"{shown(table.path.name)}: the column '{table.columns[column]}' is {'' if used else 'not '}used as the split."
        )
        if used:
            return _by_word(table, "maybe_split")
    for role in given:
        _check(table, role, lambda v: truth_of(v) is not None, "true or false (or 1 and 0, yes and no)")
    return (lambda row: _by_truth(table, row, given)) if given else (lambda row: None)


def _by_word(table: Table, role: str) -> _Side:
    _check(table, role, lambda v: side_of(v) is not None, SIDE_WORDS)
    return lambda row: side_of(table.text(row, role))


def _by_truth(table: Table, row: TableRow, given: list[str]) -> Split | None:
    says = {role: truth_of(table.text(row, role)) for role in given}
    if says.get("is_test"):
        return Split.TEST
    if says.get("is_valid"):
        return Split.VALID
    if says.get("is_train") is False:
        return None if {"is_test", "is_valid"} & says.keys() else Split.TEST
    return None if all(v is None for v in says.values()) else Split.TRAIN


def _values(table: Table, role: str) -> Counter[str]:
    return Counter(v for r in table.rows() if not is_nothing(v := table.text(r, role)))


def _check(table: Table, role: str, understood: Callable[[str], bool], wanted: str) -> None:
    wrong = [v for v in _values(table, role) if not understood(v)]
    if not wrong:
        return
    column = table.find(role)
    name = table.columns[column] if column is not None else role
    raise SourceError(
        f"The column '{name}' of the table {shown(table.path)} holds values that are not understood: "
        f"{', '.join(repr(v) for v in wrong[:5])}.",
        f"Write {wanted}; or rename the column if it does not give the split.",
    )
