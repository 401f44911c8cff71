"""Training, comparing, promoting and reporting."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows.naming import named
from flows.phases import learn
from flows.presence import be_present
from keepset.orchestrator.names import FlowName
from tasks.running import opened

__all__ = ["train_model"]


@flow(name=FlowName.TRAIN_MODEL, flow_run_name=named(FlowName.TRAIN_MODEL), persist_result=True)
def train_model(workspace: str) -> dict[str, Any]:
    """Train on the current revision, export, compare with the model in use, and report.

    Args:
        workspace: Folder of the data set.
    """
    ws, _ = opened(workspace)
    be_present(ws)
    return learn(ws)
