"""Journals: what a sharded stage has finished, one row an item, so that a kill loses nothing that was done.

A journal is an SQLite file: several processes of one machine may write it at once, a row is safe from a kill of this
process as soon as ``put`` returns, and looking up a shard's items reads no others, however many there are. After a
power cut the last rows may be missing, never half written; the caller checks that what a row names is on disk.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from keepset.errors import WorkspaceNotWritable

__all__ = ["Journal"]

Row = dict[str, Any]
_AT_ONCE = 500  # bound parameters of one SELECT


class Journal:
    """Rows by key; a later row of a key takes the place of the one before.

    ``with Journal(path) as journal:`` makes the file if it is missing. Raises ``WorkspaceNotWritable`` if the disk
    refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._refusals():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.db = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute("PRAGMA synchronous=NORMAL")
            self.db.execute("CREATE TABLE IF NOT EXISTS done (key TEXT PRIMARY KEY, row TEXT) WITHOUT ROWID")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, where: TracebackType | None
    ) -> None:
        self.db.close()

    def put(self, key: str, row: Row) -> None:
        with self._refusals():
            self.db.execute("INSERT OR REPLACE INTO done VALUES (?, ?)", (key, json.dumps(row)))

    def get(self, keys: Iterable[str]) -> dict[str, Row]:
        """The rows of those keys that have one."""
        found: dict[str, Row] = {}
        wanted = iter(keys)
        while some := list(islice(wanted, _AT_ONCE)):
            marks = ",".join("?" * len(some))
            for key, row in self.db.execute(f"SELECT key, row FROM done WHERE key IN ({marks})", some):  # noqa: S608
                found[key] = json.loads(row)
        return found

    def __len__(self) -> int:
        return int(self.db.execute("SELECT count(*) FROM done").fetchone()[0])

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as e:
            raise WorkspaceNotWritable(
                f"The journal {self.path} cannot be written: {e}.",
                "Free some space or give this user write access, then run the same command again.",
            ) from e
