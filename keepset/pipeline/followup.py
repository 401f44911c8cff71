"""What follows an approval: the batch becomes a revision, a model is trained on it, the next batch is proposed.

``start`` does it in a process of its own, which goes on when the page is closed and when the server that started it
ends (``atwork.py`` writes down how far it is). All of it may be asked again and again: each stage knows by its
fingerprint what is done, and holds its lock while it works.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from keepset import manifests
from keepset.errors import OrchestratorError
from keepset.files import append_line
from keepset.machine.programs import environment, program
from keepset.manifests import Header
from keepset.models import list_models
from keepset.orchestrator import FlowRun, Orchestrator, connect, is_running
from keepset.orchestrator.names import FlowName, deployment_of
from keepset.pipeline.atwork import QUEUE_S, Work, announce, is_at_work, progress_of
from keepset.review import Batch, BatchStatus, list_batches, load_batch
from keepset.review.auditing import by_a_person
from keepset.workspace import Workspace

__all__ = [
    "Pending", "Standing", "State", "ask_to_retrain", "hand_on", "hand_over", "is_learnt", "pending", "resume", "run_again", "standing", "start",
    "take_on",
]  # fmt: skip


@dataclass(frozen=True)
class Pending:
    """Approved batches that are not applied yet, and a cleaned revision that no finished model has learnt."""

    batches: tuple[str, ...]
    revision: int | None

    def __bool__(self) -> bool:
        return bool(self.batches or self.revision)


def pending(ws: Workspace) -> Pending:
    """What approvals, and restorations, have asked for and nobody has finished."""
    batches = tuple(b.id for b in list_batches(ws) if b.status == BatchStatus.APPROVED)
    revision = (ws.revisions() or [0])[-1]
    if not revision:
        return Pending(batches, None)
    header = manifests.read_header(ws.dataset(revision))
    return Pending(batches, revision if _is_asked_for(header) and not is_learnt(ws, header) else None)


def _is_asked_for(header: Header) -> bool:
    """Whether a person's decision made this revision."""
    return by_a_person(header.extra.get("cause", ""))


def is_learnt(ws: Workspace, header: Header) -> bool:
    """Whether a model of this revision is trained, compared with the one in use, and reported."""
    mine = [m.id for m in list_models(ws) if m.dataset_hash == header.content_hash]
    return any((ws.models / m / "comparison.json").exists() and (ws.reports / m / "report.html").exists() for m in mine)


# -- doing it ------------------------------------------------------------------------------------


def start(ws: Workspace, work: Work = Work.FOLLOW_UP) -> None:
    """Do it in a process of its own. A second follow-up waits for the first, and then finds nothing to do.

    Raises ``WorkspaceNotWritable`` where that process could not even write down why it fails.
    """
    log = ws.scratch / "logs" / f"{work}.log"
    append_line(log, f"-- {datetime.now(UTC).isoformat(timespec='seconds')}")
    with log.open("ab") as out:
        process = subprocess.Popen(
            program("keepset", "follow-up", "-w", str(ws.root), *_OPTIONS[work]), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True, env=environment(),
        )  # fmt: skip
    announce(ws, work, process.pid)
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie behind


_OPTIONS: Mapping[Work, tuple[str, ...]] = {Work.FOLLOW_UP: (), Work.RUN: ("--run",)}


def run_again(ws: Workspace) -> None:
    """Run the pipeline: through Prefect where it is in charge, else in a process of its own. Not beside one that runs.

    Raises ``OrchestratorError`` if the Prefect server does not answer.
    """
    if is_at_work(ws, Work.RUN, progress_of(ws, Work.RUN)):
        return
    prefect = connect(ws)
    if prefect is None:
        start(ws, Work.RUN)
        return
    prefect.start_deployment(deployment_of(FlowName.PIPELINE), {"workspace": str(ws.root)})
    announce(ws, Work.RUN, os.getpid(), within=QUEUE_S)


def resume(ws: Workspace) -> bool:
    """Start again what was killed on its way. True if there was such a thing."""
    now = standing(ws)
    killed = now.state == State.STOPPED and now.was_killed and bool(now.pending)
    if killed:
        start(ws)
    return killed


