"""Take up what a kill left lying: decided batches nobody applied, cleaned revisions nobody trained on, dead runs.

The workspace says what is to be done; this only makes sure that a run does it. Everything it starts carries an
idempotency key, so asking every minute starts nothing twice.
"""

from __future__ import annotations

import time

from keepset.errors import ManifestMissing
from keepset.models import list_models
from keepset.orchestrator import Orchestrator
from keepset.review import BatchStatus, list_batches
from keepset.workspace import Workspace

__all__ = ["reconcile", "revive"]

GRACE_S = 60.0
"""A revision younger than this is left to the event that its cleaning emits."""


def revive(ws: Workspace, prefect: Orchestrator) -> list[str]:
    """At start: put runs that an earlier stack left running back into the queue. Returns what was done."""
    said = []
    for run in prefect.runs(["RUNNING", "PENDING", "CANCELLING"]):
        if run.get("parent_task_run_id"):
            prefect.give_up(run["id"], "Its parent's process is gone; the parent begins it anew.")
            continue
        prefect.schedule_again(run["id"], "The process that ran it is gone; it is taken up again.")
        said.append(f"took up the run {run['name']} again")
    return said


def reconcile(ws: Workspace, prefect: Orchestrator) -> list[str]:
    """Once a minute: see that decided batches get applied and cleaned revisions get trained on."""
    return [*_decided_batches(ws, prefect), *_untrained_revision(ws, prefect)]


def _decided_batches(ws: Workspace, prefect: Orchestrator) -> list[str]:
    said = []
    for batch in list_batches(ws):
        if batch.status == BatchStatus.APPROVED and not prefect.notify_decision(batch):
            parameters = {"workspace": str(ws.root), "batch_id": batch.id}
            prefect.start_deployment("review_batch/review_batch", parameters, f"apply-{ws.id}-{batch.id}")
            said.append(f"started a run to apply {batch.id}")
    return said


def _untrained_revision(ws: Workspace, prefect: Orchestrator) -> list[str]:
    try:
        header = ws.current_dataset().header
    except ManifestMissing:
        return []
    cause = str(header.extra.get("cause", ""))
    if not cause.startswith("batch:") or any(m.dataset_hash == header.content_hash for m in list_models(ws)):
        return []
    fresh = time.time() - ws.dataset(int(header.extra["revision"])).stat().st_mtime < GRACE_S
    if fresh or any(
        r["name"].startswith("retrain ") for r in prefect.runs(["RUNNING", "PENDING", "SCHEDULED"])
    ):
        return []
    key = f"retrain-{ws.id}-{header.content_hash[:32]}"
    run = prefect.start_deployment("retrain/retrain", {"workspace": str(ws.root)}, key)
    return [f"retraining of revision {header.extra['revision']} is due (run {run.name})"]
