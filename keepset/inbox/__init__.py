"""The inbox: what people on the prediction page say a picture shows, kept until a reviewer decides about it.

Off unless ``[inbox] enabled`` or the app answers to this machine alone, and always on an object store. A row of ``inbox.jsonl`` is
``{"at", "sha256", "predicted", "label", "who"}``: it is offered to the reviewer, never applied. A picture that the data
set does not hold is kept below ``inbox/``, from where ``scrape`` takes it like a file of a folder, under the class
that the model said. It then waits in the data set, not in use, until a cleaning batch relabels it or deletes it.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepset.config import InboxConfig
from keepset.errors import ConfigError, ReviewError
from keepset.files import append_line, read_rows, write_bytes
from keepset.images.formats import sniff
from keepset.storage import StoredPath
from keepset.storage.filenames import picture_name
from keepset.workspace import SHA256, Workspace

if TYPE_CHECKING:
    from keepset.review.memory import Past

__all__ = [
    "WAITING", "Correction", "Inbox", "InboxFull", "Kept", "TooMany", "inbox_config", "inbox_folder", "offered", "pending",
    "read", "strangers",
]  # fmt: skip

WAITING = "inbox"
"""``source`` of a picture from the inbox, and ``changed_by`` of its row in the data set while nobody has decided."""
_MOST_LOG = 5_000_000
"""Bytes of inbox.jsonl: about 20,000 corrections."""
_LONGEST = 100
"""Characters of a field that are taken: the file is written on behalf of strangers."""
_ASK = "Ask the people of this data set to build it and review the next batch (`keepset run`)."


class InboxFull(ReviewError):
    """No room until a reviewer has decided about what is there."""


class TooMany(ReviewError):
    """More corrections in a minute than are taken; ``retry_after`` in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many corrections at once.", f"Try again in {retry_after} s.")
        self.retry_after = retry_after


@dataclass(frozen=True)
class Correction:
    """What a user said that a picture shows, and when (ISO 8601, UTC)."""

    sha256: str
    label: str
    predicted: str
    who: str
    at: str


@dataclass(frozen=True)
class Kept:
    """``known``: the data set holds this picture already; ``predicted``: the model's class, ``label``: the person's."""

    sha256: str
    known: bool
    predicted: str
    label: str


def inbox_config(ws: Workspace) -> InboxConfig:
    """As the run config has it now; off where there is no valid one, and on an object store."""
    if isinstance(ws.root, StoredPath):  # the inbox is a folder of files, which scrape takes in
        return InboxConfig(enabled=False)
    try:
        return ws.config().inbox
    except (ConfigError, ValueError):
        return InboxConfig(enabled=False)


def inbox_folder(ws: Workspace) -> Path:
    """The kept pictures. A local folder always: empty for a workspace on an object store."""
    return (ws.scratch if isinstance(ws.root, StoredPath) else ws.root) / "inbox"


class Inbox:
    """One per server process; its methods may be called from any thread."""

    def __init__(self, ws: Workspace, config: InboxConfig) -> None:
        self.ws, self.config = ws, config
        self.lock = threading.Lock()
        self.allowance, self.at = float(config.per_minute), time.monotonic()

    def admit(self) -> None:
        """Count one attempt. Raises ``TooMany``: a token bucket for all callers together."""
        with self.lock:
            now, rate = time.monotonic(), self.config.per_minute / 60
            self.allowance = min(self.config.per_minute, self.allowance + (now - self.at) * rate)
            self.at = now
            if self.allowance < 1:
                raise TooMany(max(1, round((1 - self.allowance) / rate)))
            self.allowance -= 1

    def keep(self, data: bytes, *, predicted: str, label: str, who: str) -> Kept:
        """Write a correction down. The caller has decoded ``data`` within its limits and knows both classes.

        The picture is kept first, then the row that names it; saying the same again changes nothing. Raises
        ``InboxFull``.
        """
        kind, sha = sniff(data[:64]), hashlib.sha256(data).hexdigest()
        if kind is None:
            raise ValueError("the caller has not decoded it")
        with self.lock:
            log = _log(self.ws)
            if log.exists() and log.stat().st_size > _MOST_LOG:
                raise InboxFull("The inbox has no room for more corrections.", _ASK)
            known = self.ws.blob(sha).exists() or sha in self.ws.purged()
            file = inbox_folder(self.ws) / sha[:2] / picture_name(sha, kind)
            if not known and not file.exists():
                self._make_room(len(data))
                write_bytes(file, data)
            row = {"sha256": sha, "predicted": predicted, "label": label, "who": " ".join(who.split())[:_LONGEST]}
            last = next((vars(c) for c in reversed(read(self.ws)) if c.sha256 == sha), {})
            if {k: last.get(k) for k in row} != row:
                at = datetime.now(UTC).isoformat()
                append_line(log, json.dumps({"at": at, **row}, ensure_ascii=False))
        return Kept(sha, known, predicted, label)

    def _make_room(self, size: int) -> None:
        """What ``download`` has taken in meanwhile is not needed here any more."""
        count = total = 0
        for path in _pictures(self.ws):
            if self.ws.blob(path.stem).exists():
                path.unlink(missing_ok=True)
                continue
            count, total = count + 1, total + path.stat().st_size
        if count >= self.config.max_pictures or total + size > self.config.max_mb * 1_000_000:
            raise InboxFull("The inbox is full.", _ASK)


def read(ws: Workspace) -> list[Correction]:
    """All readable rows, oldest first. The file is written by a web page, so a bad line is passed over."""
    rows = (
        Correction(**{f.name: str(row.get(f.name) or "")[:_LONGEST] for f in fields(Correction)})
        for row in read_rows(_log(ws))
    )
    return [c for c in rows if SHA256.fullmatch(c.sha256)]


def offered(ws: Workspace, label: str) -> Iterator[str]:
    """The addresses of the kept pictures that the model took for ``label``, which ``scrape`` takes like a folder's."""
    said = {c.sha256: c.predicted for c in read(ws)} if inbox_folder(ws).is_dir() else {}
    return (p.as_uri() for p in _pictures(ws) if said.get(p.stem) == label)


def pending(ws: Workspace, active: Mapping[str, Mapping[str, Any]], past: Past) -> dict[str, Correction]:
    """By sha256 the last correction of each active image that disagrees with its label and is newer than
    the last decision on it."""
    found: dict[str, Correction] = {}
    for c in read(ws):
        decided = past.decided.get(c.sha256)
        if c.sha256 in active and (decided is None or decided.at < c.at):
            found[c.sha256] = c
    return {s: c for s, c in found.items() if c.label != active[s]["label"]}


def strangers(ws: Workspace, known: Container[str]) -> int:
    """Number of corrected pictures that the data set does not hold, and that nobody can decide on here."""
    return len({c.sha256 for c in read(ws) if c.sha256 not in known})


def _log(ws: Workspace) -> Path:
    return ws.root / "inbox.jsonl"


def _pictures(ws: Workspace) -> Iterator[Path]:
    return (p for p in sorted(inbox_folder(ws).glob("??/*")) if p.is_file() and p.name[0] != ".")
