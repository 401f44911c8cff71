"""The stage ``split``: assign train, validation, test and folds by seed, once, and only ever top up.

An image's side comes from a hash of (seed, duplicate group): near copies stay together, deleting others moves
nothing. Within each class the groups with the lowest hashes fill the validation share that is still missing, so a
small class gets its share too. An image that joins a group takes the group's side and fold.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from typing import Any

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import ManifestMissing
from keepset.manifests import Header
from keepset.reasons import ItemStatus, Split
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.workspace import Workspace

__all__ = ["split"]

VERSION = 1
Row = dict[str, Any]


def split(ws: Workspace, config: RunConfig, *, progress: Progress = SILENT) -> StageResult:
    """Write revision 1, or a further one if there are new images. Nobody who has a side ever moves."""
    images = manifests.read(ws.images, "images")
    with ws.lock("split"):
        old = _current(ws)
        known = {r["sha256"]: r for r in old.rows()} if old else {}
        good = [r for r in images.rows() if r["status"] == ItemStatus.OK]
        new = [r for r in good if r["sha256"] not in known]
        if old and not new:
            revision = old.header.extra["revision"]
            message = f"up to date: revision {revision} has all {len(known)} images"
            return StageResult(Stage.SPLIT, False, message, {}, {"revision": str(revision)})
        before = int(old.header.extra["revision"]) if old else 0
        rows = list(known.values()) + _assign(list(known.values()), new, config, before + 1)
        parents = {"images": images.content_hash} | ({"dataset": old.content_hash} if old else {})
        fingerprint = manifests.fingerprint("split", parents, config.part("split", "seed"), VERSION)
        extra = {"revision": before + 1, "before": before, "cause": "split"}
        header = Header("dataset", "split", fingerprint, parents, config.as_dict(), extra)
        manifests.write(ws.dataset(before + 1), rows, header, exclusive=True)
    sides = Counter(r["split"] for r in rows if r["active"])
    counts = ", ".join(f"{n} {side}" for side, n in sorted(sides.items()))
    message = f"revision {before + 1}: {len(new)} new images; {counts}"
    return StageResult(Stage.SPLIT, True, message, dict(sides), {"revision": str(before + 1)})


def _current(ws: Workspace) -> manifests.Manifest | None:
    try:
        return ws.current_dataset()
    except ManifestMissing:
        return None


def _assign(old: list[Row], new: list[Row], config: RunConfig, revision: int) -> list[Row]:
    side_of = {r["group_id"]: (r["split"], r["fold"]) for r in old}
    # A group's id is its smallest sha256, which a new member may lower: look members up too.
    side_of |= {r["sha256"]: (r["split"], r["fold"]) for r in old}
    groups: dict[str, list[Row]] = defaultdict(list)
    for r in new:
        groups[r["group_id"]].append(r)
    open_groups = []
    for gid, members in groups.items():
        known = next((side_of[k] for k in (gid, *(m["dup_of"] for m in members)) if k in side_of), None)
        if known:
            side_of[gid] = known
        else:
            open_groups.append(gid)
    for label in sorted({groups[g][0]["label"] for g in open_groups}):
        mine = [g for g in open_groups if groups[g][0]["label"] == label]
        have = Counter(r["split"] for r in old if r["given_label"] == label)
        side_of |= _top_up(mine, {g: len(groups[g]) for g in mine}, have, config)
    return [_row(r, *side_of[r["group_id"]], revision) for r in new]


def _top_up(
    mine: list[str], sizes: dict[str, int], have: Counter[str], config: RunConfig
) -> dict[str, tuple[str, int]]:
    """Sides for a class's new groups: lowest hash first, until each share is full; the rest is for training."""
    total = sum(have.values()) + sum(sizes.values())
    room = {
        Split.VALID: round(total * config.split.valid) - have[Split.VALID],
        Split.TEST: round(total * config.split.test) - have[Split.TEST],
    }
    out = {}
    for g in sorted(mine, key=lambda g: _number(config.seed, g)):
        side = next((s for s, left in room.items() if left >= sizes[g]), Split.TRAIN)
        if side != Split.TRAIN:
            room[side] -= sizes[g]
        out[g] = (str(side), _number(config.seed + 1, g) % config.split.folds)
    return out


def _number(seed: int, group_id: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{group_id}".encode()).digest()[:8], "big")


def _row(r: Row, side: str, fold: int, revision: int) -> Row:
    keep = {k: r[k] for k in ("sha256", "label", "other_labels", "group_id", "dup_of", "dup_kind")}
    more = {"given_label": r["label"], "split": side, "fold": fold, "active": True, "added_in": revision}
    return keep | more | {"changed_in": None, "changed_by": None}
