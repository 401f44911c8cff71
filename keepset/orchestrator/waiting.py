"""The flow run that waits for a person's decision on a batch: waking it, replacing it, calling it off.

``flow_run.json`` beside the batch says which run that is, and until when it waits. What was decided stands on disk;
a run only takes it up. So all of this may be asked again and again.
"""

from __future__ import annotations

from keepset.errors import OrchestratorError
from keepset.files import read_json, write_json
from keepset.orchestrator import FlowRun, Orchestrator, connect
from keepset.orchestrator.names import FlowName, StateType, deployment_of
from keepset.review import Batch, BatchStatus
from keepset.workspace import Workspace

__all__ = [
    "apply_decision", "expire", "notify_decision", "notify_reopened", "remember", "run_id_of", "take_up", "wait_for",
    "wait_key", "wake",
]  # fmt: skip

_DEPLOYMENT = deployment_of(FlowName.REVIEW_BATCH)


def notify_decision(ws: Workspace, batch: Batch) -> bool:
    """See that Prefect takes a decision up. False if none is in charge: the decision is on disk all the same."""
    prefect = connect(ws)
    try:
        return prefect is not None and take_up(prefect, batch)
    except OrchestratorError:
        return False


def take_up(prefect: Orchestrator, batch: Batch) -> bool:
    """Wake the run that waits for the batch, or start one that applies it. False if this server knows no such run."""
    if wake(prefect, batch):
        return True
    if batch.status != BatchStatus.APPROVED or not prefect.knows(_DEPLOYMENT):
        return False
    _start(prefect, batch, _apply_key(batch))
    return True


def notify_reopened(ws: Workspace, batch: Batch) -> bool:
    """See that a flow run waits for a batch that was opened again. False if no stack runs: it will at its start."""
    prefect = connect(ws)
    try:
        if prefect is None:
            return False
        wait_for(prefect, batch)
    except OrchestratorError:
        return False
    return True


def wake(prefect: Orchestrator, batch: Batch) -> bool:
    """Resume the run that waits for ``batch``; True if it goes on, or has done already what was decided."""
    approval, run = batch.approval(), _run_of(batch)
    if approval is None or run is None:
        return False
    state = prefect.state(run)
    if not state.waits:
        return state.goes_on or (state.type == StateType.COMPLETED and batch.status != BatchStatus.APPROVED)
    # The decision is on disk; the form only wakes the run, and carries nobody's note.
    form = {"decision": approval.decision, "reviewer": approval.who, "confirm": True}
    return prefect.resume(run, form) or not prefect.state(run).waits  # somebody else woke it a moment ago


def wait_for(prefect: Orchestrator, batch: Batch) -> FlowRun | None:
    """Start a run that waits for an open batch; None if one does, or is about to.

    Each opening of a batch has its own deadline, and that makes the idempotency key: asked every minute, this starts
    one run. A run that waits for an earlier opening is called off, since its time runs out.
    """
    run = _run_of(batch)
    state = prefect.state(run) if run else None
    if run and state and (state.goes_on or state.waits):
        if state.goes_on or _deadline_of_run(batch) == batch.deadline.isoformat():
            return None
        prefect.cancelled(run.id, f"{batch.id} was opened again; another run waits for it.")
    return _start(prefect, batch, wait_key(batch))


def apply_decision(prefect: Orchestrator, batch: Batch) -> FlowRun | None:
    """Start a run that applies an approved batch; None if the run that waited for it does."""
    return None if wake(prefect, batch) else _start(prefect, batch, _apply_key(batch))


def wait_key(batch: Batch) -> str:
    """The idempotency key of the run that waits for this opening of ``batch``."""
    return f"wait-{batch.ws.id}-{batch.id}-{batch.deadline.isoformat()}"


def _apply_key(batch: Batch) -> str:
    return f"apply-{batch.ws.id}-{batch.id}"


def remember(batch: Batch, run_id: str, api_url: str) -> None:
    """Write down which run waits for ``batch``, and until when."""
    facts = {"flow_run_id": run_id, "api_url": api_url, "deadline": batch.deadline.isoformat()}
    write_json(batch.folder / "flow_run.json", facts)


def _start(prefect: Orchestrator, batch: Batch, key: str) -> FlowRun:
    parameters = {"workspace": str(batch.ws.root), "batch_id": batch.id}
    run = prefect.start_deployment(_DEPLOYMENT, parameters, key)
    remember(batch, run.id, prefect.api_url)
    return run


def expire(prefect: Orchestrator, batch: Batch) -> bool:
    """Call off the run that waits for a batch whose deadline has passed. True if one did."""
    run = _run_of(batch)
    if run is None or not prefect.state(run).waits:
        return False
    prefect.cancelled(run.id, f"Nobody decided on {batch.id} in time; `keepset review reopen` opens it again.")
    return True


def run_id_of(batch: Batch) -> str | None:
    """Id of the last flow run that waited for this batch, or None."""
    try:
        return str(read_json(batch.folder / "flow_run.json")["flow_run_id"])
    except FileNotFoundError:
        return None


def _run_of(batch: Batch) -> FlowRun | None:
    found = run_id_of(batch)
    return FlowRun(found, "") if found else None


def _deadline_of_run(batch: Batch) -> str:
    return str(read_json(batch.folder / "flow_run.json").get("deadline", ""))
