"""Tables that are not text: Parquet, Excel, JSON and JSON lines; and files that only look like a table."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keepset.errors import SourceError
from keepset.images.formats import sniff
from keepset.tables import textual
from keepset.tables.cells import cell_text, is_web_address
from keepset.tables.columns import known
from keepset.tables.table import Table, TableRow
from keepset.text import NOT_UTF8, decoded

__all__ = ["kind_of", "opened"]

_FOREIGN = {
    b"\x1f\x8b": ("a gzip archive", "Unpack it and give the folder or table inside."),
    b"7z\xbc\xaf": ("a 7-Zip archive", "Unpack it and give the folder or table inside."),
    b"Rar!": ("a RAR archive", "Unpack it and give the folder or table inside."),
    b"\xd0\xcf\x11\xe0": ("an old Excel file (.xls)", "Save it as .xlsx or CSV."),
    b"%PDF": ("a PDF", "Save its table as CSV."),
    b"SQLite format 3": ("an SQLite database", "Save the table as CSV."),
    b"ARROW1": ("an Arrow or Feather file", "Save it as Parquet or CSV."),
}


def kind_of(head: bytes, path: Path) -> str | None:
    """parquet, xlsx or json by a file's first bytes; None for text. Raises ``SourceError`` for what is no table."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):
        return _of_archive(path)
    if head[257:262] == b"ustar":
        raise SourceError(f"{path} is a tar archive, not a table.", "Unpack it and give the folder or table inside.")
    for magic, (what, remedy) in _FOREIGN.items():
        if head.startswith(magic):
            raise SourceError(f"{path} is {what}, not a table.", remedy)
    if sniff(head[:64]) is not None and b"\0" in head[:64]:  # "BM" may begin a word, too
        raise SourceError(f"{path} is a picture, not a table.", "Put it into a folder, and name the folder.")
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if text[:9].lower() in ("<!doctype", "<html>") or text[:6].lower() in ("<html ", "<?xml "):
        raise SourceError(
            f"{path} is a web page (HTML or XML), not a table.",
            "Name the page's address under `pages`, or save a list.",
        )
    return "json" if text[:1] in ("[", "{") and _is_json(text, path) else None


def _is_json(text: str, path: Path) -> bool:
    """Whether a file that begins with a bracket is meant as JSON; a list of addresses in brackets is not."""
    return text[:1] == "{" or path.suffix.lower().startswith(".json") or text[1:].lstrip()[:1] in ('"', "{", "[", "]")


def _of_archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            if "xl/workbook.xml" in archive.namelist():
                return "xlsx"
    except (zipfile.BadZipFile, OSError, ValueError):
        pass
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        raise SourceError(f"{path} is a damaged Excel file.", "Save it again, or as CSV.")
    raise SourceError(
        f"{path} is a ZIP archive (or a document made like one), not a table.",
        "Unpack it and give the folder or table inside; save a spreadsheet as .xlsx or CSV.",
    )


def opened(path: Path, kind: str) -> Table:
    """Raises ``SourceError`` for a damaged file, and ``OSError``."""
    return {"parquet": _parquet, "xlsx": _excel, "json": _json}[kind](path)


# -- Parquet ---------------------------------------------------------------------------------------


def _parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = tuple(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as e:
        raise SourceError(f"{path} is a damaged Parquet file: {e}.", "Save it again.") from e

    def read() -> Iterator[TableRow]:
        line = 0
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches():
                    columns = [_plain(c) for c in batch.columns]
                    for cells in zip(*columns, strict=True):
                        line += 1
                        yield TableRow(line, cells)
        except (pa.ArrowException, OSError) as e:
            raise SourceError(f"{path} is a damaged Parquet file: {e}.", "Save it again.") from e

    return Table(path, names, read)


def _plain(column: Any) -> list[Any]:
    try:
        found: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):  # a time that Python has not, or text that is not UTF-8: one value, not all
        found = [_one(value) for value in column]
    return found


def _one(value: Any) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return decoded(value.as_buffer().to_pybytes())
    except (ValueError, OverflowError):
        return None


# -- Excel -----------------------------------------------------------------------------------------


def _excel(path: Path) -> Table:
    try:
        rows, notes = _sheet(path)
    except OSError:
        raise
    except Exception as e:  # openpyxl raises what its XML and ZIP readers raise
        raise SourceError(f"{path} is not an Excel file that can be read: {e}.", "Save it again, or as CSV.") from e
    first = [cell_text(c) for c in rows[0][1]] if rows else []
    header = known(first) > 0 or (len(rows) > 1 and not any(map(is_web_address, first)))
    columns = tuple(first) if header else ("",) * len(first)
    body = rows[1:] if header else rows

    def read() -> Iterator[TableRow]:
        return (TableRow(n, cells) for n, cells in body)

    return Table(path, columns, read, notes)


