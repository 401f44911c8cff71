"""Where the pictures of a batch prediction come from: the data set, a folder, or a table of paths or URLs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from keepset import manifests
from keepset.errors import ConfigError, SourceError
from keepset.manifests.rows import BatchInputRow
from keepset.predict.remote import is_url
from keepset.storage import locate
from keepset.storage.localfiles import hidden, spelled
from keepset.storage.localfiles import path_of as local_path
from keepset.tables import Table, is_web_address, open_table, text_at
from keepset.tables.cells import clean_address
from keepset.tables.columns import normal
from keepset.text import without_surrogates
from keepset.workspace import Workspace

__all__ = ["is_list", "list_inputs", "path_of"]

_COLUMNS = ("path", "url", "input", "name", "file_name")
"""Columns that hold a picture's place; the first one that a table has is taken."""
_TABLES = (".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".xlsx", ".parquet")


def is_list(path: Path) -> bool:
    """Whether ``list_inputs`` is meant to read it: a folder, a table, a text file, or nothing that is there."""
    return path.suffix.lower() in (*_TABLES, ".txt") or path.is_dir() or not path.exists()


def list_inputs(ws: Workspace, source: Path | None) -> Iterator[BatchInputRow]:
    """Rows of ``batch_inputs``. ``source``: a folder, a table, a text file with a place per line; None: the active data set.

    A folder is walked in sorted order, hidden files left out and links followed; a table's relative paths begin at its
    own folder. Raises ``ConfigError`` or ``ManifestMissing``.
    """
    if source is None:
        return _dataset(ws)
    if source.is_dir():
        return _folder(source)
    if not source.is_file():
        raise ConfigError(
            f"There is no {without_surrogates(str(source))}.",
            "Give a folder, or a table (CSV, JSON, Excel, Parquet) of paths or URLs.",
        )
    return (_of(text, spelled(source.parent, text)) for text in _places(source) if text)


def _dataset(ws: Workspace) -> Iterator[BatchInputRow]:
    path = ws.dataset((ws.revisions() or [1])[-1])
    for r in manifests.each(path, "dataset", ("sha256", "active")):
        if r["active"]:
            yield {"input": r["sha256"], "place": str(ws.blob(r["sha256"])), "stamp": ""}


def _folder(folder: Path) -> Iterator[BatchInputRow]:
    seen: set[tuple[int, int]] = set()
    for here, inside, files in os.walk(folder, followlinks=True):
        facts = os.stat(here)  # noqa: PTH116 - a million Path objects are slow
        if (facts.st_dev, facts.st_ino) in seen:  # a link to what was walked already
            inside.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        inside[:] = sorted(d for d in inside if not hidden(d))
        for name in sorted(f for f in files if not hidden(f)):
            path = os.path.join(here, name)  # noqa: PTH118
            yield _of(path, Path(path).absolute())


def _of(text: str, path: Path) -> BatchInputRow:
    if is_url(text):
        return {"input": without_surrogates(text), "place": without_surrogates(text), "stamp": ""}
    try:
        facts = path.stat()
        stamp = f"{facts.st_size}:{facts.st_mtime_ns}"
    except (OSError, ValueError):  # it becomes a row with its reason
        stamp = ""
    return {"input": without_surrogates(text), "place": _place(path), "stamp": stamp}


def _place(path: Path) -> str:
    """As text that a manifest can hold: a name that is no UTF-8 as a URI, whose escapes are its bytes."""
    text = str(path)
    return path.as_uri() if without_surrogates(text) != text else text


def path_of(place: str) -> Path:
    """The file, or the object of a store, that a row's ``place`` means."""
    return local_path(place) if place.startswith("file:") else locate(place)


def _places(file: Path) -> Iterator[str]:
    try:
        if file.suffix.lower() not in _TABLES:
            with file.open(encoding="utf-8-sig", errors="surrogateescape") as f:
                yield from (line.strip() for line in f if not line.startswith("#"))
            return
        table = open_table(file)
        column = _column(table)
        for row in table.rows():
            text = text_at(row, column)
            yield clean_address(text) if is_web_address(text) else text
    except (OSError, ValueError) as e:
        raise ConfigError(f"{without_surrogates(str(file))} cannot be read: {e}.", "Give a table or text file.") from e
    except SourceError as e:
        raise ConfigError(e.message, e.remedy) from e


def _column(table: Table) -> int:
    names = [normal(c) for c in table.columns]
    exact = next((names.index(c) for c in _COLUMNS if c in names), None)
    found = next((c for c in (exact, table.find("name"), table.find("url")) if c is not None), None)
    if found is None:
        first = f"; its first line is: {', '.join(table.columns)}" if table.columns else ""
        raise ConfigError(
            f"{without_surrogates(str(table.path))} has none of the columns {', '.join(_COLUMNS)}{first}.",
            "Name the column of files or addresses path or url.",
        )
    return found
