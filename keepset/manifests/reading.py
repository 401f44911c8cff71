"""Reading manifests: whole, in pieces, by image; and whether one is up to date."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from keepset.errors import ManifestError, ManifestMissing
from keepset.files import local
from keepset.manifests.schemas import SCHEMA_VERSION, SCHEMAS, check_version
from keepset.manifests.tables import completed, table_from_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KEY", "Header", "Manifest", "batches", "each", "fingerprint", "picked", "read", "read_header", "up_to_date"]

R = TypeVar("R")
"""The type of a row."""
KEY = b"keepset"
"""Of a header in its file's metadata."""


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

    @overload
    def rows(self, of: type[R]) -> list[R]: ...
    @overload
    def rows(self, of: None = None) -> list[dict[str, Any]]: ...
    def rows(self, of: Any = None) -> list[Any]:
        """All rows; ``of``: their type in ``keepset.manifests.rows``."""
        if of is not None and _name_of(of) != self.header.schema:
            raise TypeError(f"{self.path} holds '{self.header.schema}', whose rows are not of {of.__name__}")
        return list(self.table.to_pylist())

    def frame(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame, for the edges (notebooks, reports, Great Expectations)."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame


def read_header(path: Path) -> Header:
    """The header alone, without reading the rows.

    Raises ``ManifestMissing``, ``ManifestError`` (damaged or not ours) or ``WorkspaceVersionError``.
    """
    return _opened(path)[0]


def read(path: Path, schema: str) -> Manifest:
    """Read a manifest and check that it is the one asked for.

    Raises ``ManifestMissing``, ``ManifestError`` or ``WorkspaceVersionError``.
    """
    header, file = _opened(path, schema)
    try:
        table = pq.read_table(file)
    except (pa.ArrowInvalid, OSError) as e:
        raise _damaged(path, e) from e
    return Manifest(path, header, table_from_rows(schema, table.replace_schema_metadata(None)))


def _opened(path: Path, schema: str = "") -> tuple[Header, Path]:
    """The header, and the file that it was read from: ``path`` itself or a local copy."""
    try:
        file = local(path)
        meta = pq.read_metadata(file).metadata or {}
    except FileNotFoundError as e:
        raise _missing(path) from e
    except (pa.ArrowInvalid, OSError) as e:
        raise _damaged(path, e) from e
    if KEY not in meta:
        raise ManifestError(
            f"{path} is a Parquet file but not a Keepset manifest.",
            "Move it out of the workspace and run the stage that writes it again.",
        )
    raw = json.loads(meta[KEY])
    check_version(f"The manifest {path}", raw["version"])
    if schema and raw["schema"] != schema:
        raise ManifestError(f"{path} holds the manifest '{raw['schema']}', not '{schema}'.")
    return Header(**raw), file


def batches(
    path: Path, schema: str, columns: Sequence[str] | None = None, *, size: int = 8192, start: int = 0
) -> Iterator[pa.RecordBatch]:
    """The rows from number ``start`` on, at most ``size`` at a time, with memory for one row group.

    Raises as ``read`` does; the columns are as they were checked when written.
    """
    _, file = _opened(path, schema)
    try:
        with pq.ParquetFile(file) as parquet:
            for number in range(parquet.num_row_groups):
                rows = parquet.metadata.row_group(number).num_rows
                if start >= rows:
                    start -= rows
                    continue
                group = parquet.read_row_group(number, columns=columns).slice(start)
                yield from completed(SCHEMAS[schema], group, columns).to_batches(max_chunksize=size)
                start = 0
    except (pa.ArrowInvalid, OSError) as e:
        raise _damaged(path, e) from e


def table(path: Path, schema: str, columns: Sequence[str], only: Iterable[str] | None = None) -> pa.Table:
    """Some columns as one table, of all rows or of those whose sha256 is in ``only``. Raises as ``read`` does."""
    wanted = pa.schema([SCHEMAS[schema].arrow.field(c) for c in columns]).remove_metadata()
    names = pa.array([] if only is None else sorted(only), pa.string())
    size = max(8192, len(names))  # rows at a time: for each piece the names are hashed again
    pieces: Iterable[pa.RecordBatch] = batches(path, schema, columns, size=size)
    if only is not None:
        pieces = (p.filter(pc.is_in(p.column("sha256"), value_set=names)) for p in pieces)
    pieces = (p.select(wanted.names) for p in pieces)
    return pa.Table.from_batches([pa.RecordBatch.from_arrays(p.columns, schema=wanted) for p in pieces], wanted)


@overload
def each(path: Path, schema: type[R], columns: Sequence[str] | None = None) -> Iterator[R]: ...
@overload
def each(path: Path, schema: str, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]: ...
def each(path: Path, schema: Any, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """The rows of ``batches`` one by one, with the ``columns`` asked for. Raises as ``read`` does.

    ``schema``: a type of ``keepset.manifests.rows``, which the rows then are of; or the manifest's name.
    """
    for piece in batches(path, _name_of(schema), columns):
        yield from piece.to_pylist()


@overload
def picked(path: Path, schema: type[R], columns: Sequence[str] | None, wanted: Iterable[str]) -> Iterator[R]: ...
@overload
def picked(
    path: Path, schema: str, columns: Sequence[str] | None, wanted: Iterable[str]
) -> Iterator[dict[str, Any]]: ...
def picked(path: Path, schema: Any, columns: Sequence[str] | None, wanted: Iterable[str]) -> Iterator[Any]:
    """The rows of the images in ``wanted`` (sha256s), out of a manifest of any length, in its order.

    ``schema`` is as in ``each``. Raises as ``read`` does.
    """
    names = pa.array(sorted(wanted), pa.string())
    for piece in batches(path, _name_of(schema), columns) if len(names) else ():
        yield from piece.filter(pc.is_in(piece.column("sha256"), value_set=names)).to_pylist()


def _name_of(schema: str | type) -> str:
    """The manifest's name; of a row's type too."""
    return schema if isinstance(schema, str) else _BY_ROW_TYPE[schema.__name__]


_BY_ROW_TYPE = {schema.row_type: name for name, schema in SCHEMAS.items()}


def fingerprint(stage: str, parents: Mapping[str, str], config: Mapping[str, Any], version: int = 1) -> str:
    """What decides whether a stage has anything to do: its parents' content, its config, its own version.

    16 hex digits. ``version`` is raised by a stage whose code would now give another answer.
    """
    facts = {"stage": stage, "version": version, "parents": dict(parents), "config": dict(config)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def up_to_date(path: Path, wanted: str) -> Header | None:
    """The header of the manifest at ``path`` if it was written with the fingerprint ``wanted``."""
    try:
        header = read_header(path)
    except ManifestMissing:
        return None
    return header if header.fingerprint == wanted else None


def _missing(path: Path) -> ManifestMissing:
    schema = SCHEMAS.get(path.stem, SCHEMAS["dataset"])  # a revision is named by its number
    return ManifestMissing(
        f"There is no {path.name} in {path.parent}.",
        f"Run `keepset {schema.stage}` first, or the full pipeline with `keepset run`.",
    )


def _damaged(path: Path, e: Exception) -> ManifestError:
    return ManifestError(
        f"{path} cannot be read: {e}", "It is damaged; delete it and run the stage that writes it again."
    )
