"""The shards of a stage as Prefect tasks: here one after the other, or several at once on Dask workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from prefect import Task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import as_completed
from prefect.logging import get_run_logger

from keepset.pipeline.cluster import Cluster, connect, count_workers
from keepset.pipeline.engine import Engine
from keepset.pipeline.spread import killed_workers
from keepset.stages import EngineKind, Stage
from keepset.workspace import Workspace
from tasks.running import artifact_key
from tasks.showing import show

if TYPE_CHECKING:
    from prefect_dask.task_runners import DaskTaskRunner

__all__ = ["ShardTask", "run_shards"]

ShardTask = Task[[str, dict[str, Any]], dict[str, Any]]


def run_shards(
    ws: Workspace,
    stage: Stage,
    engine: Engine,
    plan: Callable[[str, int], list[dict[str, Any]]],
    task: ShardTask,
) -> None:
    """Do what ``plan`` finds still to be done. Raises what a shard raises, or ``EngineError``."""
    workspace = str(ws.root)
    if engine.kind == EngineKind.LOCAL:
        for shard in plan(workspace, 0):
            task(workspace, shard)
        return
    with ws.lock(stage, note=get_run_logger().info):
        shards = plan(workspace, count_workers(engine))
        if not shards:
            return
        with connect(engine, ws) as cluster, _runner(cluster) as runner:
            get_run_logger().info("%s: %d shards on %s", stage, len(shards), cluster)
            _run_on(runner, ws, stage, shards, task)


def _runner(cluster: Cluster) -> DaskTaskRunner:
    from prefect_dask.task_runners import DaskTaskRunner

    return DaskTaskRunner(address=cluster.address, client_kwargs={"security": cluster.security})


def _run_on(
    runner: DaskTaskRunner, ws: Workspace, stage: Stage, shards: Sequence[dict[str, Any]], task: ShardTask
) -> None:
    """Each lane's shards one after the other, the lanes at once; a progress artifact counts them."""
    task = task.with_options(
        timeout_seconds=0
    )  # no thread of a worker can be interrupted: each item has its own limit
    before: dict[int, Any] = {}
    futures = []
    for shard in shards:
        lane = shard["lane"]
        wait_for = [before[lane]] if lane in before else None
        before[lane] = runner.submit(task, {"workspace": str(ws.root), "shard": shard}, wait_for)
        futures.append(before[lane])
    shown = _Shown(ws, stage, len(shards))
    for future in as_completed(futures):
        with killed_workers(f"a shard of {stage}"):
            future.result()
        shown.one_more()


class _Shown:
    """How many shards are done, for people in Prefect's UI and in the log."""

    def __init__(self, ws: Workspace, stage: Stage, total: int) -> None:
        self.stage, self.total, self.done = stage, total, 0
        key = artifact_key(ws, f"shards-{stage}")
        self.artifact = show(create_progress_artifact, 0.0, key=key, description=self._words())

    def one_more(self) -> None:
        self.done += 1
        percent = 100 * self.done / self.total
        if self.artifact is not None:
            show(update_progress_artifact, self.artifact, percent, description=self._words())
        get_run_logger().info(self._words())

    def _words(self) -> str:
        return f"{self.stage}: {self.done} of {self.total} shards"
