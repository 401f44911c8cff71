"""Append-only logs on the object store: ``audit.jsonl/0000000042`` is line 42, and never changes.

An object cannot be appended to, so a line is an object of its own, created under a condition: of two writers of one
number one wins, and the other takes the next. Nothing is ever rewritten, so nothing can be lost.
"""

from __future__ import annotations

from keepset.storage.carrying import bring
from keepset.storage.paths import StoredPath

__all__ = ["append", "read"]

_last_seen: dict[StoredPath, int] = {}  # where to begin to look for the end


def append(log: StoredPath, line: str) -> None:
    number = _last(log) + 1
    while True:
        try:
            log.bucket.put(f"{log.key}/{number:010d}", line.encode() + b"\n", exclusive=True)
        except FileExistsError:
            number += 1
        else:
            _last_seen[log] = number
            return


def read(log: StoredPath) -> list[str]:
    """All lines in order; none if nothing was ever appended. Lines read before are not fetched again."""
    keys = [key for key, _ in log.bucket.sizes(f"{log.key}/")]
    copies = bring(log / key.rpartition("/")[2] for key in keys)
    return [c.read_text(encoding="utf-8", errors="replace").rstrip("\n") for c in copies]


def _last(log: StoredPath) -> int:
    seen = _last_seen.get(log, 0)
    after = f"{log.key}/{seen:010d}" if seen else ""
    return max((int(k.rpartition("/")[2]) for k, _ in log.bucket.sizes(f"{log.key}/", after)), default=seen)
