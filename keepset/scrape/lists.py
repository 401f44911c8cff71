"""URL lists: text, CSV, JSON, Excel or Parquet, as messy as browsers and people make them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from keepset.errors import SourceError
from keepset.reasons import UrlReason
from keepset.scrape.found import Found, Note
from keepset.storage.localfiles import path_of, shown
from keepset.tables import Table, TableRow, is_web_address, open_table, text_at
from keepset.tables.cells import address_in
from keepset.tables.columns import normal
from keepset.text import label_of

__all__ = ["read_facts", "read_list"]

_FACTS = ("title", "creator", "license", "license_url", "landing_page", "width", "height", "sha1", "thumbnail")
_SURE_LABELS = ("label", "labels", "class_name", "class_label", "label_name")


def read_list(path: str, label: str, note: Note) -> Iterator[Found]:
    """Each line, or each row of a table with a column of addresses. Of a table with classes, the rows of ``label``.

    ``note`` gets what was guessed. Raises ``SourceError`` for a file that is no list at all.
    """
    file = path_of(path)
    table = open_table(file)
    column = _address_column(table)
    mine = _label_column(table, label)
    if table.columns:
        table.announce("url", "address")
    for sentence in table.notes:
        note(sentence)
    place, rank, good = shown(file.name), 0, 0
    for rank, row in enumerate(table.rows(), 1):
        url = text_at(row, column)
        reason, detail = (UrlReason.UNREADABLE, row.problem) if row.problem else (None, None)
        if mine is not None and label_of(given := table.text(row, "label")) != label:
            reason, detail = UrlReason.OTHER_CLASS, f"its label is '{given}'" if given else "it has no label"
        good += reason is None and is_web_address(address_in(url))
        yield Found(url, "list", place, rank - 1, reason=reason, detail=detail, **read_facts(table, row))
    if not good:
        what = f"none of its {rank} lines is a web address" if rank else "it is empty"
        note(f"The URL list {shown(file.name)} gives the class '{label}' no picture: {what}.")


def read_facts(table: Table, row: TableRow) -> dict[str, Any]:
    """What a table says about a picture besides its place and class."""
    return {k: table.text(row, k) or None for k in _FACTS}


def _address_column(table: Table) -> int:
    """The column of addresses: by its name, else by its cells. Raises ``SourceError`` if there is none, or several."""
    if not table.columns:
        return 0
    sample = table.sample()
    hits = [sum(is_web_address(text_at(r, c)) for r in sample) for c in range(len(table.columns))]
    named = table.candidates("url")
    if len(named) > 1 or (named and (hits[named[0]] or not any(hits))):
        found = table.find("url", is_web_address)
        if found is not None:
            return found
    full = [c for c, n in enumerate(hits) if 2 * n > len(sample)] or [c for c, n in enumerate(hits) if n]
    names = ", ".join(f"'{c}'" for c in table.columns if c)
    if not full:
        raise SourceError(
            f"The URL list {shown(table.path)} has no column of addresses; its columns are: {names}.",
            "Name the column of the pictures' addresses 'url'.",
        )
    if len(full) > 1:
        several = ", ".join(f"'{table.columns[c]}'" if table.columns[c] else f"column {c + 1}" for c in full)
        raise SourceError(
            f"The URL list {shown(table.path)} has several columns of addresses: {several}.",
            "Name the column of the pictures' addresses 'url' in a first line.",
        )
    name = f"the column '{table.columns[full[0]]}'" if table.columns[full[0]] else f"column {full[0] + 1}"
    table.notes.append(f"{shown(table.path.name)}: addresses are taken from {name}.")
    return full[0]


def _label_column(table: Table, label: str) -> int | None:
    """The column that says which class a row is of, if the rows are to be told apart by it."""
    column = table.find("label")
    if column is None:
        return None
    labels = Counter(label_of(table.text(r, "label")) for r in table.rows())
    labels.pop("", None)
    if label in labels:
        if others := [x for x in labels if x != label]:
            total = sum(labels[x] for x in others)
            table.notes.append(
                f"{shown(table.path.name)}: of {labels.total()} rows with a class, {total} are of others "
                f"({_some(others)}) and not taken for '{label}'."
            )
        return column
    name = table.columns[column]
    if labels and normal(name) in _SURE_LABELS:
        raise SourceError(
            f"The URL list {shown(table.path)} has no row of the class '{label}'; its column '{name}' holds: "
            f"{_some(list(labels))}.",
            "Write the class as that column does, or rename the column if it does not hold classes.",
        )
    if labels:
        table.notes.append(f"{shown(table.path.name)}: the column '{name}' is not used; it never says '{label}'.")
    return None


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
