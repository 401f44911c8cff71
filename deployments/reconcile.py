"""Take up what a kill left lying: decided batches nobody applied, cleaned revisions nobody trained on.

The workspaces say what is to be done; this only makes sure that a run does it. Everything it starts carries an
idempotency key, so asking again and again starts nothing twice. Runs whose process is gone: ``deployments/dead.py``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from deployments.dead import take_up
from keepset.errors import KeepsetError, ManifestMissing
from keepset.models import list_models
from keepset.orchestrator import Orchestrator
from keepset.review import BatchStatus, list_batches
from keepset.workspace import Workspace

__all__ = ["known_workspaces", "reconcile", "revive"]

GRACE_S = 60.0
"""A revision younger than this is left to the event that its cleaning emits."""
LOOK_BACK = 200
"""Runs that are asked which data sets there are."""


def revive(ws: Workspace, prefect: Orchestrator) -> list[str]:
    """At start, when no process of an earlier stack is left: put what it had running back into the queue."""
    return take_up(prefect, known_workspaces(ws, prefect), at_start=True)


def reconcile(ws: Workspace, prefect: Orchestrator) -> list[str]:
    """Every now and then: dead runs go on, decided batches get applied, cleaned revisions get trained on."""
    spaces = known_workspaces(ws, prefect)
    said = take_up(prefect, spaces)
    for space in dict.fromkeys(spaces.values()):
        said += [*_decided_batches(space, prefect), *_untrained_revision(space, prefect)]
    return said


def known_workspaces(ws: Workspace | None, prefect: Orchestrator) -> dict[str, Workspace]:
    """The workspaces that recent runs worked on, by the name the runs use, and ``ws`` itself."""
    names = [str(ws.root)] if ws else []
    names += [str((r.get("parameters") or {}).get("workspace") or "") for r in prefect.recent_runs(LOOK_BACK)]
    found = {}
    for name in dict.fromkeys(n for n in names if n):
        try:
            found[name] = Workspace.open(Path(name))
        except KeepsetError:
            continue  # gone, or not begun yet
    return found


def _decided_batches(ws: Workspace, prefect: Orchestrator) -> list[str]:
    said = []
    for batch in list_batches(ws):
        if batch.status == BatchStatus.APPROVED and not prefect.notify_decision(batch):
            parameters = {"workspace": str(ws.root), "batch_id": batch.id}
            run = prefect.start_deployment(
                "review_batch/review_batch", parameters, f"apply-{ws.id}-{batch.id}"
            )
            said.append(f"the approved batch {batch.id} is due to be applied (run {run.name})")
    return said


def _untrained_revision(ws: Workspace, prefect: Orchestrator) -> list[str]:
    try:
        header = ws.current_dataset().header
    except ManifestMissing:
        return []
    cause = str(header.extra.get("cause", ""))
    if not cause.startswith("batch:") or any(m.dataset_hash == header.content_hash for m in list_models(ws)):
        return []
    age = time.time() - ws.dataset(int(header.extra["revision"])).stat().st_mtime
    if 0 <= age < GRACE_S or any(_retrains(ws, r) for r in prefect.runs(["RUNNING", "PENDING", "SCHEDULED"])):
        return []  # an age below zero: the clock was put back, and says nothing
    key = f"retrain-{ws.id}-{header.content_hash[:32]}"
    run = prefect.start_deployment("retrain/retrain", {"workspace": str(ws.root)}, key)
    return [f"retraining of revision {header.extra['revision']} is due (run {run.name})"]


def _retrains(ws: Workspace, run: dict[str, Any]) -> bool:
    return str(run["name"]).startswith("retrain") and run["parameters"].get("workspace") == str(ws.root)
