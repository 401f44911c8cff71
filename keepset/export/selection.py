"""Which pictures an export holds, in which order, and what is left out of it.

The data set and the facts of its images are joined in a temporary SQLite database, so that memory does not grow with
their number; its file has no name, so that a kill leaves none behind. The order is that of the sha256: the same every time, and as good as shuffled for who reads in order.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from keepset import manifests
from keepset.card.public import shown_url, web_link
from keepset.errors import ConfigError, ManifestMissing, StageError
from keepset.reasons import Split
from keepset.workspace import Workspace

__all__ = ["FACTS", "ExportedImage", "ImageFilter", "Selection", "find_revision"]

_FROM_DATASET = ("sha256", "label", "split", "given_label", "active", "dup_of", "dup_kind")
FACTS = (
    "url", "source", "title", "creator", "license", "license_url", "landing_page", "format", "width", "height", "bytes",
)  # fmt: skip
"""Columns of images.parquet that travel with a picture."""


@dataclass(frozen=True)
class ImageFilter:
    """``revision``: None for the current one. ``splits``: which; empty for all."""

    revision: int | None = None
    splits: tuple[Split, ...] = ()


@dataclass(frozen=True)
class ExportedImage:
    """One picture of the export; ``width`` and ``height`` as one sees it, in pixels."""

    sha256: str
    label: str
    split: str
    given_label: str
    url: str | None
    source: str | None
    title: str | None
    creator: str | None
    license: str | None
    license_url: str | None
    landing_page: str | None
    format: str | None
    width: int | None
    height: int | None
    bytes: int | None


_COLUMNS = ", ".join(f.name for f in fields(ExportedImage))
_IS_COPY = "d.dup_kind = 'exact' AND EXISTS (SELECT 1 FROM d AS o WHERE o.sha256 = d.dup_of AND o.active)"


class Selection:
    """``with Selection(ws, wanted) as chosen``.

    Raises ``ManifestMissing`` if there is no data set, ``ConfigError`` if there is no such revision, ``StageError``
    if nothing is left to export.
    """

    def __init__(self, ws: Workspace, wanted: ImageFilter) -> None:
        self.ws, self.wanted = ws, wanted
        self.revision = find_revision(ws, wanted.revision)
        self.db = sqlite3.connect("", isolation_level=None)  # on disk, and unlinked once it is open
        try:
            self._join()
        except BaseException:
            self.db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, where: TracebackType | None) -> None:
        self.db.close()

    def _join(self) -> None:
        self.db.execute("PRAGMA journal_mode=OFF")
        self.db.execute("PRAGMA synchronous=OFF")
        self._fill("d", self.ws.dataset(self.revision), "dataset", _FROM_DATASET)
        self._fill("i", self.ws.images, "images", ("sha256", *FACTS))
        splits = self.wanted.splits or tuple(Split)
        marks = ",".join("?" * len(splits))
        self.db.execute(
            f"CREATE TABLE chosen AS SELECT d.sha256 AS sha256, {_IS_COPY} AS is_copy, d.active AS active, "  # noqa: S608
            f"d.split IN ({marks}) AS wanted FROM d",
            [str(s) for s in splits],
        )
        self.db.execute("CREATE UNIQUE INDEX by_sha ON chosen (sha256)")
        if not self.total:
            raise StageError(
                f"Revision {self.revision} has no picture to export"
                + (f" in {', '.join(self.wanted.splits)}." if self.wanted.splits else "."),
                "Ask for another --revision or --split; `keepset status` shows what there is.",
            )

    def _fill(self, table: str, path: Path, schema: str, columns: Sequence[str]) -> None:
        self.db.execute(f"CREATE TABLE {table} ({', '.join(columns)}, PRIMARY KEY (sha256)) WITHOUT ROWID")
        into = f"INSERT INTO {table} VALUES ({','.join('?' * len(columns))})"  # noqa: S608
        self.db.execute("BEGIN")
        for batch in manifests.batches(path, schema, columns):
            self.db.executemany(into, zip(*(batch.column(c).to_pylist() for c in columns), strict=True))
        self.db.execute("COMMIT")

    # -- what is in it -----------------------------------------------------------------------------

    @cached_property
    def counts(self) -> dict[str, dict[str, int]]:
        """Pictures by split and label."""
        rows = self.db.execute(
            "SELECT split, label, count(*) FROM chosen JOIN d USING (sha256) "
            "WHERE chosen.active AND wanted AND NOT is_copy GROUP BY split, label ORDER BY split, label"
        )
        found: dict[str, dict[str, int]] = {}
        for split, label, n in rows:
            found.setdefault(split, {})[label] = n
        return {str(s): found[s] for s in Split if s in found}

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.counts)

    @property
    def total(self) -> int:
        return sum(sum(labels.values()) for labels in self.counts.values())

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Classes of the whole revision, sorted: the same numbers whichever splits are asked for."""
        rows = self.db.execute("SELECT DISTINCT label FROM d WHERE active")
        return tuple(sorted(label for (label,) in rows))

    @cached_property
    def left_out(self) -> dict[str, int]:
        """Rows of the revision that are not exported: deleted ones, exact copies, other splits."""
        deleted, copies, others = self.db.execute(
            "SELECT coalesce(sum(NOT active), 0), coalesce(sum(active AND is_copy), 0), "
            "coalesce(sum(active AND NOT is_copy AND NOT wanted), 0) FROM chosen"
        ).fetchone()
        return {"deleted": deleted, "exact_copies": copies, "other_splits": others}

    def items(self, split: str | None = None) -> Iterator[ExportedImage]:
        """The pictures of one split, or of all, in the order of their sha256."""
        rows = self.db.cursor().execute(
            f"SELECT {_COLUMNS} FROM chosen JOIN d USING (sha256) LEFT JOIN i USING (sha256) "  # noqa: S608
            "WHERE chosen.active AND wanted AND NOT is_copy AND (? IS NULL OR split = ?) ORDER BY sha256",
            (split, split),
        )
        return (_public(ExportedImage(*row)) for row in rows)

    def digest(self) -> str:
        """sha256 of all that the export will say."""
        found = hashlib.sha256(repr(self.labels).encode())
        for item in self.items():
            found.update(repr(_values(item)).encode())
        return found.hexdigest()


def _public(item: ExportedImage) -> ExportedImage:
    """Without what is nobody else's business: paths of this machine, signed addresses, links that are none."""
    return replace(
        item,
        url=shown_url(item.url) or None,
        landing_page=web_link(item.landing_page),
        license_url=web_link(item.license_url),
    )


def _values(item: ExportedImage) -> Iterable[Any]:
    return [getattr(item, f.name) for f in fields(ExportedImage)]


def find_revision(ws: Workspace, wanted: int | None) -> int:
    """Raises ``ManifestMissing`` or ``ConfigError``."""
    there = ws.revisions()
    if not there:
        raise ManifestMissing(
            f"The workspace {ws.root} has no data set yet.", "Run `keepset split` first, or `keepset run`."
        )
    if wanted is not None and wanted not in there:
        raise ConfigError(f"There is no revision {wanted}.", f"There are {there[0]} to {there[-1]}; `keepset status`.")
    return there[-1] if wanted is None else wanted
