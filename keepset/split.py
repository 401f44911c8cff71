"""The stage ``split``: assign train, validation, test and folds by seed, once, and only ever top up.

An image's side comes from a hash of (seed, duplicate group): near copies stay together, deleting others moves
nothing. Within each class the groups with the lowest hashes fill the validation share that is still missing, so a
small class gets its share too. An image that joins a group takes the group's side, fold and id. A new image that ties
together two groups on different sides, or in different folds, would be a leak wherever it went: it becomes a row that
is not active.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
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
        added = _assign(list(known.values()), good, config, before + 1)
        rows = list(known.values()) + added
        parents = {"images": images.content_hash} | ({"dataset": old.content_hash} if old else {})
        fingerprint = manifests.fingerprint("split", parents, config.part("split", "seed"), VERSION)
        extra = {"revision": before + 1, "before": before, "cause": "split"}
        header = Header("dataset", "split", fingerprint, parents, config.as_dict(), extra)
        manifests.write(ws.dataset(before + 1), rows, header, exclusive=True)
    sides = Counter(r["split"] for r in rows if r["active"])
    counts = ", ".join(f"{n} {side}" for side, n in sorted(sides.items()))
    ties = sum(not r["active"] for r in added)
    message = f"revision {before + 1}: {len(new)} new images; {counts}"
    message += f"; {ties} left out because they tie two sides or folds together" if ties else ""
    return StageResult(Stage.SPLIT, True, message, dict(sides), {"revision": str(before + 1)})


def _current(ws: Workspace) -> manifests.Manifest | None:
    try:
        return ws.current_dataset()
    except ManifestMissing:
        return None


@dataclass(frozen=True)
class _Place:
    """Where an image goes. ``taken`` is false for one that would tie two sides or folds together."""

    split: str
    fold: int
    group_id: str
    taken: bool = True


def _assign(old: list[Row], good: list[Row], config: RunConfig, revision: int) -> list[Row]:
    """Rows of the images that are new. Groups are today's (they may have merged); places already given stay."""
    placed = {r["sha256"]: _Place(r["split"], r["fold"], r["group_id"]) for r in old}
    groups: dict[str, list[Row]] = defaultdict(list)
    for r in good:
        groups[r["group_id"]].append(r)
    place_of, open_groups = {}, []
    for gid, members in groups.items():
        known = [placed[m["sha256"]] for m in members if m["sha256"] in placed]
        if known:
            together = len({(k.split, k.fold) for k in known}) == 1
            place_of[gid] = _Place(known[0].split, known[0].fold, known[0].group_id, together)
        else:
            open_groups.append(gid)
    for label in sorted({groups[g][0]["label"] for g in open_groups}):
        mine = [g for g in open_groups if groups[g][0]["label"] == label]
        have = Counter(r["split"] for r in old if r["given_label"] == label)
        for g, (side, fold) in _top_up(mine, {g: len(groups[g]) for g in mine}, have, config).items():
            place_of[g] = _Place(side, fold, g)
    return [_row(r, place_of[r["group_id"]], revision) for r in good if r["sha256"] not in placed]


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


def _row(r: Row, place: _Place, revision: int) -> Row:
    keep = {k: r[k] for k in ("sha256", "label", "other_labels", "dup_of", "dup_kind")}
    more = {"given_label": r["label"], "split": place.split, "fold": place.fold, "group_id": place.group_id}
    return keep | more | {
        "active": place.taken, "added_in": revision, "changed_in": None, "changed_by": None,
    }  # fmt: skip
