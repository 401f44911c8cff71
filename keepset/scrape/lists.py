"""URL lists: txt, csv or parquet, as messy as browsers and people make them."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from keepset.errors import SourceError
from keepset.scrape.found import Found

__all__ = ["read_list"]

_FIELDS = ("title", "creator", "license", "license_url", "landing_page", "sha1")


def read_list(path: str) -> Iterator[Found]:
    """Each non-blank line, or each row of a table with a column ``url``. Raises ``SourceError``."""
    file = Path(path)
    try:
        if file.suffix.lower() == ".parquet":
            yield from _parquet(file)
        else:
            yield from _text(file)
    except OSError as e:
        raise SourceError(f"The URL list {path} cannot be read: {e}.", "Check the file.") from e


def _text(file: Path) -> Iterator[Found]:
    with file.open(encoding="utf-8-sig", errors="replace") as f:
        lines = (x for x in f if x.strip())
        first = next(lines, "")
        columns = [c.strip().strip('"').lower() for c in first.split(",")]
        everything = itertools.chain([first], lines)
        if "url" in columns:
            yield from _table(file, everything)
            return
        rank = 0
        for line in everything:
            text = line.strip().rstrip(",").strip().strip('"')
            if text and not text.startswith("#"):
                yield _found(text, file, rank, {})
                rank += 1


def _table(file: Path, lines: Iterable[str]) -> Iterator[Found]:
    for rank, row in enumerate(csv.DictReader(lines)):
        clean = {str(k).strip().lower(): v for k, v in row.items() if k is not None}
        yield _found(clean.get("url") or "", file, rank, clean)


def _parquet(file: Path) -> Iterator[Found]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
    except pa.ArrowInvalid as e:
        raise SourceError(f"The URL list {file} is no Parquet file: {e}.", "Check the file.") from e
    if "url" not in table.schema_arrow.names:
        raise SourceError(f"The URL list {file} has no column 'url'.", "Name the column of addresses 'url'.")
    rank = 0
    for batch in table.iter_batches():
        for row in batch.to_pylist():
            yield _found(str(row.get("url") or ""), file, rank, row)
            rank += 1


def _found(url: str, file: Path, rank: int, row: dict[str, Any]) -> Found:
    facts = {k: str(row[k]).strip() or None for k in _FIELDS if row.get(k)}
    sizes = {k: int(row[k]) for k in ("width", "height") if str(row.get(k) or "").isdigit()}
    return Found(url, "list", file.name, rank, **facts, **sizes)  # type: ignore[arg-type]
