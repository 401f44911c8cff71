"""The stage ``split``: assign train, validation, test and folds by seed, once, and only ever top up.

An image's side comes from a hash of (seed, origin): near copies, and pictures of one page, observation or creator
(``keepset.split.origins``), stay together; deleting others moves nothing. Within each class the origins with the lowest
hashes fill the validation share that is still missing, so a small class gets its share too. An image that joins a
duplicate group takes the group's side, fold and id. A new image whose copies are on different sides would be a leak
wherever it went: it becomes a row that is not active. A new image of a known origin goes where most of that origin's
pictures are; nothing is left out for its origin alone.

Sides are the yardstick and never change. Folds are not: where groups have merged, all take the fold that most of them
have, so that no image is scored by a model that saw its copy.

Where a source gives the sides (``keepset.split.given``), they are taken as they are: nothing is topped up, and a training
picture that is a copy of a validation picture becomes a row that is not active. If it gives a test set but no
validation set, that is drawn from the pictures for training.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import ManifestMissing
from keepset.inbox import WAITING
from keepset.manifests import Header
from keepset.manifests.rows import DatasetRow, ImageRow
from keepset.reasons import ItemStatus, Split
from keepset.split.drawing import draw, fold_of
from keepset.split.given import given_sides
from keepset.split.origins import Origins, find_origins
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.text import share
from keepset.workspace import Workspace

__all__ = ["split"]

VERSION = 2
_TAKEN = ("sha256", "label", "other_labels", "status", "source", "group_id", "dup_of", "dup_kind")
_PLACED = ["sha256", "given_label", "split", "fold", "group_id", "origin_id"]


def split(ws: Workspace, config: RunConfig, *, progress: Progress = SILENT) -> StageResult:
    """Write revision 1, or a further one if there are new images. Nobody who has a side ever moves."""
    with ws.lock("split", note=progress.note):
        images = manifests.read_header(ws.images)
        old = _current(ws)
        known: dict[str, DatasetRow] = {r["sha256"]: r for r in old.table.select(_PLACED).to_pylist()} if old else {}
        good = _good(ws)
        new = [r for r in good if r["sha256"] not in known]
        folds = _merged_folds(known, good)
        if old and not new and not folds:
            revision = old.header.extra["revision"]
            message = f"up to date: revision {revision} has all {len(known)} images"
            return StageResult(Stage.SPLIT, False, message, {}, {"revision": str(revision)})
        before = int(old.header.extra["revision"]) if old else 0
        given = given_sides(ws, config)
        stay = [r | {"fold": folds.get(s, r["fold"])} for s, r in known.items()]
        origins = find_origins(ws, config.split.valid)
        added = _assign(stay, good, config, before + 1, given, origins)
        table = _stay(old.table, folds) if old else None
        table = pa.concat_tables([t for t in (table, manifests.table_from_rows("dataset", added)) if t is not None])
        parents = {"images": images.content_hash} | ({"dataset": old.content_hash} if old else {})
        fingerprint = manifests.fingerprint("split", parents, config.part("split", "seed"), VERSION)
        extra = {"revision": before + 1, "before": before, "cause": "split", "refolded": len(folds)}
        header = Header("dataset", "split", fingerprint, parents, config.as_dict(), extra)
        manifests.write(ws.dataset(before + 1), table, header, exclusive=True)
    active = table.filter(table["active"])
    sides = Counter(active["split"].to_pylist())
    message = _message(before + 1, sides, added, len(folds)) + _too_large(origins)
    message += _unmeasured(active, config, given is not None)
    return StageResult(Stage.SPLIT, True, message, dict(sides), {"revision": str(before + 1)})


def _unmeasured(active: pa.Table, config: RunConfig, given: bool) -> str:
    """Which classes have no validation picture: nothing would show that the model knows them badly."""
    pairs = zip(active["label"].to_pylist(), active["split"].to_pylist(), strict=True)
    measured = {label for label, side in pairs if side == Split.VALID}
    missing = ", ".join(f"'{label}'" for label in config.labels if label not in measured)
    more = "put some into the validation folder or table" if given else "add pictures that are not near-copies"
    return f"; WARNING: no validation picture of {missing}: mistakes there cannot be seen, {more}" if missing else ""


def _too_large(origins: Origins) -> str:
    """Which page or creator is not kept on one side."""
    named = [f"{name} ({share(part, 0)} of '{label}')" for name, label, part in origins.too_large[:2]]
    more = f" and {len(origins.too_large) - 2} more" if len(origins.too_large) > 2 else ""
    return f"; too many from one place to keep on one side: {', '.join(named)}{more}" if named else ""


def _good(ws: Workspace) -> list[ImageRow]:
    """The good images; of each only what is needed here: a million whole rows are gigabytes."""
    return [r for r in manifests.each(ws.images, ImageRow, _TAKEN) if r["status"] == ItemStatus.OK]


def _stay(old: pa.Table, folds: dict[str, int]) -> pa.Table:
    """The rows of the revision before, in the folds that they take now."""
    if not folds:
        return old
    pairs = zip(old["sha256"].to_pylist(), old["fold"].to_pylist(), strict=True)
    field = old.schema.field("fold")
    taken = pa.array([folds.get(sha, fold) for sha, fold in pairs], field.type)
    return old.set_column(old.schema.get_field_index("fold"), field, taken)


def _message(revision: int, sides: Counter[str], added: list[DatasetRow], refolded: int) -> str:
    counts = ", ".join(f"{n} {side}" for side, n in sorted(sides.items()))
    waiting = sum(r["changed_by"] == WAITING for r in added)
    ties = sum(not r["active"] for r in added) - waiting
    message = f"revision {revision}: {len(added)} new images; {counts}"
    message += f"; {ties} left out because they tie two sides together" if ties else ""
    message += f"; {waiting} of the inbox wait for a reviewer" if waiting else ""
    return message + (f"; {refolded} took the fold of a group that merged with theirs" if refolded else "")


def _current(ws: Workspace) -> manifests.Manifest | None:
    try:
        return ws.current_dataset()
    except ManifestMissing:
        return None


def _group_of(r: ImageRow) -> str:
    return r["group_id"] or r["sha256"]


def _by_group(good: list[ImageRow]) -> dict[str, list[ImageRow]]:
    groups: dict[str, list[ImageRow]] = defaultdict(list)
    for r in good:
        groups[_group_of(r)].append(r)
    return groups


def _merged_folds(known: dict[str, DatasetRow], good: list[ImageRow]) -> dict[str, int]:
    """Folds of those that take another one, because their group is part of a larger one by now."""
    found = {}
    for members in _by_group(good).values():
        mine = [known[m["sha256"]] for m in members if m["sha256"] in known]
        votes = Counter(int(r["fold"]) for r in mine)
        if len(votes) > 1:
            fold = max(votes, key=lambda f: (votes[f], -f))
            found.update({r["sha256"]: fold for r in mine if r["fold"] != fold})
    return found


@dataclass(frozen=True)
class _Place:
    """Where an image goes. ``taken`` is false for one that would tie two sides together."""

    split: str
    fold: int
    group_id: str
    origin_id: str
    taken: bool = True


def _assign(
    old: list[DatasetRow],
    good: list[ImageRow],
    config: RunConfig,
    revision: int,
    sides: Mapping[str, Split] | None,
    origins: Origins,
) -> list[DatasetRow]:
    """Rows of the images that are new. Groups are today's (they may have merged); sides already given stay."""
    placed = {r["sha256"]: _Place(r["split"], r["fold"], r["group_id"], r["origin_id"] or "") for r in old}
    groups = _by_group(good)
    place_of: dict[str, _Place] = {}
    known_of = {gid: [placed[m["sha256"]] for m in members if m["sha256"] in placed] for gid, members in groups.items()}
    for gid, known in known_of.items():
        if known:
            first = known[0]
            origin = first.origin_id or first.group_id
            place_of[gid] = replace(first, origin_id=origin, taken=len({k.split for k in known}) == 1)
    drawn = sides is None or Split.VALID not in sides.values()
    if sides is not None:
        given = {g: _given_place([m["sha256"] for m in groups[g]], g, config, sides) for g in groups.keys() - place_of}
        place_of |= {g: p for g, p in given.items() if not drawn or p.split != Split.TRAIN}
        config = _without_test(config)
    place_of |= _by_origin(groups, known_of, place_of.keys(), origins, with_test=sides is None)
    units: dict[str, list[str]] = defaultdict(list)
    for g in sorted(groups.keys() - place_of):
        units[origins.of.get(g, g)].append(g)
    counts = {mine[0]: Counter(m["label"] for g in mine for m in groups[g]) for mine in units.values()}
    drawn_places = draw(counts, _have(old), config)
    place_of |= {g: _Place(*drawn_places[mine[0]], g, mine[0]) for mine in units.values() for g in mine}
    added = [r for r in good if r["sha256"] not in placed]
    return [_row(r, _checked(r["sha256"], place_of[_group_of(r)], sides, drawn), revision) for r in added]


