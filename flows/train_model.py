from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from flows.exclusive import exclusive
from flows.naming import named
from flows.presence import at_work
from keepset.workspace import Workspace
from tasks.interpret import interpret, show_verdict
from tasks.review import ask_for_review, open_batch, say_next
from tasks.running import opened
from tasks.train import export, promote, train

__all__ = ["learn", "train_model"]


@flow(name="train_model", flow_run_name=named("train"), persist_result=True)
def train_model(workspace: str) -> State[dict[str, Any]]:
    """Train on the current revision, export, compare with the model in use, and report.

    Args:
        workspace: Folder of the data set.
    """
    ws, _ = opened(workspace)
    with at_work(ws):
        return learn(ws)


def learn(ws: Workspace, *, ask: bool = False) -> State[dict[str, Any]]:
    """The tasks of training, for the flows that contain it; the state's message says how it ended.

    With ``ask`` the next batch opens right after the training, while the model is exported, compared and reported on.
    """
    workspace = str(ws.root)
    with exclusive(ws, "train"):
        model_id = train(workspace)["outputs"]["model_id"]
        batch_id = open_batch(workspace) if ask else None
        if batch_id:
            ask_for_review(workspace, batch_id)
        export(workspace, model_id)
        compared = promote(workspace, model_id)
        interpret(workspace, model_id)
        show_verdict(workspace, model_id)
        words = compared["message"] if compared["changed"] else "Nothing has changed."
        words += f" {say_next(workspace, batch_id)}" if ask else ""
    return Completed(data=compared, message=words)
