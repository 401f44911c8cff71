from __future__ import annotations

import base64
from typing import Any

from prefect import task
from prefect.artifacts import create_image_artifact

from tasks.running import HOUR_S, artifact_key, opened, run_stage
from tasks.showing import show

__all__ = ["interpret", "show_contact_sheet"]


@task(name="interpret", timeout_seconds=HOUR_S, task_run_name="interpret {model_id}", persist_result=True)
def interpret(workspace: str, model_id: str) -> dict[str, Any]:
    """Write report.html and report.json for a model."""
    from keepset.interpret import interpret as stage

    return run_stage(stage, workspace, model_id=model_id)


@task(name="contact-sheet", timeout_seconds=HOUR_S, task_run_name="contact sheet {name}", persist_result=True)
def show_contact_sheet(workspace: str, name: str, shas: list[str], words: str) -> None:
    """A picture of some images in Prefect's UI: a data: URI needs no other server."""
    from keepset.interpret import contact_sheet

    ws, _ = opened(workspace)
    encoded = base64.b64encode(contact_sheet(ws, shas)).decode()
    picture = f"data:image/webp;base64,{encoded}"
    show(create_image_artifact, picture, key=artifact_key(ws, name), description=words)
