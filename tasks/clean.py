from __future__ import annotations

from typing import Any

from prefect import task
from prefect.events import emit_event
from prefect.logging import get_run_logger

from keepset.manifests import read_header
from tasks.running import HOUR_S, opened, run_stage

__all__ = ["CLEANED", "clean", "tell_cleaned"]

CLEANED = "keepset.dataset.cleaned"


@task(
    name="clean",
    timeout_seconds=HOUR_S,
    task_run_name="clean {batch_id}",
    retries=2,
    retry_delay_seconds=5,
    persist_result=True,
)
def clean(workspace: str, batch_id: str) -> dict[str, Any]:
    """Apply an approved batch as a new revision. Applied twice is applied once."""
    from keepset.clean import clean as stage

    return run_stage(stage, workspace, batch_id=batch_id)


@task(name="tell-cleaned", timeout_seconds=HOUR_S, task_run_name="tell cleaned", persist_result=True)
def tell_cleaned(workspace: str) -> None:
    """Emit the event that sets off retraining. Ids, numbers and the folder only: the trigger's
    template puts the folder into the parameters of ``retrain``, so that each data set retrains itself.
    """
    ws, _ = opened(workspace)
    data = read_header(ws.newest())
    revision = int(data.extra["revision"])
    emit_event(
        CLEANED,
        resource={"prefect.resource.id": f"keepset.dataset.{ws.id}", "keepset.workspace": workspace},
        payload={"revision": revision, "content_hash": data.content_hash},
    )
    get_run_logger().info("Revision %s is clean; the event %s sets off retraining", revision, CLEANED)
