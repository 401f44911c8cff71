"""Tables that are text: encoding, separator and header are found by looking at the first lines."""

from __future__ import annotations

import codecs
import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from keepset.errors import SourceError
from keepset.tables.cells import clean_address, is_web_address
from keepset.tables.columns import known
from keepset.tables.table import Table, TableRow
from keepset.text import NOT_UTF8

__all__ = ["opened"]

_SEPARATORS = (",", ";", "\t", "|")
_SAMPLE = 100
_LONGEST_CELL = 100  # lines that one quoted cell may span
_PICTURE = re.compile(r"\.(jpe?g|jfif|png|gif|webp|bmp|avif|heic|tiff?)$", re.I)
_CONTROL = bytes({*range(32)} - {9, 10, 12, 13, 27})
_SEP_LINE = re.compile(r'"?sep=(.)"?\s*', re.I)
csv.field_size_limit(1 << 30)  # a picture inside a cell (data: URI) is a row with a reason, not the end of the file


@dataclass(frozen=True)
class _Shape:
    """``separator`` None: every line is one cell. ``header``: whether the first line names the columns.

    ``many``: every cell of a line is an address of its own.
    """

    separator: str | None
    columns: tuple[str, ...]
    header: bool
    many: bool = False


def opened(path: Path) -> Table:
    """Raises ``OSError`` or ``SourceError``."""
    encoding, notes = _encoding(path)
    shape = _shape(list(islice(_lines(path, encoding), _SAMPLE)))
    if shape.separator is not None and shape.separator != ("\t" if path.suffix.lower() in (".tsv", ".tab") else ","):
        notes.append(f"{path.name}: columns are separated by {_named(shape.separator)}.")

    def read() -> Iterator[TableRow]:
        found = _rows(_lines(path, encoding), shape)
        if shape.header:
            next(found, None)
        return found

    return Table(path, shape.columns, read, notes)


def _named(separator: str) -> str:
    return {"\t": "tabs", " ": "spaces"}.get(separator, f"'{separator}'")


# -- characters ------------------------------------------------------------------------------------