def _by_origin(
    groups: Mapping[str, list[ImageRow]],
    known_of: Mapping[str, list[_Place]],
    placed: Collection[str],
    origins: Origins,
    *,
    with_test: bool,
) -> dict[str, _Place]:
    """Places of groups of which no picture was there before, but others of their origin were.

    ``with_test`` is false where the test set was given: it draws nothing to itself.
    """
    there: dict[str, list[_Place]] = defaultdict(list)
    fresh: dict[str, list[str]] = defaultdict(list)
    for g in sorted(groups):
        origin = origins.of.get(g, g)
        there[origin] += [k for k in known_of[g] if with_test or k.split != Split.TEST]
        if g not in placed:
            fresh[origin].append(g)
    return {
        g: replace(_where_most_are(there[origin], mine[0]), group_id=g)
        for origin, mine in fresh.items()
        if there[origin]
        for g in mine
    }


def _where_most_are(there: list[_Place], fresh: str) -> _Place:
    """The side, and the fold on it, that most of an origin's pictures have; ``fresh``: an id for the origin, unless they
    have one on that side.
    """
    side, _ = max(Counter(k.split for k in there).items(), key=lambda n: (n[1], n[0]))
    mine = [k for k in there if k.split == side]
    fold, _ = max(Counter(k.fold for k in mine).items(), key=lambda n: (n[1], -n[0]))
    return _Place(side, fold, fresh, min((k.origin_id for k in mine if k.origin_id), default=fresh))


