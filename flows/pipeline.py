"""The full pipeline, from sources to a cleaning batch that waits."""

from __future__ import annotations

from typing import Any

from prefect import State, flow

from flows.chains import build, learn
from flows.parameters import DatasetForm, begin
from flows.runs import at_work, named
from keepset.orchestrator.names import FlowName
from keepset.pipeline import check_model_choice
from keepset.pipeline.engine import Engine

__all__ = ["pipeline"]


@flow(name=FlowName.PIPELINE, flow_run_name=named(FlowName.PIPELINE), persist_result=True)
def pipeline(
    workspace: str, config: str | None = None, dataset: DatasetForm | None = None, engine: Engine | None = None
) -> State[dict[str, Any]]:
    """The full pipeline: collect, download, validate, split, train, report, and a cleaning batch to approve.

    Args:
        workspace: Folder that holds everything about one data set; it is made if it is missing.
        config: Path of a run config (TOML). Left out: the one the workspace has, or the new data set below.
        dataset: A new data set, told here instead of in a file.
        engine: Where shards of downloading and validation run. Left out: as the runner's machine is set.
    """
    ws = begin(workspace, config, dataset)
    with at_work(ws):
        check_model_choice(ws, ws.config())
        build(ws, engine)
        return learn(ws, ask=True)