def _encoding(path: Path) -> tuple[str, list[str]]:
    with path.open("rb") as f:
        head = f.read(65_536)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16", []
        even, odd = head[0::2].count(0), head[1::2].count(0)
        if max(even, odd) > len(head) // 5 and min(even, odd) < len(head) // 50 + 1:
            return ("utf-16-be" if even > odd else "utf-16-le"), [f"{path.name} is read as UTF-16."]
        if len(head) - len(head.translate(None, _CONTROL)) > len(head) // 50 + 2:  # a few spoil their own lines only
            raise SourceError(
                f"{path} is not a text file (its first bytes are {head[:12]!r}).",
                "Give a list or table as text, CSV, JSON, Excel (.xlsx) or Parquet.",
            )
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while head:
                decoder.decode(head)
                head = f.read(1 << 20)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "utf-8-sig", [
                f"{path.name} is not UTF-8 and is read as Windows-1252. If names come out wrong, save it as UTF-8."
            ]
    return "utf-8-sig", []


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Numbered lines with their ends; an Excel line ``sep=;`` is passed on, blank ones are not."""
    errors = NOT_UTF8 if encoding.startswith("utf-8") else "replace"
    with path.open(encoding=encoding, errors=errors, newline="") as f:
        yield from ((n, line) for n, line in enumerate(f, 1) if line.strip())


# -- the shape of the table ------------------------------------------------------------------------


def _shape(lines: list[tuple[int, str]]) -> _Shape:
    texts = [t for _, t in lines]
    fixed = _SEP_LINE.fullmatch(texts[0]) if texts else None
    tried = (fixed[1],) if fixed else _SEPARATORS
    samples = {s: [r for r in _records(lines, s) if not r.text.startswith("#")] for s in tried}
    if not samples[tried[0]]:
        return _Shape(None, (), header=False)
    heads = {s: sample[0].cells for s, sample in samples.items()}
    best = max(tried, key=lambda s: (known(heads[s]), len(heads[s])))
    if known(heads[best]) and not any(map(is_web_address, heads[best])):
        columns = tuple(heads[best])
        return _Shape(best if fixed or len(columns) > 1 else None, columns, header=True)
    plain = [t for t in texts[1 if fixed else 0 :] if not t.startswith("#")]
    for separator in (*tried, " "):
        if _many_per_line(plain, separator):
            return _Shape(separator, (), header=False, many=True)
    for separator in sorted(tried, key=lambda s: sum(bool(_fault(r.text, s)) for r in samples[s])):
        if (shape := _by_addresses(samples[separator], separator)) is not None:
            return shape
    if _rectangular(samples[best]) and not any(map(is_web_address, plain)):
        return _Shape(best, tuple(heads[best]), header=True)
    return _Shape(None, (), header=False)


def _rectangular(sample: list[_Record]) -> bool:
    """Whether the lines are a table of unknown columns: all as wide as the first, and wider than one."""
    width = len(sample[0].cells)
    return width > 1 and len(sample) > 1 and all(len(r.cells) == width for r in sample)


def _many_per_line(texts: list[str], separator: str) -> bool:
    """Whether lines hold several addresses each; two or three per line throughout could be columns instead."""
    rows = [[c for c in t.split(separator) if c.strip()] for t in texts]
    widths = {len(r) for r in rows}
    return (
        max(widths) > 1
        and (len(rows) == 1 or len(widths) > 1 or min(widths) > 3)
        and all(is_web_address(c) for r in rows for c in r)
    )


def _by_addresses(sample: list[_Record], separator: str) -> _Shape | None:
    """A table without known column names that has addresses in one column, or None for a plain list.

    An address may hold commas itself; it is cut only where the pieces make sense apart.
    """
    body = sample[1:] or sample
    wide = [r for r in body if len(r.cells) > 1]
    if 2 * len(wide) <= len(body):
        return None
    width = max(len(r.cells) for r in wide)
    hits = [sum(len(r.cells) > j and is_web_address(r.cells[j]) for r in wide) for j in range(width)]
    column = hits.index(max(hits))
    apart = sum(_apart(r, column, separator) for r in wide if len(r.cells) > column)
    if 2 * max(hits) <= len(wide) or 2 * apart <= max(hits):
        return None
    header = not any(map(is_web_address, sample[0].cells)) and len(sample) > 1
    names = sample[0].cells if header else [""] * width
    return _Shape(separator, tuple(names) + ("",) * (width - len(names)), header)


def _apart(record: _Record, column: int, separator: str) -> bool:
    if separator == "\t" or '"' in record.text:
        return True
    if _PICTURE.search(_path(record.cells[column])):
        return True
    others = [c for j, c in enumerate(record.cells) if j != column]
    return all(is_web_address(c) or not re.search(r"[/=&%.?]", c) or " " in c for c in others)


def _path(address: str) -> str:
    try:
        return urlsplit(clean_address(address)).path
    except ValueError:
        return ""


# -- records ---------------------------------------------------------------------------------------


class _Record(NamedTuple):
    """``line``: the number of its first line. ``text``: all its lines."""

    line: int
    text: str
    cells: list[str]


def _rows(lines: Iterable[tuple[int, str]], shape: _Shape) -> Iterator[TableRow]:
    if shape.separator is None:
        for number, line in lines:
            text = line.strip()
            if not text.startswith("#"):
                yield TableRow(number, (text.strip('"').strip() if shape.header else text,))
        return
    if shape.many:
        each = ((n, c.strip()) for n, line in lines for c in line.split(shape.separator))
        yield from (TableRow(n, (c,)) for n, c in each if c)
        return
    width = len(shape.columns)
    for record in _records(lines, shape.separator):
        if not any(record.cells):
            continue
        count = len(record.cells)
        spoiled = shape.header and any(record.cells[width:])
        problem = f"line {record.line} has {count} cells, the header has {width}" if spoiled else None
        yield TableRow(record.line, tuple(record.cells), problem)


def _records(lines: Iterable[tuple[int, str]], separator: str) -> Iterator[_Record]:
    """The cells of each record. A quote that is never closed spoils its own line only."""
    waiting: deque[tuple[int, str]] = deque()
    source = iter(lines)

    def following() -> tuple[int, str] | None:
        return waiting.popleft() if waiting else next(source, None)

    began = False
    while (one := following()) is not None:
        number, text = one
        if not began and (_SEP_LINE.fullmatch(text) or text.startswith("#")):
            continue
        began = True
        taken: list[tuple[int, str]] = []
        whole = text
        while _open(whole, separator) and len(taken) < _LONGEST_CELL and (more := following()) is not None:
            taken.append(more)
            whole += more[1]
        if taken and _fault(whole, separator):
            waiting.extendleft(reversed(taken))
            whole = text
        if _open(whole, separator):
            cells = [c.strip().strip('"') for c in whole.rstrip("\r\n").split(separator)]
        else:
            cells = _parsed(whole, separator)
        yield _Record(number, whole, cells)


def _open(text: str, separator: str) -> bool:
    """Whether a quoted cell begins in the text and does not end in it."""
    return '"' in text and "unexpected end of data" in _fault(text, separator)


def _fault(text: str, separator: str) -> str:
    """What is wrong with the quotes of a text that should be one record; empty if they are in order."""
    try:
        next(csv.reader([text], delimiter=separator, strict=True, skipinitialspace=True), None)
    except csv.Error as e:
        return str(e) or "odd"
    return ""


def _parsed(text: str, separator: str) -> list[str]:
    try:
        cells = next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        cells = text.split(separator)
    return [c.strip() for c in cells]
