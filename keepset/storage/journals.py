"""A journal that other machines can go on from: its new rows go to the object store, some at a time.

``journal/<name>/00000042.jsonl.gz`` holds rows that one process sent at one moment; the numbers give their order. The
SQLite file of each machine is a cache of them, with the rows that were not sent yet.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from keepset.errors import WorkspaceError
from keepset.storage.carrying import bring
from keepset.storage.journal import Journal, JournalRow
from keepset.storage.paths import StoredPath

if TYPE_CHECKING:
    from keepset.workspace import Workspace

__all__ = ["SharedJournal", "open_journal"]

SEND_AFTER_S = 20.0
SEND_AFTER_ROWS = 2000
"""What a machine that dies has not sent yet is done again by another one: so much at most."""


def open_journal(ws: Workspace, name: str, part: str = "") -> Journal:
    """The journal of that name, or a part of it; of a workspace on an object store, one that other machines can go on
    from, which needs no parts: each machine has a file of its own anyhow."""
    path = ws.journal / f"{name}.sqlite"
    if not isinstance(ws.root, StoredPath):
        return Journal(path, part)
    return SharedJournal(path, ws.root / "journal" / name)


class SharedJournal(Journal):
    """``path`` is this machine's file, ``folder`` the place on the store. A row that another machine sent is seen by
    whoever opens the journal later."""

    def __init__(self, path: Path, folder: StoredPath) -> None:
        super().__init__(path)
        self.folder, self.waiting, self.sent_at = folder, 0, time.monotonic()
        with self._closed_if_refused():
            with self._refusals():
                self.db.execute("CREATE TABLE IF NOT EXISTS unsent (key TEXT PRIMARY KEY) WITHOUT ROWID")
                self.db.execute("CREATE TABLE IF NOT EXISTS taken (number INTEGER PRIMARY KEY)")
            self._catch_up()

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, where: TracebackType | None) -> None:
        try:
            with contextlib.suppress(*(() if e is None else (WorkspaceError,))):  # not in the way of the first trouble
                self.send()
        finally:
            super().__exit__(kind, e, where)

    def put(self, key: str, row: JournalRow) -> None:
        with self._refusals(), self._transaction():
            self.db.execute("INSERT OR REPLACE INTO done VALUES (?, ?)", (key, json.dumps(row)))
            self.db.execute("INSERT OR IGNORE INTO unsent VALUES (?)", (key,))
        self.waiting += 1
        if self.waiting >= SEND_AFTER_ROWS or time.monotonic() - self.sent_at > SEND_AFTER_S:
            self.send()

    def settle(self, patience_s: float = 0.0) -> int:
        """Take in what other machines have sent since this journal was opened; return how many rows came."""
        return self._catch_up()

    def send(self) -> None:
        """Put the rows that are new here where other machines find them. Killed half-way, it is done again.

        The file is not locked meanwhile: other processes of this machine go on, however long the store takes.
        """
        with self._refusals():
            rows = self.db.execute("SELECT key, row FROM done WHERE key IN (SELECT key FROM unsent)").fetchall()
        if rows:
            number = self._create("".join(f"[{json.dumps(key)}, {row}]\n" for key, row in rows))
            with self._refusals(), self._transaction():
                self.db.execute("INSERT OR IGNORE INTO taken VALUES (?)", (number,))
                self.db.executemany(  # a row that was put meanwhile is still to be sent
                    "DELETE FROM unsent WHERE key = ?1 AND (SELECT row FROM done WHERE key = ?1) = ?2", rows
                )
        self.waiting, self.sent_at = 0, time.monotonic()

    def _create(self, lines: str) -> int:
        data = gzip.compress(lines.encode(), mtime=0)
        number = 1 + max((n for n, _ in self._parts()), default=0)
        while True:
            path = self.folder / f"{number:08d}.jsonl.gz"
            try:
                path.bucket.put(path.key, data, exclusive=True)
            except FileExistsError:  # another machine's, taken when the journal is opened next
                number += 1
            else:
                return number

    def _catch_up(self) -> int:
        rows = 0
        with self._refusals():
            taken = {n for (n,) in self.db.execute("SELECT number FROM taken")}
        fresh = [(n, path) for n, path in self._parts() if n not in taken]
        for (number, _), copy in zip(fresh, bring(path for _, path in fresh), strict=True):
            with gzip.open(copy, "rt", encoding="utf-8") as lines, self._refusals(), self._transaction():
                rows += self.db.executemany(
                    "INSERT OR REPLACE INTO done SELECT ?1, ?2 WHERE ?1 NOT IN (SELECT key FROM unsent)",
                    ((key, json.dumps(row)) for key, row in map(json.loads, lines)),
                ).rowcount
                self.db.execute("INSERT OR IGNORE INTO taken VALUES (?)", (number,))
        return rows

    def _parts(self) -> Iterator[tuple[int, StoredPath]]:
        for key, _ in self.folder.bucket.sizes(f"{self.folder.key}/"):
            name = key.rpartition("/")[2]
            yield int(name.partition(".")[0]), self.folder / name

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")
