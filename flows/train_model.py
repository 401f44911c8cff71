from __future__ import annotations

from typing import Any

from prefect import flow

from flows.exclusive import exclusive
from flows.naming import named
from flows.presence import be_present
from keepset.workspace import Workspace
from tasks.interpret import interpret, show_verdict
from tasks.review import ask_for_review
from tasks.running import opened
from tasks.train import export, promote, train

__all__ = ["learn", "train_model"]


@flow(name="train_model", flow_run_name=named("train"), persist_result=True)
def train_model(workspace: str) -> dict[str, Any]:
    """Train on the current revision, export, compare with the model in use, and report.

    Args:
        workspace: Folder of the data set.
    """
    ws, _ = opened(workspace)
    be_present(ws)
    return learn(ws)


def learn(ws: Workspace, *, ask: bool = False) -> dict[str, Any]:
    """The tasks of training, for the flows that contain it. With ``ask`` the review begins right after the training,
    while the model is exported, compared and reported on.
    """
    workspace = str(ws.root)
    with exclusive(ws, "train"):
        model_id = train(workspace)["outputs"]["model_id"]
        if ask:
            ask_for_review(workspace, model_id)
        export(workspace, model_id)
        compared = promote(workspace, model_id)
        interpret(workspace, model_id)
        show_verdict(workspace, model_id)
    return compared
