from __future__ import annotations

from typing import Any

from prefect import task

from tasks.news import PROMOTED, tell_news
from tasks.running import HOUR_S, PrefectProgress, opened, run_stage, tell

__all__ = ["export", "promote", "train"]


@task(name="train", task_run_name="train", timeout_seconds=24 * 3600, persist_result=True)
def train(workspace: str) -> dict[str, Any]:
    """Train on the current revision; a model that stands already is not trained again."""
    from keepset.train import train as stage

    return run_stage(stage, workspace)


@task(name="export", timeout_seconds=HOUR_S, task_run_name="export {model_id}", persist_result=True)
def export(workspace: str, model_id: str) -> str:
    """Write the model as ONNX, so that predicting needs no torch."""
    from keepset.export.onnx import export_model

    ws, _ = opened(workspace)
    PrefectProgress(ws).start("exporting the model", None)
    return str(export_model(ws, model_id))


@task(name="promote", timeout_seconds=HOUR_S, task_run_name="promote {model_id}", persist_result=True)
def promote(workspace: str, model_id: str) -> dict[str, Any]:
    """Put the model in use unless it is worse than the one before by more than chance explains."""
    from keepset.models.promote import compare_and_promote

    ws, config = opened(workspace)
    result = compare_and_promote(ws, config, model_id)
    if result.changed and ws.promoted() == model_id:
        tell_news(PROMOTED, ws, model_id, result.message, f"/reports/{model_id}")
    return tell(ws, result)
