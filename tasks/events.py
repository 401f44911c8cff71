"""The event that sets off retraining, and those that people may want to be told of. No words of strangers."""

from __future__ import annotations

from pathlib import PurePath

from prefect import task
from prefect.events import emit_event
from prefect.logging import get_run_logger

from keepset.manifests import read_header
from keepset.orchestrator.names import CLEANED, PROMOTED
from keepset.orchestrator.neighbours import where_to_look
from keepset.stages import Stage, StageResult
from keepset.workspace import Workspace
from tasks.progress import HOUR_S, opened

__all__ = ["tell_cleaned", "tell_news", "tell_promoted"]


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


def tell_promoted(ws: Workspace, result: StageResult) -> None:
    """Emit ``PROMOTED`` if this stage has put a model in use."""
    if result.stage == Stage.PROMOTE and result.changed and result.summary.get("promote"):
        model = result.outputs["model_id"]
        tell_news(PROMOTED, ws, model, result.message, f"/reports/{model}")


def tell_news(event: str, ws: Workspace, thing: str, words: str, path: str) -> None:
    """Emit ``event`` about ``thing``, an id. ``path``: the page of the gallery that shows it."""
    folder = "/".join(PurePath(str(ws.root)).parts[-2:]).lstrip("/")
    emit_event(
        event,
        resource={
            "prefect.resource.id": f"keepset.{ws.id}.{thing}",
            "prefect.resource.name": folder,
            "keepset.words": words,
            "keepset.link": where_to_look(ws, path),
        },
    )
