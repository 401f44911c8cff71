"""Pick up unfinished work: decided batches not applied, open ones without a run, retrainings that stopped halfway.

The workspaces say what is to be done; this only makes sure that a run does it. Everything it starts carries an
idempotency key, so asking again and again starts nothing twice. Runs whose process is gone: ``deployments/dead_runs.py``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deployments.dead_runs import take_up
from keepset.errors import KeepsetError
from keepset.orchestrator import FlowRun, Orchestrator, is_of
from keepset.orchestrator.names import GOING, FlowName, StateType, is_run_of
from keepset.orchestrator.waiting import apply_decision, expire, run_id_of, wait_for, wake
from keepset.pipeline.followup import ask_to_retrain, pending
from keepset.review import BatchStatus, list_batches
from keepset.workspace import Workspace

__all__ = ["GRACE_S", "known_workspaces", "reconcile", "revive", "settle_batches"]

GRACE_S = 60.0
"""What is younger than this is left to the run that made it, and to the event that it emits."""
LOOK_BACK = 200
"""Runs that are asked which data sets there are."""


def revive(ws: Workspace, prefect: Orchestrator) -> list[str]:
    """At start, when no process of an earlier stack is left: put what it had running back into the queue."""
    return take_up(prefect, known_workspaces(ws, prefect), at_start=True)


def reconcile(ws: Workspace | None, prefect: Orchestrator) -> list[str]:
    """Every now and then, for ``ws`` and all that runs worked on: dead runs go on, each batch has the run that it
    needs, cleaned revisions get trained on.
    """
    spaces = known_workspaces(ws, prefect)
    said = take_up(prefect, spaces)
    for space in dict.fromkeys(spaces.values()):
        said += [*settle_batches(space, prefect), *_retraining(space, prefect)]
    return said


def known_workspaces(ws: Workspace | None, prefect: Orchestrator) -> dict[str, Workspace]:
    """The workspaces that recent runs worked on, by the name the runs use, and ``ws`` itself."""
    names = [str(ws.root)] if ws else prefect.default_workspaces()
    names += [str((r.get("parameters") or {}).get("workspace") or "") for r in prefect.recent_runs(LOOK_BACK)]
    found = {}
    for name in dict.fromkeys(n for n in names if n):
        try:
            found[name] = Workspace.open(Path(name))
        except KeepsetError:
            continue  # gone, or not begun yet
    return found


def settle_batches(ws: Workspace, prefect: Orchestrator) -> Iterator[str]:
    """Decided batches get applied, open ones have a run that waits, those that are over have none."""
    waiting = {r["id"] for r in prefect.runs([StateType.PAUSED], limit=200)}
    going = any(_is_of(ws, FlowName.REVIEW_BATCH, r) for r in prefect.runs(GOING))
    for batch in list_batches(ws):
        status, waits = batch.status, run_id_of(batch) in waiting
        if status == BatchStatus.OPEN:
            if not going and datetime.now(UTC) - batch.record.opened_at > timedelta(seconds=GRACE_S):
                yield from _started(prefect, wait_for(prefect, batch), f"waits for {batch.id}")
        elif status == BatchStatus.APPROVED:
            yield from _started(prefect, apply_decision(prefect, batch), f"applies {batch.id}")
        elif waits and (expire(prefect, batch) if status == BatchStatus.EXPIRED else wake(prefect, batch)):
            yield f"ended the run that waited for {batch.id}: it is {status}"


def _started(prefect: Orchestrator, run: FlowRun | None, what_for: str) -> Iterator[str]:
    if run is not None and prefect.state(run).goes_on:
        yield f"started a run that {what_for} (run {run.name})"


def _retraining(ws: Workspace, prefect: Orchestrator) -> Iterator[str]:
    """A revision that an approval, or a restoration, made is trained on, compared with the model in use, and reported."""
    revision = pending(ws).revision
    if not revision:
        return
    age = time.time() - ws.dataset(revision).stat().st_mtime
    if 0 <= age < GRACE_S or any(_is_of(ws, FlowName.RETRAIN, r) for r in prefect.runs(GOING)):
        return  # an age below zero: the clock was put back, and says nothing
    yield from _started(prefect, ask_to_retrain(ws, prefect), f"trains on revision {revision}")


def _is_of(ws: Workspace, flow: FlowName, run: Mapping[str, Any]) -> bool:
    """Whether it is a run of this flow on this data set."""
    return is_run_of(flow, run) and is_of(ws, run)
