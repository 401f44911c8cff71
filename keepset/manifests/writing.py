"""Writing manifests: whole or in pieces, to a temporary file that is renamed at the end."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from keepset.files import atomic_path
from keepset.manifests import tables
from keepset.manifests.reading import KEY, Header, Manifest
from keepset.manifests.schemas import SCHEMAS
from keepset.manifests.tables import Digest, table_from_rows

__all__ = ["Writer", "write", "writing"]


class Writer:
    """A manifest being written piece by piece, with memory for one row group. See ``writing``."""

    def __init__(self, path: Path, part: Path, schema: str) -> None:
        self.path, self.want, self.rows = path, SCHEMAS[schema], 0
        self.digest = Digest(self.want)
        self.file = pq.ParquetWriter(part, self.want.arrow, compression="zstd", store_schema=False)
        self.waiting: list[pa.Table] = []
        self.header: Header | None = None

    def add(self, rows: Iterable[Mapping[str, Any]] | pa.Table) -> None:
        """Append rows, checked as ``table_from_rows`` checks them."""
        table = table_from_rows(self.want, rows)
        self.rows += table.num_rows
        self.waiting.append(table)
        if sum(t.num_rows for t in self.waiting) >= tables.GROUP_ROWS:
            self._flush(whole=True)

    def content_hash(self) -> str:
        """Of all rows; nothing can be added after this."""
        self._flush(whole=False)
        return self.digest.hexdigest()

    def commit(self, header: Header) -> Header:
        """Set the header, completed with content hash and row count: leaving ``writing`` puts the file in place."""
        facts = {"content_hash": self.content_hash(), "rows": self.rows}
        self.header = Header(**(asdict(header) | facts))
        return self.header

    def _flush(self, *, whole: bool) -> None:
        table = pa.concat_tables(self.waiting) if self.waiting else self.want.arrow.empty_table()
        start = 0
        while table.num_rows - start >= tables.GROUP_ROWS or (not whole and start < table.num_rows):
            piece = table.slice(start, tables.GROUP_ROWS)
            self.digest.add(piece)
            self.file.write_table(piece, row_group_size=tables.GROUP_ROWS)
            start += tables.GROUP_ROWS
        rest = table.slice(start)
        self.waiting = [rest] if rest.num_rows else []


@contextlib.contextmanager
def writing(path: Path, schema: str, *, exclusive: bool = False) -> Iterator[Writer]:
    """Yield a ``Writer``; the manifest appears whole if it was committed, and not at all otherwise.

    With ``exclusive`` an existing file is left alone and ``FileExistsError`` is raised: that is how one
    of several writers of the same revision wins.
    """
    with contextlib.suppress(_NotWanted), atomic_path(path, exclusive=exclusive) as part:
        out = Writer(path, part, schema)
        try:
            yield out
            if out.header is None:
                raise _NotWanted
            out.file.add_key_value_metadata({KEY: json.dumps(asdict(out.header), sort_keys=True).encode()})
        finally:
            out.file.close()


class _NotWanted(Exception):
    """Nothing was committed."""


def write(
    path: Path, table: pa.Table | Iterable[Mapping[str, Any]], header: Header, *, exclusive: bool = False
) -> Manifest:
    """Write a whole manifest and return it as it now stands. ``exclusive``: see ``writing``."""
    cast = table_from_rows(header.schema, table)
    with writing(path, header.schema, exclusive=exclusive) as out:
        out.add(cast)
        done = out.commit(header)
    return Manifest(path, done, cast)
