"""The event that sets off retraining."""

from __future__ import annotations

from prefect import task
from prefect.events import emit_event
from prefect.logging import get_run_logger

from keepset.manifests import read_header
from keepset.orchestrator.names import CLEANED
from tasks.progress import HOUR_S, opened

__all__ = ["tell_cleaned"]


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
