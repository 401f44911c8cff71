"""Apply what was approved: a new revision of the data set. And the way back.

A decision is applied to the *current* revision by content address, so a revision that came between opening
and approval (new images were split in) loses nothing. A revision is written exclusively and names its
cause; whoever comes second, or comes again after a kill, finds it there. Nothing here touches a picture;
the one thing that does is ``keepset.purge``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import ReviewError
from keepset.files import write_json
from keepset.manifests import Header, Manifest
from keepset.purge import purge
from keepset.reasons import Action
from keepset.review.batch import Approval, Batch, BatchStatus, find_revision, list_batches, load_batch
from keepset.review.deciding import audit_decision
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.workspace import SHA256, Workspace

__all__ = ["clean", "purge", "restore"]

Row = dict[str, Any]
Edit = Callable[[Manifest, int], list[Row] | None]
"""From the current revision and the new number to the new rows, or None: nothing would change."""


def clean(
    ws: Workspace, config: RunConfig, *, progress: Progress = SILENT, batch_id: str | None = None
) -> StageResult:
    """Apply approved batches that are not applied yet (only ``batch_id`` if given). Twice is once.

    Each batch becomes one revision, or none if it changes nothing. ``outputs["revision"]`` is the last
    one. Raises ``ReviewError`` if ``batch_id`` is unknown or not approved.
    """
    if batch_id is not None:
        _must_be_approved(load_batch(ws, batch_id))
    with ws.lock("clean"):
        waiting = [load_batch(ws, batch_id)] if batch_id else list_batches(ws)
        done = [_apply(b) for b in waiting if _unfinished(b)]
    for one in done:
        progress.note(one["message"])
    changed = [d for d in done if d["changed"]]
    revision = changed[-1]["revision"] if changed else _revision_of(ws, batch_id)
    message = " ".join(d["message"] for d in done) or "up to date: no approved batch waits to be applied"
    summary = {k: sum(d[k] for d in changed) for k in ("deleted", "relabelled", "skipped")}
    return StageResult(Stage.CLEAN, bool(changed), message, summary, {"revision": str(revision)})


def _must_be_approved(batch: Batch) -> None:
    status = batch.status
    if status not in (BatchStatus.APPROVED, BatchStatus.APPLIED):
        raise ReviewError(
            f"{batch.id} is {status}, not approved; nothing was changed.",
            f"`keepset review approve {batch.id}` approves it.",
        )


def _unfinished(batch: Batch) -> bool:
    """True for an approved batch whose last step (``applied.json``) is still missing."""
    approval = batch.approval()
    approved = approval is not None and approval.decision == "approve"
    return approved and not (batch.folder / "applied.json").exists()


def _revision_of(ws: Workspace, batch_id: str | None) -> int:
    applied = load_batch(ws, batch_id).applied_revision() if batch_id else None
    return applied if applied is not None else (ws.revisions() or [0])[-1]


def _apply(batch: Batch) -> dict[str, Any]:
    """Revision, audit rows, ``applied.json``, in this order; each step is skipped if it stands already."""
    approval = batch.approval()
    assert approval is not None
    audit_decision(batch, approval)
    cause = f"batch:{batch.id}"
    revision = find_revision(batch.ws, cause, after=batch.record.revision)
    fresh = revision is None
    if revision is None:
        edit = lambda data, number: _edited(data, number, approval)  # noqa: E731
        revision = _write(batch.ws, edit, cause)
    done = _outcome(batch, approval, revision)
    _audit_once(batch.ws, "clean", approval.who, {"batch": batch.id, **done}, approval.note)
    write_json(batch.folder / "applied.json", done)
    if revision is None or not done["changed"]:
        return done | {"changed": False, "message": f"{batch.id} changes nothing."}
    how = "is" if fresh else "was already"
    words = (
        f"{batch.id} {how} revision {revision}: {done['deleted']} deleted, {done['relabelled']} relabelled."
    )
    return done | {"message": words}


def _outcome(batch: Batch, approval: Approval, revision: int | None) -> dict[str, Any]:
    changes = approval.changes()
    if revision is None:
        now = (batch.ws.revisions() or [0])[-1]
        return {
            "revision": now, "changed": False, "deleted": 0, "relabelled": 0, "skipped": len(changes),
        }  # fmt: skip
    rows = manifests.read(batch.ws.dataset(revision), "dataset").rows()
    mine = [r for r in rows if r["changed_by"] == batch.id and r["changed_in"] == revision]
    deleted = sum(not r["active"] for r in mine)
    return {
        "revision": revision, "changed": True, "deleted": deleted, "relabelled": len(mine) - deleted,
        "skipped": len(changes) - len(mine),
    }  # fmt: skip


def _edited(data: Manifest, number: int, approval: Approval) -> list[Row] | None:
    """The rows after the decisions; images that are gone already, or have the label, are left alone."""
    rows, changed = data.rows(), False
    for row in rows:
        decision = approval.decisions.get(row["sha256"])
        if decision is None or not row["active"] or decision["action"] == Action.KEEP:
            continue
        if decision["action"] == Action.RELABEL and decision["label"] == row["label"]:
            continue
        changed = True
        row.update(changed_in=number, changed_by=approval.batch_id)
        if decision["action"] == Action.DELETE:
            row["active"] = False
        else:
            row["label"] = decision["label"]
    return rows if changed else None


def _write(ws: Workspace, edit: Edit, cause: str) -> int | None:
    """Write the next revision; if somebody else takes its number, start again from theirs."""
    while True:
        data = ws.current_dataset()
        before = int(data.header.extra["revision"])
        rows = edit(data, before + 1)
        if rows is None:
            return None
        facts = {"revision": before + 1, "before": before, "cause": cause}
        fingerprint = manifests.fingerprint("clean", {"dataset": data.content_hash}, {"cause": cause})
        header = Header(
            "dataset", "clean", fingerprint, {"dataset": data.content_hash}, data.header.config, facts
        )
        try:
            manifests.write(ws.dataset(before + 1), rows, header, exclusive=True)
        except FileExistsError:
            continue
        return before + 1


def _audit_once(ws: Workspace, action: str, who: str, what: Mapping[str, Any], why: str) -> None:
    """One audit row a revision or batch, also when a kill came between it and what follows."""
    key = "batch" if action == "clean" else "revision"
    if not any(r["action"] == action and r["what"].get(key) == what[key] for r in ws.audit_log()):
        ws.audit(action, who=who, what=dict(what), why=why)


def restore(ws: Workspace, what: str | Sequence[str], *, who: str, why: str = "") -> StageResult:
    """Undo by a new revision: everything a batch changed (its id), or the last change of single images.

    A batch's images are set back to what they were before it, unless a later decision changed them again;
    an image is set back to what it was before the batch that changed it last. Twice is once. Raises
    ``ReviewError`` for an unknown batch or image, one that is not applied, or one that was purged.
    """
    if not who.strip():
        raise ReviewError("A decision needs a name.", "Give one with --who, or set KEEPSET_REVIEWER.")
    with ws.lock("clean"):
        if isinstance(what, str) and not SHA256.fullmatch(what):
            wanted, cause = _before_batch(ws, load_batch(ws, what)), f"restore:batch:{what}"
        else:
            images = [what] if isinstance(what, str) else list(what)
            wanted, cause = _before_last_change(ws, images), f"restore:{len(images)} images"
        _must_have_blobs(ws, wanted)
        revision = _write(ws, lambda data, number: _set_back(data, number, wanted), cause)
        if revision is None:
            current = (ws.revisions() or [0])[-1]
            return StageResult(
                Stage.CLEAN, False, "up to date: nothing to restore", {}, {"revision": str(current)}
            )
        facts = {"revision": revision, "cause": cause, "images": sorted(wanted)}
        _audit_once(ws, "restore", who, facts, why)
    message = f"Revision {revision} restores {len(wanted)} images."
    return StageResult(Stage.CLEAN, True, message, {"restored": len(wanted)}, {"revision": str(revision)})


def _before_batch(ws: Workspace, batch: Batch) -> dict[str, Row]:
    """The rows from before the batch, of its images that are still as it left them."""
    revision = batch.applied_revision()
    if revision is None or batch.status != BatchStatus.APPLIED:
        raise ReviewError(f"{batch.id} is {batch.status}: there is nothing to restore.")
    if manifests.read_header(ws.dataset(revision)).extra["cause"] != f"batch:{batch.id}":
        return {}  # it changed nothing
    after = {
        r["sha256"]: r
        for r in manifests.read(ws.dataset(revision), "dataset").rows()
        if r["changed_by"] == batch.id and r["changed_in"] == revision
    }
    before = {r["sha256"]: r for r in manifests.read(ws.dataset(revision - 1), "dataset").rows()}
    now = {r["sha256"]: r for r in ws.current_dataset().rows()}
    return {s: before[s] for s in after if _state(now[s]) == _state(after[s])}


def _before_last_change(ws: Workspace, images: Sequence[str]) -> dict[str, Row]:
    """For each image the row from before the batch that changed it last; those never changed are left out."""
    now = {r["sha256"]: r for r in ws.current_dataset().rows()}
    unknown = [s for s in images if s not in now]
    if unknown:
        raise ReviewError(
            f"The image {unknown[0][:12]!r} is not in the data set.", "Give whole sha256s of its images."
        )
    wanted = {}
    for sha in images:
        row = now[sha]
        if row["changed_by"] is None or row["changed_by"].startswith("restore:"):
            continue
        older = manifests.read(ws.dataset(row["changed_in"] - 1), "dataset").rows()
        wanted[sha] = next(r for r in older if r["sha256"] == sha)
    return wanted


def _set_back(data: Manifest, number: int, wanted: Mapping[str, Row]) -> list[Row] | None:
    rows, changed = data.rows(), False
    for row in rows:
        old = wanted.get(row["sha256"])
        if old is None or _state(row) == _state(old):
            continue
        changed = True
        undone = row["changed_by"].removeprefix("restore:")
        row.update(
            active=old["active"], label=old["label"], changed_in=number, changed_by=f"restore:{undone}"
        )
    return rows if changed else None


def _state(row: Mapping[str, Any]) -> tuple[bool, str]:
    return row["active"], row["label"]


def _must_have_blobs(ws: Workspace, wanted: Mapping[str, Row]) -> None:
    gone = [s for s, r in wanted.items() if r["active"] and not ws.blob(s).exists()]
    if gone:
        raise ReviewError(
            f"{len(gone)} of these images were purged (the first: {gone[0][:12]}); nothing was restored.",
            "A purge is final: take the picture from its source again.",
        )
