"""Who works on a workspace now, and how far that is: written down where it is done, read by status and gallery.

The command line, a process that the gallery started, and a Prefect run all write the same file, so that the gallery
shows each of them alike and asks no server.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from keepset.errors import DamagedFile, KeepsetError, WorkspaceBusy
from keepset.files import atomic_path, read_json
from keepset.stages import SILENT, Progress, StageResult
from keepset.workspace import Workspace

__all__ = ["QUEUE_S", "Teller", "Work", "announce", "is_at_work", "progress_of", "record", "teller_of", "working"]

START_S, QUEUE_S = 300.0, 900.0
"""Within this time a process that was started, or a run in Prefect's queue, must hold the lock."""
_EVERY_S = 0.5


class Work(StrEnum):
    """What is done; also the name of the lock that is held meanwhile."""

    FOLLOW_UP = "followup"  # what an approval asked for
    RUN = "run"  # the pipeline, or a part of it


_here: dict[Path, Teller] = {}
"""The work of this process, by workspace."""


@contextlib.contextmanager
def working(
    ws: Workspace,
    work: Work,
    progress: Progress = SILENT,
    *,
    wait: bool = True,
    note: Callable[[str], None] | None = None,
) -> Iterator[Teller]:
    """Hold the lock of this work and record the progress of what is done within. Within it, the same once more is one.

    Another process that is at the same work is waited for (``note`` is told); with ``wait=False`` this one goes on
    beside it, unseen.
    """
    if (outer := _here.get(ws.root)) is not None:
        yield outer
        return
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(ws.lock(work, wait=wait, note=note))
        except WorkspaceBusy:
            if wait:
                raise
            yield Teller(None, progress, work)
            return
        teller = _here[ws.root] = Teller(_file(ws, work), progress, work)
        held.callback(_here.pop, ws.root)
        try:
            yield teller
        except GeneratorExit:  # its caller wants no more of it
            teller.done()
            raise
        except BaseException as e:
            teller.failed(e)
            raise
        teller.done()


def teller_of(ws: Workspace) -> Progress:
    """Where the work that this process does on ``ws`` is recorded; silent if there is none."""
    return _here.get(ws.root, SILENT)


def record(ws: Workspace, result: StageResult) -> None:
    """Record a stage's result where this process's work on ``ws`` is recorded."""
    if (teller := _here.get(ws.root)) is not None:
        teller.add(result)


class Teller(Progress):
    """Passes progress on, and writes it to ``file``, if there is one, twice a second at most."""

    def __init__(self, file: Path | None, progress: Progress, work: Work) -> None:
        self.file, self.progress, self.last = file, progress, 0.0
        self.state = _fresh(os.getpid(), work, locked=True)
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

    def add(self, result: StageResult) -> None:
        """Record a stage's result; what it was doing is over."""
        self.state |= {"what": "", "done": 0, "total": None}
        self.state["results"].append({"stage": str(result.stage), "message": result.message})
        self._write()

    def each(self, results: Iterator[StageResult]) -> Iterator[StageResult]:
        """Pass the stages' results on, and record them."""
        for result in results:
            self.add(result)
            yield result

    def failed(self, e: BaseException) -> None:
        message, remedy = f"{type(e).__name__}: {e}".rstrip(": "), ""
        if isinstance(e, KeepsetError):
            message, remedy = e.message, e.remedy
        elif isinstance(e, KeyboardInterrupt):
            message = "It was interrupted."
        self.state |= {"trouble": {"message": message, "remedy": remedy}, "ended": _now()}
        self._write()

    def done(self) -> None:
        self.state |= {"ended": _now(), "what": ""}
        self._write()

    def _write(self) -> None:
        self.last = time.monotonic()
        if self.file is not None:
            _write(self.file, self.state)


def announce(ws: Workspace, work: Work, pid: int, within: float = START_S) -> None:
    """Let it be seen that this work is about to begin, as long as process ``pid`` lives, for ``within`` seconds."""
    if not ws.is_locked(work):
        _write(_file(ws, work), _fresh(pid, work, locked=False) | {"within": within})


def progress_of(ws: Workspace, work: Work) -> dict[str, Any]:
    """What the last process that did this work wrote down; empty before the first."""
    try:
        found = read_json(_file(ws, work))
    except (FileNotFoundError, DamagedFile):
        return {}
    whole = isinstance(found, dict) and found.keys() >= _fresh(0, work, locked=False).keys()
    return found if whole else {}


def is_at_work(ws: Workspace, work: Work, left: Mapping[str, Any]) -> bool:
    """Whether a process does it now, or was started a moment ago; ``left`` is what ``progress_of`` says."""
    return ws.is_locked(work) or (bool(left) and not left["ended"] and _just_started(left))


def _just_started(left: Mapping[str, Any]) -> bool:
    """Whether its process lives, and is too young to hold the lock."""
    if left["locked"]:
        return False
    age = datetime.now(UTC) - datetime.fromisoformat(left["began"])
    with contextlib.suppress(OSError):
        os.kill(int(left["pid"]), 0)
        return age.total_seconds() < float(left.get("within", START_S))
    return False


def _file(ws: Workspace, work: Work) -> Path:
    return ws.scratch / f"{work}.json"


def _fresh(pid: int, work: Work, *, locked: bool) -> dict[str, Any]:
    """``locked``: the process has begun, and holds the lock as long as it lives. ``ended``: when; empty until then."""
    return {
        "pid": pid, "work": str(work), "locked": locked, "began": _now(),
        "results": [], "what": "starting", "done": 0, "total": None, "ended": "", "trouble": None,
    }  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _write(path: Path, state: Mapping[str, Any]) -> None:
    """Only to be looked at: a disk that refuses it does not stop the work, which says so itself."""
    with contextlib.suppress(OSError, KeepsetError), atomic_path(path, sync=False) as part:
        part.write_text(json.dumps(state), encoding="utf-8")
