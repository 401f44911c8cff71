"""What follows a cleaned revision."""

from __future__ import annotations

from typing import Any

from prefect import State, flow

from flows.chains import learn
from flows.runs import at_work, named
from keepset.orchestrator.names import FlowName
from keepset.pipeline.atwork import Work
from tasks.progress import opened

__all__ = ["retrain"]


@flow(name=FlowName.RETRAIN, flow_run_name=named(FlowName.RETRAIN), persist_result=True)
def retrain(workspace: str) -> State[dict[str, Any]]:
    """Train on the newest revision, compare with the old model, and open the next batch if one is worth it.

    Started by the event keepset.dataset.cleaned. However often it is started for one revision, it trains once.

    Args:
        workspace: Folder of the data set.
    """
    ws, _ = opened(workspace)
    with at_work(ws, Work.FOLLOW_UP):
        return learn(ws, ask=True)
