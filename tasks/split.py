from __future__ import annotations

from typing import Any

from prefect import task

from tasks.running import HOUR_S, run_stage

__all__ = ["split"]


@task(name="split", timeout_seconds=HOUR_S, task_run_name="split", persist_result=True)
def split(workspace: str) -> dict[str, Any]:
    """Assign new images to train and validation; nobody who has a side moves."""
    from keepset.split import split as stage

    return run_stage(stage, workspace)