def _sheet(path: Path) -> tuple[list[tuple[int, tuple[Any, ...]]], list[str]]:
    """The first sheet that holds anything, and a note if there are others."""
    from openpyxl import load_workbook

    with path.open("rb") as f:
        book = load_workbook(f, read_only=True, data_only=True)
        sheets = [s for s in book.worksheets if s.max_row]
        for sheet in sheets:
            numbered = enumerate(sheet.iter_rows(values_only=True), 1)
            rows = [(n, tuple(cells)) for n, cells in numbered if any(c is not None for c in cells)]
            if rows:
                others = [s.title for s in sheets if s is not sheet]
                return rows, [
                    f"{path.name}: the sheet '{sheet.title}' is read, {', '.join(others)} not."
                ] if others else []
    return [], []


# -- JSON ------------------------------------------------------------------------------------------


def _json(path: Path) -> Table:
    text = path.read_text(encoding="utf-8-sig", errors=NOT_UTF8)
    try:
        return _of_document(path, json.loads(text))
    except ValueError as e:
        if (table := _json_lines(path, text)) is not None:
            return table
        if text.lstrip().startswith("[") and not path.suffix.lower().startswith(".json"):
            return textual.opened(path)  # lines that somebody copied out of a program
        raise SourceError(f"{path} is not valid JSON: {e}.", "Save it again, or as CSV.") from e
    except RecursionError as e:
        raise SourceError(f"{path} is nested too deeply.", _WANTED) from e


def _json_lines(path: Path, text: str) -> Table | None:
    """One object per line; a line that is not JSON is a row with its problem. None if most lines are not."""
    found: list[tuple[int, Any, str | None]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                found.append((number, json.loads(line), None))
            except (ValueError, RecursionError) as e:
                found.append((number, line.strip(), f"line {number} is not JSON: {e}"))
    if 2 * sum(problem is not None for *_, problem in found) >= len(found):
        return None
    return _of_items(path, found)


def _of_document(path: Path, document: Any) -> Table:
    if isinstance(document, list):
        return _of_items(path, [(i, item, None) for i, item in enumerate(document, 1)])
    if not isinstance(document, dict):
        raise SourceError(f"{path} holds a single value, not a table.", _WANTED)
    if {"images", "annotations", "categories"} <= document.keys():
        raise SourceError(
            f"{path} is a COCO file, which describes objects in pictures.",
            "Save the class of each picture as CSV with the columns name and label.",
        )
    values = list(document.values())
    tables = [v for v in values if isinstance(v, list) and v and isinstance(v[0], dict)]
    if len(tables) == 1:
        return _of_items(path, [(i, item, None) for i, item in enumerate(tables[0], 1)])
    if values and known(list(document)) and all(isinstance(v, list | dict) for v in values):
        columns = [list(v.values()) if isinstance(v, dict) else v for v in values]
        height = max(map(len, columns))
        whole = [c + [None] * (height - len(c)) for c in columns]
        return _fixed(
            path, tuple(document), [TableRow(i, cells) for i, cells in enumerate(zip(*whole, strict=True), 1)]
        )
    if values and all(isinstance(v, list) for v in values):  # class -> pictures
        pairs = [(item, label) for label, items in document.items() for item in items]
    elif values and all(isinstance(v, str | int) for v in values):  # picture -> class
        pairs = list(document.items())
    else:
        raise SourceError(f"{path} is JSON, but not a table.", _WANTED)
    return _fixed(path, ("name", "label"), [TableRow(i, pair) for i, pair in enumerate(pairs, 1)])


_WANTED = 'Wanted is a list of objects, one per picture, such as [{"url": ..., "label": ...}].'


def _of_items(path: Path, items: list[tuple[int, Any, str | None]]) -> Table:
    names = list(dict.fromkeys(str(k) for _, item, _ in items if isinstance(item, dict) for k in item))
    if not names:
        return _fixed(path, (), [TableRow(n, (item,), problem) for n, item, problem in items])

    def row(number: int, item: Any, problem: str | None) -> TableRow:
        if isinstance(item, dict):
            by_name = {str(k): v for k, v in item.items()}
            return TableRow(number, tuple(by_name.get(name) for name in names))
        return TableRow(number, (item,), problem or f"item {number} is not an object like the others")

    return _fixed(path, tuple(names), [row(*item) for item in items])


def _fixed(path: Path, columns: tuple[str, ...], rows: list[TableRow]) -> Table:
    return Table(path, columns, lambda: iter(rows))
