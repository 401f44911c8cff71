"""The next step for a workspace, as one sentence with a command that can be pasted."""

from __future__ import annotations

from keepset.machine.programs import spell
from keepset.models import list_models
from keepset.pipeline.atwork import Work
from keepset.pipeline.followup import State, standing
from keepset.review import Batch, BatchStatus, list_batches
from keepset.workspace import Workspace

__all__ = ["next_step"]


def next_step(ws: Workspace, gallery: str = "") -> str:
    """``gallery``: the address of a gallery that runs for this workspace; empty: none does."""
    now = standing(ws)
    state, trouble = now.state, now.progress.get("trouble") or {}
    number = now.pending.revision
    train = f"train on revision {number}" if number else "train on the revision that follows"
    what = " and ".join([*(f"apply {b}" for b in now.pending.batches), train])
    if state == State.WORKING:
        doing = "the pipeline is running" if now.work == Work.RUN else "applying and retraining"
        return f"wait, {doing} (process {now.progress.get('pid', '?')}): {_at(now.progress)}"
    if state == State.PREFECT:
        return f"wait, Prefect will {what}."
    if state in (State.FAILED, State.STOPPED):
        why = f" The last try failed: {trouble['message']}" if trouble else ""
        why += f"\n  → {trouble['remedy']}" if trouble.get("remedy") else ""
        goal = f"to {what}" if now.pending else "continues where the last run ended"
        return f"{spell('keepset', 'run', '-w', ws.root)}   ({goal}).{why}"
    waits = [b for b in list_batches(ws) if b.status == BatchStatus.OPEN]
    if waits:
        return _review(ws, waits[-1], gallery)
    if not ws.revisions() or not list_models(ws):
        given = () if (ws.root / "config.json").exists() else (ws.config_file(),)
        return spell("keepset", "run", *given, "-w", ws.root)
    return f"nothing to do. To look for more to clean: {spell('keepset', 'review', '-w', ws.root)}"


def _at(progress: object) -> str:
    found = progress if isinstance(progress, dict) else {}
    of = f" {found.get('done')}/{found['total']}" if found.get("total") else ""
    return f"{found.get('what') or 'waiting'}{of}"


def _review(ws: Workspace, batch: Batch, gallery: str) -> str:
    left = batch.progress().undecided
    pictures = f"{left} pictures to review" if left != 1 else "1 picture to review"
    until = f"{batch.deadline:%Y-%m-%d %H:%M} UTC"
    where = f"{gallery}/batches/{batch.id}" if gallery else spell("keepset", "web", "-w", ws.root)
    return f"{where}   ({pictures}, until {until})"
