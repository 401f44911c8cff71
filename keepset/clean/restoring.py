"""The way back: a new revision that undoes what a batch changed, or the last change of single images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keepset import manifests
from keepset.clean.revising import Row, current_number, settle_revisions, state, write_revision
from keepset.errors import ReviewError
from keepset.manifests import Manifest
from keepset.review.batch import Batch, load_batch
from keepset.review.naming import needs_name, whole
from keepset.stages import Stage, StageResult
from keepset.workspace import SHA256, Workspace

__all__ = ["restore"]


def restore(ws: Workspace, what: str | Sequence[str], *, who: str, why: str = "") -> StageResult:
    """Undo by a new revision: everything a batch changed (its id), or the last change of single images.

    A batch's images are set back to what they were before it, unless a later decision changed them again;
    an image is set back to what it was before the batch that changed it last. Twice is once. Raises
    ``ReviewError`` for an unknown batch or image, one that is not applied, or one that was purged.
    """
    needs_name(who)
    with ws.lock("clean"):
        settle_revisions(ws)
        if isinstance(what, str) and not SHA256.fullmatch(what):
            wanted, cause = _before_batch(ws, load_batch(ws, what)), f"restore:batch:{what}"
        else:
            images = [what] if isinstance(what, str) else list(what)
            wanted, cause = _before_last_change(ws, images), "restore:images"
        _must_have_blobs(ws, wanted)
        revision = write_revision(
            ws, lambda data, number: _set_back(data, number, wanted), cause=cause, who=who.strip(), why=why
        )
    if revision is None:
        now = {"revision": str(current_number(ws))}
        return StageResult(Stage.CLEAN, False, "up to date: nothing to restore", {"restored": 0}, now)
    count = int(manifests.read_header(ws.dataset(revision)).extra["restored"])
    message = f"Revision {revision} restores {count} image{'s' * (count != 1)}."
    return StageResult(Stage.CLEAN, True, message, {"restored": count}, {"revision": str(revision)})


def _before_batch(ws: Workspace, batch: Batch) -> dict[str, Row]:
    """The rows from before the batch, of its images that are still as it left them."""
    revision = batch.applied_revision()
    if revision is None:
        raise ReviewError(f"{batch.id} is {batch.status}: there is nothing to restore.")
    extra = manifests.read_header(ws.dataset(revision)).extra
    if extra["cause"] != f"batch:{batch.id}":
        return {}  # it was applied and changed nothing
    after = {s: r for s, r in _rows(ws, revision).items() if r["changed_in"] == revision}
    before, now = _rows(ws, extra["before"]), {r["sha256"]: r for r in ws.current_dataset().rows()}
    return {s: before[s] for s in after if state(now[s]) == state(after[s])}


def _before_last_change(ws: Workspace, images: Sequence[str]) -> dict[str, Row]:
    """For each image the row from before the batch that changed it last; those never changed are left out."""
    now = {r["sha256"]: r for r in ws.current_dataset().rows()}
    wanted = {}
    for sha in whole(images, now, "the data set"):
        row = now[sha]
        if row["changed_by"] is not None and not row["changed_by"].startswith("restore:"):
            before = manifests.read_header(ws.dataset(row["changed_in"])).extra["before"]
            wanted[sha] = _rows(ws, before)[sha]
    return wanted


def _rows(ws: Workspace, revision: int) -> dict[str, Row]:
    return {r["sha256"]: r for r in manifests.read(ws.dataset(revision), "dataset").rows()}


def _set_back(
    data: Manifest, number: int, wanted: Mapping[str, Row]
) -> tuple[list[Row], dict[str, Any]] | None:
    rows, images = data.rows(), []
    for row in rows:
        old = wanted.get(row["sha256"])
        if old is None or state(row) == state(old):
            continue
        images.append(row["sha256"])
        undone = f"restore:{(row['changed_by'] or '').removeprefix('restore:')}"
        row.update(active=old["active"], label=old["label"], changed_in=number, changed_by=undone)
    return (rows, {"restored": len(images), "images": sorted(images)}) if images else None


def _must_have_blobs(ws: Workspace, wanted: Mapping[str, Row]) -> None:
    gone = [s for s, r in wanted.items() if r["active"] and not ws.blob(s).exists()]
    if gone:
        raise ReviewError(
            f"{len(gone)} of these images were purged (the first: {gone[0][:12]}); nothing was restored.",
            "A purge is final: take the picture from its source again, or restore the others by name.",
        )
