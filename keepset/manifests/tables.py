"""Rows as an Arrow table of a manifest's schema, and the hash of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from keepset.errors import ManifestError
from keepset.manifests.schemas import SCHEMAS, ManifestSchema

__all__ = ["GROUP_ROWS", "Digest", "completed", "content_hash", "table_from_rows"]

GROUP_ROWS = 65_536
"""Rows of a row group, and of a piece of the content hash."""


def table_from_rows(schema: str | ManifestSchema, rows: Iterable[Mapping[str, Any]] | pa.Table) -> pa.Table:
    """Cast rows strictly to a manifest's schema.

    Raises ``ManifestError`` on an unknown or missing column, a null where none may be, a value of
    another type, or a value outside the column's enum. A nullable column may be left out: it is empty then, as in a
    manifest that was written before there was such a column.
    """
    want = SCHEMAS[schema] if isinstance(schema, str) else schema
    table = completed(want, rows) if isinstance(rows, pa.Table) else _from_dicts(want, list(rows))
    missing = [n for n in want.arrow.names if n not in table.column_names]
    unknown = [n for n in table.column_names if n not in want.arrow.names]
    if missing or unknown:
        raise ManifestError(f"Rows do not fit the manifest '{want.name}': missing {missing}, unknown {unknown}.")
    try:
        table = table.select(want.arrow.names).cast(want.arrow)
        table.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as e:
        raise ManifestError(f"Rows do not fit the manifest '{want.name}': {e}") from e
    _check_choices(want, table)
    return table


def completed(want: ManifestSchema, table: pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
    """``table`` with those of its nullable columns (of ``columns``, if given) that it lacks, empty; in the schema's order."""
    lacking = [f for f in want.arrow if f.nullable and f.name not in table.column_names]
    for field in lacking:
        if columns is None or field.name in columns:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    names = [n for n in want.arrow.names if n in table.column_names]
    return table.select([*names, *(n for n in table.column_names if n not in names)]) if lacking else table


def _from_dicts(want: ManifestSchema, rows: list[Mapping[str, Any]]) -> pa.Table:
    names = set(want.arrow.names)
    required = {f.name for f in want.arrow if not f.nullable}
    for row in rows:
        unknown, missing = row.keys() - names, required - row.keys()
        if unknown or missing:
            raise ManifestError(
                f"A row does not fit the manifest '{want.name}': missing {sorted(missing)}, unknown {sorted(unknown)}."
            )
    try:
        return pa.Table.from_pylist([dict(r) for r in rows], schema=want.arrow)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, OverflowError) as e:
        raise ManifestError(f"Rows do not fit the manifest '{want.name}': {e}") from e


def _check_choices(want: ManifestSchema, table: pa.Table) -> None:
    for column, enum in want.choices.items():
        allowed = {str(v) for v in enum}  # type: ignore[attr-defined]
        strange = set(table.column(column).unique().to_pylist()) - allowed - {None}
        if strange:
            raise ManifestError(
                f"Column '{column}' of the manifest '{want.name}' holds {sorted(strange)}; allowed: {sorted(allowed)}."
            )


def content_hash(schema: str | ManifestSchema, table: pa.Table) -> str:
    """sha256 over the stable columns, independent of how the table is chunked or compressed."""
    digest = Digest(SCHEMAS[schema] if isinstance(schema, str) else schema)
    for start in range(0, table.num_rows, GROUP_ROWS):
        digest.add(table.slice(start, GROUP_ROWS))
    return digest.hexdigest()


class Digest:
    """The content hash of a manifest that comes in pieces of ``GROUP_ROWS`` rows, the last one smaller."""

    def __init__(self, want: ManifestSchema) -> None:
        self.columns = want.stable_columns
        stable = pa.schema([want.arrow.field(c) for c in self.columns])
        self.sha = hashlib.sha256(f"{want.name}:{stable.to_string(show_field_metadata=False)}".encode())

    def add(self, piece: pa.Table) -> None:
        arrays = [part for c in self.columns for part in _plain(piece.column(c).combine_chunks())]
        for array in arrays:
            self.sha.update(pa.RecordBatch.from_arrays([array], names=["values"]).serialize())

    def hexdigest(self) -> str:
        return self.sha.hexdigest()


def _plain(column: pa.Array) -> list[pa.Array]:
    """Which values there are, and the values: what lies under a null and where a slice began is no part of them."""
    if pa.types.is_list(column.type):
        return [column.is_valid(), pc.fill_null(pc.list_value_length(column), 0), *_plain(column.flatten())]
    empty = "" if pa.types.is_string(column.type) else 0
    filled = pc.fill_null(column, pa.scalar(empty, pa.int64()).cast(column.type) if empty == 0 else empty)
    return [_copied(column.is_valid()), _copied(filled)]


def _copied(array: pa.Array) -> pa.Array:
    return pa.concat_arrays([array.slice(0, 1), array.slice(1)])