def _have(old: list[DatasetRow]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for r in old:
        found[r["given_label"]][r["split"]] += 1
    return found


def _without_test(config: RunConfig) -> RunConfig:
    """Where a source gives sides, the test set is as given; only a validation set that nobody gives is drawn."""
    return config.model_copy(update={"split": config.split.model_copy(update={"test": 0.0})})


def _given_place(members: list[str], group_id: str, config: RunConfig, sides: Mapping[str, Split]) -> _Place:
    """The group's side is that of the member that measures: test before valid before train."""
    found = {sides.get(m, Split.TRAIN) for m in members}
    side = next(s for s in (Split.TEST, Split.VALID, Split.TRAIN) if s in found)
    return _Place(str(side), fold_of(group_id, config), group_id, group_id)


def _checked(sha256: str, place: _Place, sides: Mapping[str, Split] | None, drawn: bool) -> _Place:
    """A copy on another side than its group's would be a leak; moving it would change what was given.

    ``drawn``: no source gives a validation set, so that train and valid are one side here.
    """
    side = place.split if sides is None else sides.get(sha256, Split.TRAIN)
    if side == place.split or (drawn and Split.TEST not in (side, place.split)):
        return place
    return replace(place, taken=False)


def _row(r: ImageRow, place: _Place, revision: int) -> DatasetRow:
    waits = place.taken and r["source"] == WAITING  # a stranger's picture, until somebody decides about it
    return {
        "sha256": r["sha256"], "label": r["label"], "given_label": r["label"], "other_labels": r["other_labels"],
        "split": place.split, "fold": place.fold, "group_id": place.group_id, "dup_of": r["dup_of"],
        "origin_id": place.origin_id,
        "dup_kind": r["dup_kind"], "active": place.taken and not waits, "added_in": revision, "changed_in": None,
        "changed_by": WAITING if waits else None,
    }  # fmt: skip
