from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import task

from keepset.workspace import Workspace
from tasks.running import PrefectProgress, tell

__all__ = ["merge_predictions", "plan_predictions", "predict_shard"]


@task(name="plan-predictions", task_run_name="plan predictions", persist_result=True)
def plan_predictions(workspace: str, job: dict[str, Any]) -> list[dict[str, Any]]:
    """The shards that still have something to do; the model is pinned for all of them."""
    from keepset.predict.batch import Job, plan

    ws = Workspace.open(Path(workspace))
    return [asdict(s) for s in plan(ws, Job(**job), progress=PrefectProgress(ws))]


@task(name="predict-shard", task_run_name="predict shard {shard[number]}", retries=1, retry_delay_seconds=10,
      timeout_seconds=6 * 3600, persist_result=True)  # fmt: skip
def predict_shard(workspace: str, job: dict[str, Any], shard: dict[str, Any]) -> dict[str, Any]:
    """One shard; what its journal holds already is not predicted again."""
    from keepset.predict.batch import Job, run_shard
    from keepset.stages import Shard

    ws = Workspace.open(Path(workspace))
    return run_shard(ws, Job(**job), Shard(**shard), PrefectProgress(ws, f"shard {shard['number']}: "))


@task(name="merge-predictions", task_run_name="merge predictions", persist_result=True)
def merge_predictions(workspace: str, job: dict[str, Any]) -> dict[str, Any]:
    """Put the shards together into the Parquet file."""
    from keepset.predict.batch import Job, merge

    ws = Workspace.open(Path(workspace))
    return tell(ws, merge(ws, Job(**job)))
