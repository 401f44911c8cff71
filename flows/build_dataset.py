"""Sources to a split data set."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from flows.chains import build
from flows.parameters import DatasetForm, begin
from flows.runs import at_work, named
from keepset.orchestrator.names import FlowName
from keepset.pipeline.engine import Engine

__all__ = ["build_dataset"]


@flow(name=FlowName.BUILD_DATASET, flow_run_name=named(FlowName.BUILD_DATASET), persist_result=True, log_prints=False)
def build_dataset(
    workspace: str, config: str | None = None, dataset: DatasetForm | None = None, engine: Engine | None = None
) -> State[dict[str, Any]]:
    """Collect, download, validate and split. Incremental: what is there already is not done again.

    Args:
        workspace: Folder that holds everything about one data set; it is made if it is missing.
        config: Path of a run config (TOML). Left out: the one the workspace has, or the new data set below.
        dataset: A new data set, told here instead of in a file.
        engine: Where shards of downloading and validation run. Left out: as the runner's machine is set.
    """
    ws = begin(workspace, config, dataset)
    with at_work(ws):
        done = build(ws, engine)
    return Completed(data=done, message=done["message"])
