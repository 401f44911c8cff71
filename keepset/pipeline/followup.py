"""What follows an approval: the batch becomes a revision, a model is trained on it, the next batch is proposed.

``working`` surrounds that work wherever it is done and writes down how far it is; ``start`` does it in a process of its
own, which goes on when the page is closed and when the server that started it ends. All of it may be asked again and
again: each stage knows by its fingerprint what is done, and holds its lock while it works.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from keepset import manifests
from keepset.errors import DamagedFile, KeepsetError, OrchestratorError
from keepset.files import atomic_path, read_json
from keepset.machine.programs import environment, program
from keepset.manifests import Header
from keepset.models import list_models
from keepset.orchestrator import connect, is_running
from keepset.review import Batch, BatchStatus, list_batches
from keepset.stages import SILENT, Progress, StageResult
from keepset.workspace import Workspace

__all__ = [
    "Pending", "Standing", "State", "Teller", "hand_over", "is_learnt", "pending", "progress_of", "resume", "standing",
    "start", "working",
]  # fmt: skip

LOCK, LOG, STATE = "followup", "followup.log", "followup.json"
START_S = 60.0
"""Within this time a process that was started must hold the lock."""
_EVERY_S = 0.5


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
    return str(header.extra.get("cause", "")).startswith(("batch:", "restore:"))


def is_learnt(ws: Workspace, header: Header) -> bool:
    """Whether a model of this revision is trained, compared with the one in use, and reported."""
    mine = [m.id for m in list_models(ws) if m.dataset_hash == header.content_hash]
    return any(
        (ws.models / m / "comparison.json").exists() and (ws.reports / m / "report.html").exists()
        for m in mine
    )


# -- doing it ------------------------------------------------------------------------------------


@contextlib.contextmanager
def working(ws: Workspace, progress: Progress = SILENT) -> Iterator[Teller]:
    """Hold the follow-up's lock and record the progress of the work within, for status and gallery."""
    with ws.lock(LOCK):
        teller = Teller(ws, progress)
        try:
            yield teller
        except GeneratorExit:  # its caller wants no more of it
            teller.done()
            raise
        except BaseException as e:
            teller.failed(e)
            raise
        teller.done()


class Teller(Progress):
    """Passes progress on, and writes it to ``followup.json`` twice a second at most."""

    def __init__(self, ws: Workspace, progress: Progress) -> None:
        self.path, self.progress, self.last = ws.scratch / STATE, progress, 0.0
        self.state = _fresh(os.getpid(), locked=True)
        self._write()

    def start(self, what: str, total: int | None) -> None:
        self.progress.start(what, total)
        self.state |= {"what": what, "done": 0, "total": total}
        self._write()

    def advance(self, n: int = 1, **facts: Any) -> None:
        self.progress.advance(n, **facts)
        self.state["done"] += n
        if time.monotonic() - self.last >= _EVERY_S:
            self._write()

    def note(self, message: str) -> None:
        self.progress.note(message)

    def each(self, results: Iterator[StageResult]) -> Iterator[StageResult]:
        """Pass the stages' results on, and record them."""
        for result in results:
            self.state["results"].append({"stage": str(result.stage), "message": result.message})
            self._write()
            yield result

    def failed(self, e: BaseException) -> None:
        message, remedy = f"{type(e).__name__}: {e}".rstrip(": "), ""
        if isinstance(e, KeepsetError):
            message, remedy = e.message, e.remedy
        elif isinstance(e, KeyboardInterrupt):
            message = "It was interrupted."
        self.state |= {"trouble": {"message": message, "remedy": remedy}, "ended": True}
        self._write()

    def done(self) -> None:
        self.state |= {"ended": True, "what": ""}
        self._write()

    def _write(self) -> None:
        self.last = time.monotonic()
        _write(self.path, self.state)


def _fresh(pid: int, *, locked: bool) -> dict[str, Any]:
    """``locked``: the process has begun, and holds the lock as long as it lives."""
    return {
        "pid": pid, "locked": locked, "began": datetime.now(UTC).isoformat(timespec="seconds"), "results": [],
        "what": "starting", "done": 0, "total": None, "ended": False, "trouble": None,
    }  # fmt: skip


def _write(path: Path, state: Mapping[str, Any]) -> None:
    """Only to be looked at: a disk that refuses it does not stop the work, which says so itself."""
    with contextlib.suppress(OSError, KeepsetError), atomic_path(path, sync=False) as part:
        part.write_text(json.dumps(state), encoding="utf-8")


def start(ws: Workspace) -> None:
    """Apply and retrain in a process of its own. A second one waits for the first, and then finds nothing to do."""
    log = ws.scratch / "logs" / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            program("keepset", "follow-up", "-w", str(ws.root)), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True, env=environment(),
        )  # fmt: skip
    if not ws.is_locked(LOCK):
        _write(ws.scratch / STATE, _fresh(process.pid, locked=False))
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie behind


def resume(ws: Workspace) -> bool:
    """Start again what was killed on its way. True if there was such a thing."""
    left = progress_of(ws)
    killed = bool(left) and not left["ended"] and standing(ws).state == State.STOPPED
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


# -- how far it is -------------------------------------------------------------------------------


class State(StrEnum):
    IDLE = "idle"  # nothing was approved yet
    WORKING = "working"
    PREFECT = "prefect"  # the stack, or a team's workers, do it
    FAILED = "failed"
    STOPPED = "stopped"  # approved, and nobody works on it
    DONE = "done"


@dataclass(frozen=True)
class Standing:
    """``progress`` is the content of ``followup.json``: what the last process that did the work wrote down."""

    state: State
    pending: Pending
    progress: Mapping[str, Any]


def standing(ws: Workspace) -> Standing:
    """Where the follow-up of the last approval stands. Asks no server."""
    left, todo = progress_of(ws), pending(ws)
    if ws.is_locked(LOCK) or (left and not left["ended"] and _just_started(left)):
        state = State.WORKING
    elif not todo:
        state = State.DONE if _follows_an_approval(ws) else State.IDLE
    elif is_running(ws.root):
        state = State.PREFECT
    elif left.get("trouble"):
        state = State.FAILED
    else:
        state = State.PREFECT if os.environ.get("PREFECT_API_URL") else State.STOPPED
    return Standing(state, todo, left)


def progress_of(ws: Workspace) -> dict[str, Any]:
    """The content of ``followup.json``; empty before the first follow-up."""
    try:
        found = read_json(ws.scratch / STATE)
    except (FileNotFoundError, DamagedFile):
        return {}
    whole = isinstance(found, dict) and found.keys() >= _fresh(0, locked=False).keys()
    return found if whole else {}


def _follows_an_approval(ws: Workspace) -> bool:
    revision = (ws.revisions() or [0])[-1]
    return bool(revision) and _is_asked_for(manifests.read_header(ws.dataset(revision)))


def _just_started(left: Mapping[str, Any]) -> bool:
    """Whether its process lives, and is too young to hold the lock."""
    if left["locked"]:
        return False
    age = datetime.now(UTC) - datetime.fromisoformat(left["began"])
    with contextlib.suppress(OSError):
        os.kill(int(left["pid"]), 0)
        return age.total_seconds() < START_S
    return False
