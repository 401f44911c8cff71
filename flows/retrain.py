from __future__ import annotations

from typing import Any

from prefect import State, flow

from flows.naming import named
from flows.presence import at_work
from flows.train_model import learn
from keepset.pipeline.atwork import Work
from tasks.running import opened

__all__ = ["retrain"]


@flow(name="retrain", flow_run_name=named("retrain"), persist_result=True)
def retrain(workspace: str) -> State[dict[str, Any]]:
    """Train on the newest revision, compare with the old model, and open the next batch if one is worth it.

    Started by the event keepset.dataset.cleaned. However often it is started for one revision, it trains once.

    Args:
        workspace: Folder of the data set.
    """
    ws, _ = opened(workspace)
    with at_work(ws, Work.FOLLOW_UP):
        return learn(ws, ask=True)
