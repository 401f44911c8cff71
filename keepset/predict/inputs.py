"""Where the pictures of a batch prediction come from: the data set, a folder, or a table of paths or URLs."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from keepset import manifests
from keepset.errors import ConfigError
from keepset.files import readable
from keepset.predict.remote import is_url
from keepset.storage import locate
from keepset.workspace import Workspace

__all__ = ["list_inputs", "path_of"]

Row = dict[str, str]
_COLUMNS = ("path", "url", "input", "name", "file_name")
"""Columns that hold a picture's place; the first one that a table has is taken."""


def list_inputs(ws: Workspace, source: Path | None) -> Iterator[Row]:
    """Rows of ``batch_inputs``. ``source``: a folder, a Parquet, CSV or text file; None for the active data set.

    A folder is walked in sorted order, hidden files left out; a table's relative paths begin at its own folder.
    Raises ``ConfigError`` or ``ManifestMissing``.
    """
    if source is None:
        return _dataset(ws)
    if source.is_dir():
        return _folder(source)
    if not source.is_file():
        raise ConfigError(
            f"There is no {source}.", "Give a folder, or a Parquet or CSV file with paths or URLs."
        )
    return (_of(text, source.parent) for text in _places(source) if text)


def _dataset(ws: Workspace) -> Iterator[Row]:
    path = ws.dataset((ws.revisions() or [1])[-1])
    for r in manifests.each(path, "dataset", ("sha256", "active")):
        if r["active"]:
            yield {"input": r["sha256"], "place": str(ws.blob(r["sha256"])), "stamp": ""}


def _folder(folder: Path) -> Iterator[Row]:
    for here, inside, files in os.walk(folder):
        inside[:] = sorted(d for d in inside if not d.startswith("."))
        for name in sorted(f for f in files if not f.startswith(".")):
            yield _of(os.path.join(here, name), Path())  # noqa: PTH118 - a million Path objects are slow


def _of(text: str, base: Path) -> Row:
    if is_url(text):
        return {"input": readable(text), "place": readable(text), "stamp": ""}
    path = (base / text).absolute()
    try:
        facts = path.stat()
        stamp = f"{facts.st_size}:{facts.st_mtime_ns}"
    except (OSError, ValueError):  # it becomes a row with its reason
        stamp = ""
    return {"input": readable(text), "place": _place(path), "stamp": stamp}


def _place(path: Path) -> str:
    """As text that a manifest can hold: a name that is no UTF-8 as a URI, whose escapes are its bytes."""
    text = str(path)
    return path.as_uri() if readable(text) != text else text


def path_of(place: str) -> Path:
    """The file, or the object of a store, that a row's ``place`` means."""
    if place.startswith("file:"):
        return Path(os.fsdecode(unquote_to_bytes(urlsplit(place).path)))
    return locate(place)


def _places(file: Path) -> Iterator[str]:
    try:
        if file.suffix.lower() == ".parquet":
            yield from _parquet(file)
        elif file.suffix.lower() == ".csv":
            with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as f:
                rows = csv.DictReader(f)
                column = _column(file, rows.fieldnames or ())
                yield from ((r[column] or "").strip() for r in rows)
        else:
            with file.open(encoding="utf-8-sig", errors="surrogateescape") as f:
                yield from (line.strip() for line in f if not line.startswith("#"))
    except (OSError, ValueError, csv.Error) as e:
        raise ConfigError(f"{file} cannot be read: {e}.", "Give a Parquet, CSV or text file.") from e


def _parquet(file: Path) -> Iterator[str]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as table:
        column = _column(file, table.schema_arrow.names)
        for batch in table.iter_batches(columns=[column]):
            yield from (_text(v) for v in batch.column(0).to_pylist())


def _column(file: Path, names: Iterable[Any]) -> str:
    there = set(names)
    found = next((c for c in _COLUMNS if c in there), None)
    if found is None:
        raise ConfigError(
            f"{file} has none of the columns {', '.join(_COLUMNS)}.",
            "Name the column of files or addresses path or url.",
        )
    return found


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
