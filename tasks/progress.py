"""What all tasks share: opening the workspace, reporting progress, publishing a stage's result."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

from keepset.config import RunConfig
from keepset.orchestrator.neighbours import handle
from keepset.pipeline.atwork import record, teller_of
from keepset.stages import Progress, StageResult, facts_line, pace_line
from keepset.workspace import Workspace
from tasks.artifacts import show

__all__ = ["HOUR_S", "PrefectProgress", "artifact_key", "opened", "tell"]

HOUR_S = 3600.0
"""Time-out of a task that is quick unless something hangs: an hour is enough for a million rows."""
_EVERY_S = 2.0
_TELLER = ThreadPoolExecutor(1, "progress")  # one, so that what is told last arrives last


def opened(workspace: str) -> tuple[Workspace, RunConfig]:
    ws = Workspace.open(Path(workspace))
    return ws, ws.config()


def tell(ws: Workspace, result: StageResult) -> dict[str, Any]:
    get_run_logger().info("%s: %s", result.stage, result.message)
    record(ws, result)
    rows = "\n".join(f"| {k} | {_cell(v)} |" for k, v in result.summary.items())
    table = f"\n\n| | |\n|---|---|\n{rows}" if rows else ""
    show(
        create_markdown_artifact,
        f"**{result.stage}** ({'changed' if result.changed else 'nothing to do'}): {result.message}{table}",
        key=artifact_key(ws, str(result.stage)),
        description=f"What {result.stage} did for '{ws.name}'",
    )
    return result.as_dict()


def _cell(value: Any) -> str:
    return (f"{value:.4g}" if isinstance(value, float) else str(value)).replace("|", "\\|")


def artifact_key(ws: Workspace, name: str) -> str:
    """E.g. ``bears-3f1c-verdict``: lower-case letters, digits and dashes; one history per workspace and name."""
    return f"{handle(ws)}-{name}"


class PrefectProgress(Progress):
    """A progress artifact, updated every two seconds at most, and a log line for each note; the gallery shows it too.

    The work does not wait for the server: it may be slow, or away for a minute, and downloads under way would time out
    meanwhile. What it missed it is told with the next update; the last one is waited for.
    """

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.what, self.total, self.done, self.last, self.begin = "", 0, 0, 0.0, 0.0
        self.artifact: UUID | None = None
        self.update: Future[Any] | None = None
        self.gallery = teller_of(ws)

    def start(self, what: str, total: int | None) -> None:
        self.what, self.total, self.done = what, total or 0, 0
        self.begin = self.last = time.monotonic()
        self.gallery.start(self.what, total)
        get_run_logger().info("%s%s", self.what, f" ({total})" if total else "")
        self.artifact = None
        if total:
            key = artifact_key(self.ws, "progress")
            words = f"{self.what}: 0 of {total}"
            self.artifact = cast("UUID | None", show(create_progress_artifact, 0.0, key=key, description=words))

    def advance(self, n: int = 1, **facts: Any) -> None:
        self.done += n
        self.gallery.advance(n)
        finished = self.done >= self.total
        if self.artifact is None or (time.monotonic() - self.last < _EVERY_S and not finished):
            return
        self.last = time.monotonic()
        pace = pace_line(self.done, self.total, self.last - self.begin)
        words = f"{self.what}: {self.done} of {self.total} ({pace}) {facts_line(facts)}".rstrip()
        percent = min(100.0, 100 * self.done / self.total)
        if finished or self.update is None or self.update.done():
            publish = partial(update_progress_artifact, self.artifact, percent, description=words)
            self.update = _TELLER.submit(copy_context().run, show, publish)
        if finished:
            self.update.result()

    def note(self, message: str) -> None:
        get_run_logger().info(message)
