"""The revisions of a data set: the decisions behind them, and what is in each."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from keepset import manifests
from keepset.review.auditing import REVISING
from keepset.workspace import Workspace

__all__ = ["Contents", "Revision", "contents", "revisions"]


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
        here = contents(ws, number)
        counts = {k: int(extra.get(k, 0)) for k in ("deleted", "relabelled", "restored", "removed")}
        found.append(
            Revision(number, cause, here.images, here.added, **counts, who=who, at=at.get(number, ""), why=why)
        )
    return found


@dataclass(frozen=True)
class Contents:
    """Pictures in use in one revision, by class (the largest first) and by side; ``out``: rows not in use; ``added``: rows new in it."""

    revision: int
    images: int
    classes: Mapping[str, int]
    sides: Mapping[str, int]
    out: int
    added: int


def contents(ws: Workspace, revision: int) -> Contents:
    """Raises ``ManifestMissing`` for a revision that is not there."""
    return _contents(ws.dataset(revision), revision)


@functools.lru_cache(maxsize=1024)
def _contents(path: Path, number: int) -> Contents:
    """A revision never changes, so a cache cannot go stale."""
    table = manifests.table(path, "dataset", ("label", "split", "active", "added_in"))
    active = table.filter(table["active"])
    classes, sides = (
        Counter({c["values"]: c["counts"] for c in active[of].value_counts().to_pylist()}) for of in ("label", "split")
    )
    added = pc.sum(pc.equal(table["added_in"], number)).as_py() or 0
    return Contents(number, len(active), dict(classes.most_common()), sides, len(table) - len(active), added)
