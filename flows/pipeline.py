"""The full pipeline, from sources to a cleaning batch that waits."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from flows.chains import build, learn
from flows.parameters import DatasetForm, begin
from flows.run_lock import be_present
from flows.run_names import named
from keepset.machine.programs import spell
from keepset.orchestrator.names import FlowName
from keepset.orchestrator.neighbours import gallery_of
from keepset.pipeline import check_model_choice
from keepset.pipeline.engine import Engine
from keepset.workspace import Workspace

__all__ = ["pipeline"]


@flow(name=FlowName.PIPELINE, flow_run_name=named(FlowName.PIPELINE), persist_result=True)
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
    be_present(ws)
    check_model_choice(ws, ws.config())
    build(ws, engine)
    compared = learn(ws, ask=True)
    return Completed(data=compared, message=f"{compared['message']} {_next(ws)}")


def _next(ws: Workspace) -> str:
    """Where a person goes on, for the state of the run in Prefect's UI."""
    where = gallery_of(ws) or f"`{spell('keepset', 'web', '-w', ws.root)}`"
    return f"A run of review_batch looks for pictures to review, and waits for your decision: {where}"
