"""Reading and writing manifests: the only module that touches their Parquet files.

A manifest is written to a temporary file, synced, and renamed: a reader sees the old one or the new one,
never half of one. The file's metadata holds, as JSON under the key ``keepset``: the schema's name and
version, the stage that wrote it, its fingerprint (same fingerprint: nothing to do again), its parents'
content hashes, the run config, and the manifest's own content hash over its stable columns.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from keepset.errors import ManifestError, ManifestMissing
from keepset.files import atomic_path, local
from keepset.schemas import SCHEMA_VERSION, SCHEMAS, ManifestSchema, check_version

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Header",
    "Manifest",
    "Writer",
    "batches",
    "content_hash",
    "each",
    "fingerprint",
    "picked",
    "read",
    "read_header",
    "table_from_rows",
    "up_to_date",
    "write",
    "writing",
]

R = TypeVar("R")
"""The type of a row."""
_KEY = b"keepset"
_GROUP_ROWS = 65_536


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
        """All rows; ``of``: their type in ``keepset.rows``."""
        if of is not None and _name_of(of) != self.header.schema:
            raise TypeError(f"{self.path} holds '{self.header.schema}', whose rows are not of {of.__name__}")
        return list(self.table.to_pylist())

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
    digest = _Digest(SCHEMAS[schema] if isinstance(schema, str) else schema)
    for start in range(0, table.num_rows, _GROUP_ROWS):
        digest.add(table.slice(start, _GROUP_ROWS))
    return digest.hexdigest()


class _Digest:
    """The content hash of a manifest that comes in pieces of ``_GROUP_ROWS`` rows, the last one smaller."""

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


class Writer:
    """A manifest being written piece by piece, with memory for one row group. See ``writing``."""

    def __init__(self, path: Path, part: Path, schema: str) -> None:
        self.path, self.want, self.rows = path, SCHEMAS[schema], 0
        self.digest = _Digest(self.want)
        self.file = pq.ParquetWriter(part, self.want.arrow, compression="zstd", store_schema=False)
        self.waiting: list[pa.Table] = []
        self.header: Header | None = None

    def add(self, rows: Iterable[Mapping[str, Any]] | pa.Table) -> None:
        """Append rows, checked as ``table_from_rows`` checks them."""
        table = table_from_rows(self.want, rows)
        self.rows += table.num_rows
        self.waiting.append(table)
        if sum(t.num_rows for t in self.waiting) >= _GROUP_ROWS:
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
        while table.num_rows - start >= _GROUP_ROWS or (not whole and start < table.num_rows):
            piece = table.slice(start, _GROUP_ROWS)
            self.digest.add(piece)
            self.file.write_table(piece, row_group_size=_GROUP_ROWS)
            start += _GROUP_ROWS
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
            out.file.add_key_value_metadata({_KEY: json.dumps(asdict(out.header), sort_keys=True).encode()})
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


def read_header(path: Path) -> Header:
    """The header alone, without reading the rows.

    Raises ``ManifestMissing``, ``ManifestError`` (damaged or not ours) or ``WorkspaceVersionError``.
    """
    return _header(path, path)


def _header(path: Path, file: Path) -> Header:
    """``file``: where the bytes of ``path`` are, ``path`` itself or a local copy."""
    try:
        meta = pq.read_metadata(local(file)).metadata or {}
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
    check_version(f"The manifest {path}", raw["version"])
    return Header(**raw)


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


def _opened(path: Path, schema: str) -> tuple[Header, Path]:
    """The header, and the file that it stands in."""
    try:
        file = local(path)
    except FileNotFoundError as e:
        raise _missing(path) from e
    header = _header(path, file)
    if header.schema != schema:
        raise ManifestError(f"{path} holds the manifest '{header.schema}', not '{schema}'.")
    return header, file


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
                yield from group.to_batches(max_chunksize=size)
                start = 0
    except (pa.ArrowInvalid, OSError) as e:
        raise _damaged(path, e) from e


@overload
def each(path: Path, schema: type[R], columns: Sequence[str] | None = None) -> Iterator[R]: ...
@overload
def each(path: Path, schema: str, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]: ...
def each(path: Path, schema: Any, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """The rows of ``batches`` one by one, with the ``columns`` asked for. Raises as ``read`` does.

    ``schema``: a type of ``keepset.rows``, which the rows then are of; or the manifest's name.
    """
    for piece in batches(path, _name_of(schema), columns):
        yield from piece.to_pylist()


@overload
def picked(
    path: Path, schema: type[R], columns: Sequence[str] | None, wanted: Iterable[str]
) -> Iterator[R]: ...
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
