"""The one flow that waits for a person. It suspends: no process waits, and a kill at any moment loses nothing.

When the run is resumed the body runs again from the top; tasks that finished are not executed again, and what a
person decided is read from the workspace, never from this process.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import State, flow
from prefect.flow_runs import suspend_flow_run
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed

from flows.parameters import Decision
from flows.runs import be_present, named
from keepset.orchestrator.names import FlowName
from keepset.pipeline.registry import find
from keepset.review import Batch, BatchStatus, load_batch
from keepset.stages import Stage
from keepset.workspace import Workspace
from tasks.events import tell_cleaned
from tasks.interpret import show_contact_sheet
from tasks.progress import opened
from tasks.review import announce, record_decision, remember_run
from tasks.stage import run_as_task

__all__ = ["review_batch"]

_SHOWN = 48
_PAST_S = 900
"""After this the server itself fails a run that still waits."""


@flow(name=FlowName.REVIEW_BATCH, flow_run_name=named(FlowName.REVIEW_BATCH), persist_result=True)
def review_batch(workspace: str, batch_id: str | None = None, all_images: bool = False) -> State[dict[str, Any]]:
    """Open a cleaning batch, wait for a person's decision, apply it, and set off the retraining.

    Args:
        workspace: Folder of the data set.
        batch_id: An existing batch. Default: open one for the newest model.
        all_images: Open a batch of every image in use, what is proposed first. Without it: only what is proposed.
    """
    ws, _ = opened(workspace)
    be_present(ws)
    batch_id = batch_id or _open_batch(workspace, all_images)
    if batch_id is None:
        return Completed(data={"batch_id": None}, message="There is nothing to review.")
    if load_batch(ws, batch_id).status == BatchStatus.OPEN:
        _wait_for_decision(ws, batch_id)
    status = load_batch(ws, batch_id).status
    if status not in (BatchStatus.APPROVED, BatchStatus.APPLIED):
        words = f"{batch_id} is {str(status).replace('_', ' ')}: nothing changes."
        return Completed(data={"batch_id": batch_id, "status": str(status)}, message=words)
    done = run_as_task(find(Stage.CLEAN), workspace, batch_id=batch_id)
    tell_cleaned(workspace)
    found = {"batch_id": batch_id, "status": "applied", **done["outputs"]}
    follows = " A retraining follows." if done["changed"] else ""
    return Completed(data=found, message=f"{done['message']}{follows}")


def _open_batch(workspace: str, all_images: bool) -> str | None:
    """A batch for the newest model, or the one that is open. None: nothing is worth a look."""
    batch_id: str | None = run_as_task(find(Stage.REVIEW), workspace, everything=all_images)["outputs"].get("batch_id")
    return batch_id


def _wait_for_decision(ws: Workspace, batch_id: str) -> None:
    workspace, batch = str(ws.root), load_batch(ws, batch_id)
    remember_run(workspace, batch_id, str(flow_run.get_id()), str(PREFECT_API_URL.value()))
    shas = [r["sha256"] for r in batch.candidates().rows()[:_SHOWN]]
    show_contact_sheet(workspace, "batch-pictures", shas, f"The first {len(shas)} images of {batch_id}")
    words = announce(workspace, batch_id)
    attempt, refused = 1, ""
    while load_batch(ws, batch_id).status == BatchStatus.OPEN:
        form = suspend_flow_run(
            wait_for_input=Decision.with_initial_data(description=f"{words}\n\n{refused}"),
            key=f"approval-{attempt}",
            timeout=_seconds_left(batch),
        )
        refused = record_decision(workspace, batch_id, form.model_dump(mode="json"))
        refused = f"**Refused:** {refused}" if refused else ""
        attempt += 1


def _seconds_left(batch: Batch) -> int:
    """A little past the deadline, so that the stack can say in its own words that the batch has expired."""
    return max(0, int((batch.deadline - datetime.now(UTC)).total_seconds())) + _PAST_S
