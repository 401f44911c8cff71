"""Reading and writing manifests: the only module that touches their Parquet files.

A manifest is written to a temporary file, synced, and renamed: a reader sees the old one or the new one,
never half of one. The file's metadata holds, as JSON under the key ``keepset``: the schema's name and
version, the stage that wrote it, its fingerprint (same fingerprint: nothing to do again), its parents'
content hashes, the run config, and the manifest's own content hash over its stable columns.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from keepset.errors import ManifestError, ManifestMissing, WorkspaceVersionError
from keepset.files import atomic_path
from keepset.schemas import SCHEMA_VERSION, SCHEMAS, ManifestSchema

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Header",
    "Manifest",
    "content_hash",
    "fingerprint",
    "read",
    "read_header",
    "table_from_rows",
    "up_to_date",
    "write",
]

_KEY = b"keepset"
_HASH_ROWS = 65_536


@dataclass(frozen=True)
class Header:
    """What stands in a manifest's file metadata.

    ``parents`` maps a parent's name to its content hash; ``extra`` holds a stage's own facts,
    such as a data set's revision number.
    """

    schema: str
    stage: str
    fingerprint: str
    parents: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    version: int = SCHEMA_VERSION
    content_hash: str = ""
    rows: int = 0


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read: its header and its rows as an Arrow table."""

    path: Path
    header: Header
    table: pa.Table

    @property
    def content_hash(self) -> str:
        return self.header.content_hash

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.table.to_pylist()
        return rows

    def frame(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame, for the edges (notebooks, reports, Great Expectations)."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame


def table_from_rows(schema: str | ManifestSchema, rows: Iterable[Mapping[str, Any]] | pa.Table) -> pa.Table:
    """Cast rows strictly to a manifest's schema.

    Raises ``ManifestError`` on an unknown or missing column, a null where none may be, a value of
    another type, or a value outside the column's enum. A nullable column may be left out of a row.
    """
    want = SCHEMAS[schema] if isinstance(schema, str) else schema
    table = rows if isinstance(rows, pa.Table) else _from_dicts(want, list(rows))
    missing = [n for n in want.arrow.names if n not in table.column_names]
    unknown = [n for n in table.column_names if n not in want.arrow.names]
    if missing or unknown:
        raise ManifestError(
            f"Rows do not fit the manifest '{want.name}': missing {missing}, unknown {unknown}."
        )
    try:
        table = table.select(want.arrow.names).cast(want.arrow)
        table.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as e:
        raise ManifestError(f"Rows do not fit the manifest '{want.name}': {e}") from e
    _check_choices(want, table)
    return table


def _from_dicts(want: ManifestSchema, rows: list[Mapping[str, Any]]) -> pa.Table:
    names = set(want.arrow.names)
    required = {f.name for f in want.arrow if not f.nullable}
    for row in rows:
        unknown, missing = row.keys() - names, required - row.keys()
        if unknown or missing:
            raise ManifestError(
                f"A row does not fit the manifest '{want.name}': "
                f"missing {sorted(missing)}, unknown {sorted(unknown)}."
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
                f"Column '{column}' of the manifest '{want.name}' holds {sorted(strange)}; "
                f"allowed: {sorted(allowed)}."
            )


def content_hash(schema: str | ManifestSchema, table: pa.Table) -> str:
    """sha256 over the stable columns, independent of how the table is chunked or compressed."""
    want = SCHEMAS[schema] if isinstance(schema, str) else schema
    stable = table.select(want.stable_columns).replace_schema_metadata(None).combine_chunks()
    digest = hashlib.sha256(f"{want.name}:{stable.schema.to_string(show_field_metadata=False)}".encode())
    for batch in stable.to_batches(max_chunksize=_HASH_ROWS):
        # The IPC form cuts a sliced batch down to its own rows, so equal rows are equal bytes.
        digest.update(batch.serialize())
    return digest.hexdigest()


def write(
    path: Path, table: pa.Table | Iterable[Mapping[str, Any]], header: Header, *, exclusive: bool = False
) -> Manifest:
    """Write a manifest atomically and return it as it now stands.

    With ``exclusive`` an existing file is left alone and ``FileExistsError`` is raised: that is how one
    of several writers of the same revision wins.
    """
    cast = table_from_rows(header.schema, table)
    done = Header(
        **(asdict(header) | {"content_hash": content_hash(header.schema, cast), "rows": cast.num_rows})
    )
    meta = {_KEY: json.dumps(asdict(done), sort_keys=True).encode()}
    with atomic_path(path, exclusive=exclusive) as part:
        pq.write_table(cast.replace_schema_metadata(meta), part, compression="zstd")
    return Manifest(path, done, cast)


def read_header(path: Path) -> Header:
    """The header alone, without reading the rows.

    Raises ``ManifestMissing``, ``ManifestError`` (damaged or not ours) or ``WorkspaceVersionError``.
    """
    try:
        meta = pq.read_metadata(path).metadata or {}
    except FileNotFoundError as e:
        raise _missing(path) from e
    except (pa.ArrowInvalid, OSError) as e:
        raise _damaged(path, e) from e
    if _KEY not in meta:
        raise ManifestError(
            f"{path} is a Parquet file but not a Keepset manifest.",
            "Move it out of the workspace and run the stage that writes it again.",
        )
    raw = json.loads(meta[_KEY])
    if raw["version"] != SCHEMA_VERSION:
        raise WorkspaceVersionError(
            f"{path} was written with schema version {raw['version']}; this Keepset reads {SCHEMA_VERSION}.",
            "Use the Keepset that wrote it, or a new workspace.",
        )
    return Header(**raw)


def read(path: Path, schema: str) -> Manifest:
    """Read a manifest and check that it is the one asked for.

    Raises ``ManifestMissing``, ``ManifestError`` or ``WorkspaceVersionError``.
    """
    header = read_header(path)
    if header.schema != schema:
        raise ManifestError(f"{path} holds the manifest '{header.schema}', not '{schema}'.")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as e:
        raise _damaged(path, e) from e
    return Manifest(path, header, table_from_rows(schema, table.replace_schema_metadata(None)))


def fingerprint(stage: str, parents: Mapping[str, str], config: Mapping[str, Any], version: int = 1) -> str:
    """What decides whether a stage has anything to do: its parents' content, its config, its own version.

    16 hex digits. ``version`` is raised by a stage whose code would now give another answer.
    """
    facts = {"stage": stage, "version": version, "parents": dict(parents), "config": dict(config)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def up_to_date(path: Path, wanted: str) -> Header | None:
    """The header of the manifest at ``path`` if it was written with the fingerprint ``wanted``."""
    if not path.exists():
        return None
    try:
        header = read_header(path)
    except ManifestMissing:
        return None
    return header if header.fingerprint == wanted else None


def _missing(path: Path) -> ManifestMissing:
    stage = {"urls": "scrape", "downloads": "download", "images": "validate"}.get(path.stem, "split")
    return ManifestMissing(
        f"There is no {path.name} in {os.fspath(path.parent)}.",
        f"Run `keepset {stage}` first, or the whole chain with `keepset run`.",
    )


def _damaged(path: Path, e: Exception) -> ManifestError:
    return ManifestError(
        f"{path} cannot be read: {e}", "It is damaged; delete it and run the stage that writes it again."
    )
