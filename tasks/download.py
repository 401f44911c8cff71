from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact

from keepset.pipeline.failures import failures
from keepset.stages import Stage
from tasks.running import HOUR_S, PrefectProgress, artifact_key, opened, tell
from tasks.showing import show

__all__ = ["download", "download_shard", "plan_download"]


@task(name="plan-download", timeout_seconds=HOUR_S, task_run_name="plan download", persist_result=True)
def plan_download(workspace: str, lanes: int = 0) -> list[dict[str, Any]]:
    """The shards that still have something to do; none if the manifest is up to date. ``lanes``: so many at once."""
    from keepset.download import is_current, plan

    ws, config = opened(workspace)
    return [] if is_current(ws, config) else [asdict(s) for s in plan(ws, config, lanes)]


@task(name="download-shard", task_run_name="download shard {shard[number]}", retries=1, retry_delay_seconds=10,
      timeout_seconds=6 * 3600, persist_result=True)  # fmt: skip
def download_shard(workspace: str, shard: dict[str, Any]) -> dict[str, Any]:
    """One shard; what its journal holds already is not done again."""
    from keepset.download import Shard, run_shard

    ws, config = opened(workspace)
    return run_shard(ws, config, Shard(**shard), PrefectProgress(ws, f"shard {shard['number']}: "))


@task(name="download", timeout_seconds=HOUR_S, task_run_name="download", persist_result=True)
def download(workspace: str) -> dict[str, Any]:
    """Put the shards together into the manifest."""
    from keepset.download import download as stage

    ws, config = opened(workspace)
    done = tell(ws, stage(ws, config, progress=PrefectProgress(ws)))
    rows = [{"reason": f.reason, "count": f.count, "hosts": ", ".join(f"{h} {n}" for h, n in f.hosts),
             "what to do": f.remedy} for f in failures(ws, Stage.DOWNLOAD)]  # fmt: skip
    show(
        create_table_artifact,
        rows,
        key=artifact_key(ws, "failures"),
        description="What was not downloaded, and why",
    )
    return done
