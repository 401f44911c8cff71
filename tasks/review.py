"""A cleaning batch under Prefect: announce it, take the decision from the form. All state is on disk."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.deployments import run_deployment
from prefect.logging import get_run_logger

from keepset.errors import ReviewError
from keepset.orchestrator.names import WAITS, FlowName, deployment_of
from keepset.orchestrator.neighbours import where_to_look
from keepset.text import many
from tasks.artifacts import show
from tasks.events import tell_news
from tasks.interpret import picture_of
from tasks.progress import HOUR_S, artifact_key, opened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


__all__ = ["announce", "ask_for_review", "record_decision", "remember_run", "say_next"]

SHOWN = 24
"""Pictures in the form: what fits into it without scrolling for long."""


@task(name="ask-for-review", task_run_name="ask for a review of {batch_id}", retries=5,
      retry_delay_seconds=[2, 5, 15, 30, 60], persist_result=True)  # fmt: skip
def ask_for_review(workspace: str, batch_id: str) -> None:
    """Start a run that waits for the decision on an open batch, unless one does: only a deployment's run can be suspended."""
    from keepset.orchestrator.waiting import run_id_of, wait_key
    from keepset.review import BatchStatus, load_batch

    ws, _ = opened(workspace)
    batch = load_batch(ws, batch_id)
    if batch.status == BatchStatus.OPEN and run_id_of(batch) is None:
        run_deployment(
            deployment_of(FlowName.REVIEW_BATCH),
            parameters={"workspace": workspace, "batch_id": batch_id},
            timeout=0,
            as_subflow=False,
            idempotency_key=wait_key(batch),
        )


@task(name="say-next", timeout_seconds=HOUR_S, task_run_name="say what is next", persist_result=True)
def say_next(workspace: str, batch_id: str | None) -> str:
    """Tell in the log, and in an artifact, where a person goes on; returns the same words for the state of the run."""
    from keepset.review import BatchStatus, load_batch

    ws, _ = opened(workspace)
    waits = batch_id is not None and load_batch(ws, batch_id).status == BatchStatus.OPEN
    where = where_to_look(ws, f"/batches/{batch_id}")
    words = f"Batch {batch_id} waits: {where}" if waits else "There is nothing to review."
    get_run_logger().info(words)
    show(create_markdown_artifact, words, key=artifact_key(ws, "next"), description=words)
    return words


@task(name="remember-run", task_run_name="remember run of {batch_id}", persist_result=True)
def remember_run(workspace: str, batch_id: str, flow_run_id: str, api_url: str) -> None:
    """Write down which flow run waits for this batch, and until when, so that the gallery can wake it."""
    from keepset.orchestrator.waiting import remember
    from keepset.review import load_batch

    ws, _ = opened(workspace)
    remember(load_batch(ws, batch_id), flow_run_id, api_url)


@task(name="announce", timeout_seconds=HOUR_S, task_run_name="announce {batch_id}", persist_result=True)
def announce(workspace: str, batch_id: str) -> str:
    """Publish what waits, with a link to the gallery; returns what the approval form says of it: words and pictures."""
    from keepset.review import load_batch

    ws, _ = opened(workspace)
    batch = load_batch(ws, batch_id)
    rows = batch.candidates().rows()
    pictures, where = many(len(rows), "picture"), where_to_look(ws, f"/batches/{batch_id}")
    words = (
        f"### {pictures} of '{_cell(ws.name)}' to review\n\n[Open {batch_id} in the gallery]({where}) to see each in full "
        f"size and decide on it. It is open until {batch.deadline:%Y-%m-%d %H:%M} UTC.\n\n"
        f"Suggested: {_suggested(rows)}.\n\n"
    )
    counts = "\n".join(f"| {reason} | {n} |" for reason, n in sorted(batch.record.counts.items()))
    show(
        create_markdown_artifact,
        f"{words}| reason | images |\n|---|---|\n{counts}\n",
        key=artifact_key(ws, "batch"),
        description=f"{batch_id}: {pictures} to review",
    )
    tell_news(WAITS, ws, batch_id, f"{pictures} to review.", f"/batches/{batch_id}")
    return f"{words}![The first {SHOWN}, with their ids]({picture_of(ws, [r['sha256'] for r in rows[:SHOWN]])})"


def _suggested(rows: Sequence[Mapping[str, Any]]) -> str:
    """``delete 8, relabel 3, keep 2``"""
    counts = Counter(r["suggestion"] for r in rows)
    return ", ".join(f"{action} {counts[action]}" for action in ("delete", "relabel", "keep") if counts[action])


def _cell(text: str) -> str:
    """The name of a data set as plain text in Markdown."""
    return re.sub(r"([\\`*_\[\]<>|#!()~])", r"\\\1", " ".join(text.split()))


@task(
    name="record-decision", timeout_seconds=HOUR_S, task_run_name="record decision on {batch_id}", persist_result=True
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
