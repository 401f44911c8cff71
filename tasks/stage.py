"""A stage as a Prefect task: its name, retries and time-out are in its row of ``keepset.pipeline.registry``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import Task, task
from prefect.artifacts import create_table_artifact

from keepset.pipeline.engine import Engine
from keepset.pipeline.failures import failures
from keepset.pipeline.registry import StageSpec, find
from keepset.pipeline.shards import run_stage
from keepset.workspace import Workspace
from tasks.artifacts import show
from tasks.events import tell_promoted
from tasks.progress import PrefectProgress, artifact_key, tell

__all__ = ["run_as_task"]

HOUR_S = 3600.0


def run_as_task(spec: StageSpec, workspace: str, engine: Engine | None = None, **options: Any) -> dict[str, Any]:
    """Run a stage as a task of the current flow; returns its JSON-ready result."""
    where = (engine or Engine()).model_dump(mode="json")
    return _task(spec, options)(workspace, spec.name, where, options)


@task(persist_result=True)
def _run(workspace: str, stage: str, engine: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    ws, spec = Workspace.open(Path(workspace)), find(stage)
    config = None if spec.config is None else ws.config()
    where = Engine.model_validate(engine)
    result = run_stage(spec, ws, config, where, PrefectProgress(ws), **options)
    _show_failures(ws, stage)
    tell_promoted(ws, result)
    return tell(ws, result)


def _task(spec: StageSpec, options: dict[str, Any]) -> Task[..., dict[str, Any]]:
    """Its run is named by the stage and by what it works on, e.g. ``promote 1f0c...``."""
    words = " ".join([spec.name, *(v for v in options.values() if isinstance(v, str) and v)])
    found: Task[..., dict[str, Any]] = _run.with_options(
        name=spec.name, description=spec.help, task_run_name=lambda: words, retries=len(spec.retries),
        retry_delay_seconds=list(spec.retries), retry_condition_fn=_retry_on(spec),
        timeout_seconds=HOUR_S * spec.hours if spec.hours else None,
    )  # fmt: skip
    return found


def _retry_on(spec: StageSpec) -> Any:
    if spec.retry_on is None:
        return None
    wanted = spec.retry_on

    def is_transient(_task: Any, _run: Any, state: Any) -> bool:
        return isinstance(state.data, wanted) or wanted.__name__ in (state.message or "")

    return is_transient


def _show_failures(ws: Workspace, stage: str) -> None:
    rows = [{"reason": f.reason, "count": f.count, "hosts": ", ".join(f"{h} {n}" for h, n in f.hosts),
             "what to do": f.remedy} for f in failures(ws, stage)]  # fmt: skip
    if rows:
        key, words = artifact_key(ws, f"failures-{stage}"), f"What {stage} did not take, and why"
        show(create_table_artifact, rows, key=key, description=words)
