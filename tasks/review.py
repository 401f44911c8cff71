"""A cleaning batch under Prefect: open it, show it, take the decision from the form. All state is on disk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.deployments import run_deployment
from prefect.logging import get_run_logger

from keepset.errors import ReviewError
from keepset.machine.programs import spell
from keepset.orchestrator.names import FlowName, deployment_of
from keepset.orchestrator.neighbours import gallery_of
from tasks.artifacts import show
from tasks.progress import HOUR_S, artifact_key, opened

if TYPE_CHECKING:
    from keepset.review import Batch
    from keepset.workspace import Workspace

__all__ = ["announce", "ask_for_review", "record_decision", "remember_run"]

LISTED = 20
"""Images that the form names; beyond that a form is of no use, and the gallery is the tool."""


@task(name="ask-for-review", task_run_name="ask for a review of {model_id}", retries=5,
      retry_delay_seconds=[2, 5, 15, 30, 60], persist_result=True)  # fmt: skip
def ask_for_review(workspace: str, model_id: str) -> None:
    """Start review_batch as a run of its own, once a model, since only a deployment's run can be suspended."""
    ws, _ = opened(workspace)
    run_deployment(
        deployment_of(FlowName.REVIEW_BATCH),
        parameters={"workspace": workspace},
        timeout=0,
        as_subflow=False,
        idempotency_key=f"review-{ws.id}-{model_id}",
    )


@task(name="remember-run", task_run_name="remember run of {batch_id}", persist_result=True)
def remember_run(workspace: str, batch_id: str, flow_run_id: str, api_url: str) -> None:
    """Write down which flow run waits for this batch, and until when, so that the gallery can wake it."""
    from keepset.orchestrator.waiting import remember
    from keepset.review import load_batch

    ws, _ = opened(workspace)
    remember(load_batch(ws, batch_id), flow_run_id, api_url)


@task(name="announce", timeout_seconds=HOUR_S, task_run_name="announce {batch_id}", persist_result=True)
def announce(workspace: str, batch_id: str) -> str:
    """Publish what waits, with a link to the gallery; returns the same words for the approval form."""
    from keepset.review import load_batch

    ws, _ = opened(workspace)
    batch = load_batch(ws, batch_id)
    counts = "\n".join(f"| {reason} | {n} |" for reason, n in sorted(batch.record.counts.items()))
    words = (
        f"### Cleaning batch {batch_id} of '{_cell(ws.name)}' waits for approval\n\n"
        f"{batch.candidates().header.rows} images of revision {batch.record.revision}, until "
        f"{batch.deadline:%Y-%m-%d %H:%M} UTC.\n\n{_link(ws, batch_id)}\n\n"
        f"| reason | images |\n|---|---|\n{counts}\n\n{_first(batch)}"
    )
    show(
        create_markdown_artifact,
        words,
        key=artifact_key(ws, "batch"),
        description=f"{batch_id} waits for approval",
    )
    return words


def _first(batch: Batch) -> str:
    """The likeliest candidates with the ids that the form takes. No words of strangers: the form draws markdown."""
    rows = batch.candidates().rows()
    lines = [
        f"| `{r['sha256'][:12]}` | {_cell(r['label'])} → {_cell(r['predicted'])} | {', '.join(r['reasons'])} "
        f"| {r['suggestion']} {_cell(r['suggested_label'] or '')} |"
        for r in rows[:LISTED]
    ]
    more = f"\n\n... and {len(rows) - LISTED} more, in the gallery." if len(rows) > LISTED else ""
    head = "| image | given → predicted | reasons | suggested |\n|---|---|---|---|\n"
    return head + "\n".join(lines) + more + "\n"


def _cell(text: str) -> str:
    """A class name as plain text in a markdown table."""
    return re.sub(r"([\\`*_\[\]<>|#!()~])", r"\\\1", " ".join(text.split()))


def _link(ws: Workspace, batch_id: str) -> str:
    if not (url := gallery_of(ws)):
        return f"Look at it with `{spell('keepset', 'web', '-w', ws.root)}`."
    return f"[Look at it in the gallery]({url}/batches/{batch_id}): pictures, reasons, undo."


@task(
    name="record-decision",
    timeout_seconds=HOUR_S,
    task_run_name="record decision on {batch_id}",
    persist_result=True,
)
def record_decision(workspace: str, batch_id: str, form: dict[str, Any]) -> str:
    """Record what the form in Prefect's UI said. Returns why it was refused, or nothing if it stands.

    A decision made elsewhere in the meantime wins, and is no trouble: the form came second.
    """
    from keepset.review import BatchStatus, load_batch, submit

    ws, _ = opened(workspace)
    batch = load_batch(ws, batch_id)
    try:
        submit(batch, form["decision"], who=form["reviewer"], note=form["note"], undecided=form["undecided"],
               keep=tuple(form["keep"]), confirm=form["confirm"], via="prefect")  # fmt: skip
    except ReviewError as e:
        if load_batch(ws, batch_id).status != BatchStatus.OPEN:
            get_run_logger().warning("The form came second: %s", e)
            return ""
        return str(e)
    return ""
