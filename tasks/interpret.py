"""The report in Prefect's UI: its verdict as an artifact; and contact sheets of batches."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_image_artifact, create_markdown_artifact

from keepset.files import read_json
from keepset.machine.programs import spell
from keepset.orchestrator.neighbours import gallery_of
from keepset.workspace import Workspace
from tasks.artifacts import show
from tasks.progress import HOUR_S, artifact_key, opened

__all__ = ["picture_of", "show_contact_sheet", "show_verdict"]


@task(name="show-verdict", timeout_seconds=HOUR_S, task_run_name="verdict on {model_id}", persist_result=True)
def show_verdict(workspace: str, model_id: str) -> None:
    """The report in a few sentences, with its address."""
    from keepset.interpret.markdown import as_markdown

    ws, _ = opened(workspace)
    facts = read_json(ws.reports / model_id / "report.json")
    words = f"Verdict on model {model_id[:8]} of '{ws.name}'"
    markdown = as_markdown(facts, _link(ws, model_id))
    show(create_markdown_artifact, markdown, key=artifact_key(ws, "verdict"), description=words)


def _link(ws: Workspace, model_id: str) -> str:
    if not (url := gallery_of(ws)):
        return f"The report: `{ws.reports / model_id / 'report.html'}`, or `{spell('keepset', 'web', '-w', ws.root)}`."
    return f"[The whole report]({url}/reports/{model_id})"


@task(name="contact-sheet", timeout_seconds=HOUR_S, task_run_name="contact sheet {name}", persist_result=True)
def show_contact_sheet(workspace: str, name: str, shas: list[str], words: str) -> None:
    """A picture of some images in Prefect's UI, with the ids that the form takes."""
    ws, _ = opened(workspace)
    show(create_image_artifact, picture_of(ws, shas), key=artifact_key(ws, name), description=words)


def picture_of(ws: Workspace, shas: Sequence[str]) -> str:
    """A contact sheet as a data: URI, which needs no other server."""
    from keepset.interpret import contact_sheet

    return f"data:image/webp;base64,{base64.b64encode(contact_sheet(ws, shas)).decode()}"