def hand_over(ws: Workspace, batch: Batch) -> None:
    """After a decision: let Prefect take it up where one is in charge; else apply and retrain here.

    A Prefect server that does not answer stays in charge: its look for work left lying finds the decision later.
    """
    from keepset.orchestrator.waiting import take_up

    prefect = connect(ws)
    with contextlib.suppress(OrchestratorError):
        taken = prefect is not None and take_up(prefect, batch)
        if not taken and batch.status == BatchStatus.APPROVED:
            start(ws)


def take_on(ws: Workspace) -> None:
    """After a restoration: let Prefect train on it where it is in charge; else do it here.

    A Prefect server that does not answer finds it later, by its look for work left lying.
    """
    if not hand_on(ws) and pending(ws):
        start(ws)


def hand_on(ws: Workspace) -> bool:
    """Let Prefect train on what is pending, where it is in charge. False: nobody does it yet."""
    prefect = connect(ws)
    if not pending(ws).revision or prefect is None:
        return False
    with contextlib.suppress(OrchestratorError):
        ask_to_retrain(ws, prefect)
    return True


def ask_to_retrain(ws: Workspace, prefect: Orchestrator) -> FlowRun:
    """The run that trains on the current revision: asked again, it is the same one."""
    key = f"retrain-{ws.id}-{manifests.read_header(ws.newest()).content_hash[:32]}"
    return prefect.start_deployment(deployment_of(FlowName.RETRAIN), {"workspace": str(ws.root)}, key)


# -- how far it is -------------------------------------------------------------------------------


class State(StrEnum):
    IDLE = "idle"  # nothing was approved yet
    WORKING = "working"
    PREFECT = "prefect"  # the stack, or a team's workers, are to do it
    FAILED = "failed"
    STOPPED = "stopped"  # approved, or begun, and nobody works on it
    DONE = "done"


@dataclass(frozen=True)
class Standing:
    """``work`` is what is being done, or was done last; ``progress`` what its process wrote down."""

    state: State
    pending: Pending
    progress: Mapping[str, Any]
    work: Work = Work.FOLLOW_UP

    @property
    def was_killed(self) -> bool:
        """Whether the process that did it last ended before it said so."""
        return bool(self.progress) and not self.progress["ended"]


def standing(ws: Workspace) -> Standing:
    """Where the follow-up of the last approval stands, and a run of the pipeline. Asks no server."""
    todo, left = pending(ws), {work: progress_of(ws, work) for work in Work}
    for work, progress in left.items():
        if is_at_work(ws, work, progress):
            return Standing(State.WORKING, todo, progress, work)
    work = Work.FOLLOW_UP if todo else max(Work, key=lambda w: str(left[w].get("began", "")))
    progress = left[work]
    if todo:
        state = _left_lying(ws, todo, progress)
    elif work == Work.RUN and not (progress["ended"] and not progress["trouble"]):
        state = State.FAILED if progress["ended"] else State.STOPPED
    else:
        state = State.DONE if _follows_an_approval(ws) else State.IDLE
    return Standing(state, todo, progress, work)


def _left_lying(ws: Workspace, todo: Pending, progress: Mapping[str, Any]) -> State:
    """The state of what was approved and nobody works on. A failure before it was approved was another one's."""
    if progress.get("trouble") and progress["ended"] >= _asked_at(ws, todo):
        return State.FAILED
    in_charge = is_running(ws.root) or os.environ.get("PREFECT_API_URL")
    return State.PREFECT if in_charge else State.STOPPED


def _asked_at(ws: Workspace, todo: Pending) -> str:
    """When the last of it was approved, or its revision was made (ISO, UTC)."""
    approvals = [load_batch(ws, b).approval() for b in todo.batches]
    times = [a.at for a in approvals if a]
    if todo.revision:
        made = ws.dataset(todo.revision).stat().st_mtime
        times.append(datetime.fromtimestamp(made, UTC).isoformat(timespec="milliseconds"))
    return max(times)


def _follows_an_approval(ws: Workspace) -> bool:
    revision = (ws.revisions() or [0])[-1]
    return bool(revision) and _is_asked_for(manifests.read_header(ws.dataset(revision)))
