"""How a data set came to be what it is: its revisions, and the decisions behind them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from keepset import manifests
from keepset.review.auditing import REVISING
from keepset.workspace import Workspace

__all__ = ["Revision", "revisions"]


@dataclass(frozen=True)
class Revision:
    """``cause``: ``split``, ``batch:<id>``, ``restore:...`` or ``remove:<id>``. ``images``: pictures in use; ``added``: rows that are
    new in it. ``who`` is "keepset" and ``at`` (ISO) empty where ``split`` made it of new pictures."""

    revision: int
    cause: str
    images: int
    added: int
    deleted: int
    relabelled: int
    restored: int
    removed: int
    who: str
    at: str
    why: str


def revisions(ws: Workspace) -> list[Revision]:
    """All of them, the oldest first."""
    at = {r["what"].get("revision"): r["at"] for r in ws.audited(*REVISING)}
    found = []
    for number in ws.revisions():
        extra = manifests.read_header(ws.dataset(number)).extra
        cause, who, why = str(extra.get("cause", "")), str(extra.get("who", "keepset")), str(extra.get("why", ""))
        images, added = _images(ws.dataset(number), number)
        counts = {k: int(extra.get(k, 0)) for k in ("deleted", "relabelled", "restored", "removed")}
        found.append(Revision(number, cause, images, added, **counts, who=who, at=at.get(number, ""), why=why))
    return found


@functools.lru_cache(maxsize=1024)
def _images(path: Path, number: int) -> tuple[int, int]:
    """In use, and new. A revision never changes, so a cache cannot go stale."""
    active = added = 0
    for batch in manifests.batches(path, "dataset", ("active", "added_in"), size=65_536):
        active += pc.sum(batch["active"]).as_py() or 0
        added += pc.sum(pc.equal(batch["added_in"], number)).as_py() or 0
    return active, added
