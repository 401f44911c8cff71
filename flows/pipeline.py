from __future__ import annotations

from typing import Any

from prefect import State, flow

from flows.build_dataset import build_dataset
from flows.naming import named
from flows.parameters import DatasetForm, begin
from flows.presence import at_work
from flows.train_model import learn
from keepset.pipeline import foresee
from keepset.pipeline.engine import Engine

__all__ = ["pipeline"]


@flow(name="pipeline", flow_run_name=named("pipeline"), persist_result=True)
def pipeline(
    workspace: str,
    config: str | None = None,
    dataset: DatasetForm | None = None,
    engine: Engine | None = None,
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
        foresee(ws, ws.config())
        build_dataset(workspace, config, dataset, engine)
        return learn(ws, ask=True)
