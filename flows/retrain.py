from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.deployments import run_deployment

from flows.train_model import learn
from tasks.running import opened

__all__ = ["ask_for_review", "retrain"]


@flow(name="retrain", flow_run_name="retrain {workspace}", persist_result=True)
def retrain(workspace: str) -> dict[str, Any]:
    """Train on the newest revision, compare with the old model, and open the next batch if one is worth it.

    Started by the event keepset.dataset.cleaned. However often it is started for one revision, it trains once.

    Args:
        workspace: Folder of the data set.
    """
    ws, _ = opened(workspace)
    compared = learn(ws)
    ask_for_review(workspace, compared["outputs"]["model_id"])
    return compared


def ask_for_review(workspace: str, model_id: str) -> None:
    """Start review_batch as a run of its own, once a model, since only a deployment's run can be suspended."""
    ws, _ = opened(workspace)
    run_deployment(
        "review_batch/review_batch",
        parameters={"workspace": workspace},
        timeout=0,
        as_subflow=False,
        idempotency_key=f"review-{ws.id}-{model_id}",
    )
