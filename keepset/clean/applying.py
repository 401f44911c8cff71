"""The stage ``clean``: approved batches become revisions of the data set.

A decision is applied to the *current* revision by content address, so a revision that came between opening
and approval (new images were split in) loses nothing. A revision is written exclusively and names its
cause; whoever comes second, or comes again after a kill, finds it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keepset import manifests
from keepset.clean.revising import COLUMNS, Change, current_number, settle_revisions, write_revision
from keepset.config import RunConfig
from keepset.errors import ReviewError
from keepset.files import write_json
from keepset.inbox import WAITING
from keepset.manifests.rows import DatasetRow
from keepset.reasons import Action
from keepset.review.auditing import audit_once, settle
from keepset.review.batch import Approval, Batch, BatchStatus, find_revision, list_batches, load_batch
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.workspace import Workspace

__all__ = ["clean", "edited"]


def clean(ws: Workspace, config: RunConfig, *, progress: Progress = SILENT, batch_id: str | None = None) -> StageResult:
    """Apply approved batches that are not applied yet (only ``batch_id`` if given). Twice is once.

    Each batch becomes one revision, or none if it changes nothing. ``outputs["revision"]`` is the last
    one. Raises ``ReviewError`` if ``batch_id`` is unknown or not approved.
    """
    if batch_id is not None:
        _must_be_approved(load_batch(ws, batch_id))
    with ws.lock("clean", note=progress.note):
        settle(ws)
        settle_revisions(ws)
        asked = [load_batch(ws, batch_id)] if batch_id else list_batches(ws)
        done = [_apply(b, a) for b in asked if (a := b.approval()) is not None and _unfinished(b, a)]
    changed = [d for d in done if d["changed"]]
    message = " ".join(d["message"] for d in done) or "up to date: no approved batch waits to be applied"
    summary = {k: sum(d[k] for d in changed) for k in ("deleted", "relabelled", "skipped")}
    revision = changed[-1]["revision"] if changed else _revision_of(ws, batch_id)
    return StageResult(Stage.CLEAN, bool(changed), message, summary, {"revision": str(revision)})


def _must_be_approved(batch: Batch) -> None:
    status = batch.status
    if status not in (BatchStatus.APPROVED, BatchStatus.APPLIED):
        raise ReviewError(
            f"{batch.id} is {status}, not approved; nothing was changed.",
            f"`keepset review approve {batch.id}` approves it.",
        )


def _unfinished(batch: Batch, approval: Approval) -> bool:
    """True for an approved batch whose last step (``applied.json``) is still missing."""
    return approval.decision == "approve" and not (batch.folder / "applied.json").exists()


def _revision_of(ws: Workspace, batch_id: str | None) -> int:
    applied = load_batch(ws, batch_id).applied_revision() if batch_id else None
    return current_number(ws) if applied is None else applied


def _apply(batch: Batch, approval: Approval) -> dict[str, Any]:
    """The revision, its audit row, ``applied.json``: in this order, each unless it stands already."""
    ws, cause = batch.ws, f"batch:{batch.id}"
    revision = find_revision(ws, cause, after=batch.record.revision)
    if revision is None:
        revision = write_revision(
            ws, lambda data: _edited(data, approval), cause=cause, who=approval.who, why=approval.note
        )
    if revision is None:
        return _finish_without_change(batch, approval)
    facts = manifests.read_header(ws.dataset(revision)).extra
    counts = {k: facts[k] for k in ("deleted", "relabelled", "skipped")}
    done = {"revision": revision, "changed": True, **counts}
    write_json(batch.folder / "applied.json", done)
    words = f"{counts['deleted']} deleted, {counts['relabelled']} relabelled"
    return done | {"message": f"{batch.id} became revision {revision}: {words}."}


def _finish_without_change(batch: Batch, approval: Approval) -> dict[str, Any]:
    done = {
        "revision": current_number(batch.ws), "changed": False, "deleted": 0, "relabelled": 0,
        "skipped": len(approval.changes()),
    }  # fmt: skip
    what = {"batch": batch.id, **done}
    audit_once(batch.ws, "clean", {"batch": batch.id}, who=approval.who, what=what, why=approval.note)
    write_json(batch.folder / "applied.json", done)
    return done | {"message": f"{batch.id} changes nothing."}


def _edited(data: Path, approval: Approval) -> tuple[dict[str, Change], dict[str, Any]] | None:
    wanted = approval.changes()
    changes = edited(data, wanted, approval.batch_id)
    deleted = sum(not c.active for c in changes.values())
    counts = {"deleted": deleted, "relabelled": len(changes) - deleted, "skipped": len(wanted) - len(changes)}
    return (changes, {"batch": approval.batch_id, **counts}) if changes else None


def edited(data: Path, wanted: Mapping[str, Mapping[str, Any]], batch_id: str) -> dict[str, Change]:
    """What the decisions ``wanted`` change in this revision. Images that are gone, or have the label already, are left alone.

    An image of the inbox comes into use by being relabelled to what its sender said.
    """
    changes = {}
    for row in manifests.picked(data, DatasetRow, COLUMNS, wanted):
        decision = wanted[row["sha256"]]
        waits = row["changed_by"] == WAITING and not row["active"]
        if not (row["active"] or waits) or decision["label"] == row["label"]:
            continue
        deletes = decision["action"] == Action.DELETE
        changes[row["sha256"]] = Change(row["label"] if deletes else decision["label"], not deletes, batch_id)
    return changes
