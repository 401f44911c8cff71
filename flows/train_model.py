"""Training, comparing, promoting and reporting."""

from __future__ import annotations

from typing import Any

from prefect import State, flow

from flows.chains import learn
from flows.runs import at_work, named
from keepset.orchestrator.names import FlowName
from tasks.progress import opened

__all__ = ["train_model"]


@flow(name=FlowName.TRAIN_MODEL, flow_run_name=named(FlowName.TRAIN_MODEL), persist_result=True)
def train_model(workspace: str) -> State[dict[str, Any]]:
    """Train on the current revision, export, compare with the model in use, and report.

    Args:
        workspace: Folder of the data set.
    """
    ws, _ = opened(workspace)
    with at_work(ws):
        return learn(ws)
