"""Many pictures into one Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow

from flows.runs import be_present, exclusive
from keepset.orchestrator.names import FlowName
from keepset.pipeline.registry import find
from keepset.stages import Stage
from keepset.workspace import Workspace
from tasks.stage import run_as_task

__all__ = ["predict_batch"]


@flow(name=FlowName.PREDICT_BATCH, flow_run_name=f"{FlowName.PREDICT_BATCH} {{source}}", persist_result=True)
def predict_batch(
    workspace: str, source: str = "", model: str = "", to: str = "", retry_failed: bool = False
) -> dict[str, Any]:
    """Predict many pictures into one Parquet file. Resumable: nothing is predicted twice.

    Args:
        workspace: Folder of the data set whose model is used.
        source: Folder, or a Parquet, CSV or text file with a column path or url. Left empty: the data set itself.
        model: Id of a model, or a model.onnx. Left empty: the model in use.
        to: Parquet file to write. Left empty: below predictions/ in the workspace.
        retry_failed: Retry pictures that could not be fetched or read.
    """
    ws = Workspace.open(Path(workspace))
    be_present(ws)
    with exclusive(ws, "predict"):
        return run_as_task(find(Stage.PREDICT), workspace, source=source, model=model, to=to, retry_failed=retry_failed)
