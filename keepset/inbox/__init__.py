"""The inbox: what people on the prediction page say a picture shows, kept until a reviewer decides about it.

Off unless ``[inbox] enabled``. A row of ``inbox.jsonl`` is read by ``keepset.inbox.corrections``. A picture that the data
set does not hold is kept below ``inbox/``, from where ``scrape`` takes it like a file of a folder, under the class
that the model said. It then waits in the data set, not in use, until a cleaning batch relabels it or deletes it.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from keepset.config import InboxConfig
from keepset.errors import ReviewError
from keepset.files import append_line, parsed_row, write_bytes
from keepset.images.formats import sniff
from keepset.scrape.found import Found
from keepset.storage.filenames import picture_name
from keepset.workspace import Workspace

__all__ = ["WAITING", "Inbox", "InboxFull", "Kept", "TooMany", "read_inbox"]

WAITING = "inbox"
"""``changed_by`` of a data-set row that is not in use because nobody has decided about it yet."""
_MOST_LOG = 5_000_000
"""Bytes of inbox.jsonl: about 20,000 corrections."""
_LONGEST = 100


class InboxFull(ReviewError):
    """No room until a reviewer has decided about what is there."""


class TooMany(ReviewError):
    """More corrections in a minute than are taken; ``retry_after`` in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many corrections at once.", f"Try again in {retry_after} s.")
        self.retry_after = retry_after


@dataclass(frozen=True)
class Kept:
    """``known``: the data set holds this picture already."""

    sha256: str
    known: bool


class Inbox:
    """One a server process; its methods may be called from any thread."""

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
            log = self.ws.root / "inbox.jsonl"
            if log.exists() and log.stat().st_size > _MOST_LOG:
                raise InboxFull("The inbox has no room for more corrections.", _ASK)
            known = self.ws.blob(sha).exists() or sha in self.ws.purged()
            file = self.ws.root / "inbox" / sha[:2] / picture_name(sha, kind)
            if not known and not file.exists():
                self._make_room(len(data))
                write_bytes(file, data)
            row = {
                "sha256": sha,
                "predicted": predicted,
                "label": label,
                "who": " ".join(who.split())[:_LONGEST],
            }
            if not self._said(log, row):
                at = datetime.now(UTC).isoformat()
                append_line(log, json.dumps({"at": at, **row}, ensure_ascii=False))
        return Kept(sha, known)

    def _make_room(self, size: int) -> None:
        """What ``download`` has taken in meanwhile is not needed here any more."""
        count = total = 0
        for path in _files(self.ws):
            if self.ws.blob(path.stem).exists():
                path.unlink(missing_ok=True)
                continue
            count, total = count + 1, total + path.stat().st_size
        if count >= self.config.max_pictures or total + size > self.config.max_mb * 1_000_000:
            raise InboxFull("The inbox is full.", _ASK)

    def _said(self, log: Path, row: dict[str, str]) -> bool:
        """Whether the last word on this picture is this very one."""
        if not log.exists():
            return False
        last: dict[str, str] = {}
        with log.open(encoding="utf-8", errors="replace") as f:
            for line in f:
                if row["sha256"] in line:
                    last = parsed_row(line) or last
        return {k: last.get(k) for k in row} == row


_ASK = "Ask the people of this data set to build it and review the next batch (`keepset run`)."


def _files(ws: Workspace) -> Iterator[Path]:
    return (p for p in sorted((ws.root / "inbox").glob("??/*")) if p.is_file() and not p.name.startswith("."))


def read_inbox(ws: Workspace, label: str) -> Iterator[Found]:
    """Pictures of the inbox that the model took for ``label``, as ``scrape`` takes a folder's."""
    from keepset.inbox.corrections import read

    said = {c.sha256: c for c in read(ws)}
    mine = (p for p in _files(ws) if p.stem in said and said[p.stem].predicted == label)
    for rank, path in enumerate(mine):
        yield Found(path.as_uri(), "inbox", "inbox", rank)
