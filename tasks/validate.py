from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import task

from tasks.running import HOUR_S, PrefectProgress, opened, tell

__all__ = ["plan_validate", "validate", "validate_shard"]


@task(name="plan-validate", timeout_seconds=HOUR_S, task_run_name="plan validate", persist_result=True)
def plan_validate(workspace: str, lanes: int = 0) -> list[dict[str, Any]]:
    """The shards that still have something to do; none if the manifest is up to date. ``lanes``: so many at once."""
    from keepset.validate import is_current, plan

    ws, config = opened(workspace)
    return [] if is_current(ws, config) else [asdict(s) for s in plan(ws, config, lanes)]


@task(name="validate-shard", task_run_name="validate shard {shard[number]}", retries=1, retry_delay_seconds=10,
      timeout_seconds=6 * 3600, persist_result=True)  # fmt: skip
def validate_shard(workspace: str, shard: dict[str, Any]) -> dict[str, Any]:
    """One shard; what its journal holds already is not done again."""
    from keepset.validate import Shard, run_shard

    ws, config = opened(workspace)
    return run_shard(ws, config, Shard(**shard), PrefectProgress(ws, f"shard {shard['number']}: "))


@task(name="validate", timeout_seconds=24 * HOUR_S, task_run_name="validate", persist_result=True)
def validate(workspace: str) -> dict[str, Any]:
    """Put the shards together into the manifest, and find copies: features and comparisons of all images."""
    from keepset.validate import validate as stage

    ws, config = opened(workspace)
    return tell(ws, stage(ws, config, progress=PrefectProgress(ws)))
