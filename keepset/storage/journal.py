"""Journals: what a sharded stage has finished, one row per item, so that a kill loses nothing that was done.

A journal is an SQLite file: several processes of one machine may write it at once, a row is safe from a kill of this
process as soon as ``put`` returns, and looking up a shard's items reads no others, however many there are. After a
power cut the last rows may be missing, never half written; the caller checks that what a row names is on disk.

Processes of *several* machines cannot share an SQLite file: its write-ahead log lives in shared memory. There each
writes a part of its own beside the journal, locked for itself alone, and reads the journal itself without a lock,
because nobody writes it meanwhile; ``settle`` takes the parts in when they have all ended.
"""

from __future__ import annotations

import contextlib
import glob
import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from keepset.errors import WorkspaceBusy, WorkspaceNotWritable

__all__ = ["Journal", "JournalRow"]

JournalRow = dict[str, Any]
_AT_ONCE = 500  # bound parameters of one SELECT
_PATIENCE_S = 60.0
_TABLE = "CREATE TABLE IF NOT EXISTS main.done (key TEXT PRIMARY KEY, row TEXT) WITHOUT ROWID"


class Journal:
    """Rows by key; a later row of a key takes the place of the one before.

    ``with Journal(path) as journal:`` makes the file if it is missing. With ``part``, what is put goes into the part
    of that name, which one process at a time may hold. Raises ``WorkspaceNotWritable`` if the disk refuses, and
    ``WorkspaceBusy`` if another process holds the part.
    """

    def __init__(self, path: Path, part: str = "") -> None:
        self.path = _part(path, part) if part else path
        self.tables = ["main"]
        with self._refusals():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.db = sqlite3.connect(
                self.path.absolute().as_uri(), timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False, uri=True
            )  # fmt: skip
        with self._closed_if_refused(), self._refusals():
            if part:  # said before the log begins: a log that one process holds needs no shared memory
                self.db.execute("PRAGMA main.locking_mode=EXCLUSIVE")
            self.db.execute("PRAGMA main.journal_mode=WAL")
            self.db.execute("PRAGMA main.synchronous=NORMAL")
            self.db.execute("BEGIN IMMEDIATE")
            self.db.execute(_TABLE)
            self.db.execute("COMMIT")
            if part and path.exists():
                self.db.execute("ATTACH ? AS settled", (f"{path.absolute().as_uri()}?immutable=1",))
                self.tables = ["settled", "main"]

    @contextlib.contextmanager
    def _closed_if_refused(self) -> Iterator[None]:
        """A journal that cannot be opened leaves no connection, and so no lock, behind."""
        try:
            yield
        except BaseException:
            self.db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, where: TracebackType | None) -> None:
        self.db.close()

    def put(self, key: str, row: JournalRow) -> None:
        with self._refusals():
            self.db.execute("INSERT OR REPLACE INTO main.done VALUES (?, ?)", (key, json.dumps(row)))

    def get(self, keys: Iterable[str]) -> dict[str, JournalRow]:
        """The rows of those keys that have one."""
        found: dict[str, JournalRow] = {}
        wanted = iter(keys)
        while some := list(islice(wanted, _AT_ONCE)):
            marks = ",".join("?" * len(some))
            for table in self.tables:  # the part last: what it says is newer
                wanted_rows = f"SELECT key, row FROM {table}.done WHERE key IN ({marks})"  # noqa: S608
                found.update((key, json.loads(row)) for key, row in self.db.execute(wanted_rows, some))
        return found

    def settle(self, patience_s: float = _PATIENCE_S) -> int:
        """Take in the rows of all parts and remove these; return how many rows came. Killed between, it is done again.

        Raises ``WorkspaceBusy`` if a part is still held after ``patience_s`` seconds.
        """
        rows = 0
        for part in sorted(self.path.parent.glob(glob.escape(self.path.stem) + f".*{_PART}")):
            with self._refusals(part):
                rows += self._take_in(part, patience_s)
            for left in (part, *(part.with_name(part.name + end) for end in ("-wal", "-shm"))):
                left.unlink(missing_ok=True)
        with self._refusals():  # what the parts' writers read without a lock must be whole
            self.db.execute("PRAGMA main.wal_checkpoint(TRUNCATE)")
        return rows

    def _take_in(self, part: Path, patience_s: float) -> int:
        self.db.execute(f"PRAGMA busy_timeout={round(patience_s * 1000)}")
        self.db.execute("ATTACH ? AS part", (part.absolute().as_uri(),))
        try:
            self.db.execute("PRAGMA part.locking_mode=EXCLUSIVE")
            if not self.db.execute("SELECT 1 FROM part.sqlite_master WHERE name = 'done'").fetchone():
                return 0  # killed before its first row
            return self.db.execute("INSERT OR REPLACE INTO main.done SELECT key, row FROM part.done").rowcount
        finally:
            self.db.execute("DETACH part")
            self.db.execute(f"PRAGMA busy_timeout={round(_PATIENCE_S * 1000)}")

    def __len__(self) -> int:
        return int(self.db.execute("SELECT count(*) FROM main.done").fetchone()[0])

    @contextlib.contextmanager
    def _refusals(self, path: Path | None = None) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as e:
            if getattr(e, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise WorkspaceBusy(
                    f"Another process still writes {path or self.path}.",
                    "A worker of an earlier run has not ended. Wait for it, or restart the Dask workers; then run again.",
                ) from e
            raise WorkspaceNotWritable(
                f"The journal {path or self.path} cannot be written: {e}.",
                "Free some space or give this user write access, then run the same command again.",
            ) from e


_PART = ".part.sqlite"


def _part(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}.{name}{_PART}")
