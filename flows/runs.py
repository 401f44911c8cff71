"""What every flow run has: a name that a person can tell apart, and locks that say it is alive and alone at its work."""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from keepset.orchestrator.names import FlowName, run_lock, run_name
from keepset.orchestrator.neighbours import note_neighbour
from keepset.pipeline.atwork import Work, working
from keepset.workspace import Workspace

__all__ = ["at_work", "be_present", "exclusive", "named"]

_held: dict[str, contextlib.ExitStack] = {}


def named(flow: FlowName) -> Callable[[], str]:
    """For ``flow_run_name``: what is done, to which workspace, and when it was due (UTC)."""

    def name() -> str:
        workspace = str(flow_run.get_parameters().get("workspace", ""))
        return run_name(flow, workspace, f"{flow_run.get_scheduled_start_time():%Y-%m-%d %H:%M}")

    return name


def be_present(ws: Workspace) -> None:
    """Hold this flow run's lock until the process ends, however it ends: a run without one is dead
    (``keepset.orchestrator.is_worked_on``)."""
    run = flow_run.get_id()
    if run is None or run in _held:  # no run, or one that is tried again in this process
        return
    _held[run] = held = contextlib.ExitStack()
    held.enter_context(ws.lock(run_lock(run)))
    note_neighbour(ws)
    atexit.register((ws.scratch / "locks" / f"{run_lock(run)}.lock").unlink, missing_ok=True)


@contextlib.contextmanager
def at_work(ws: Workspace, work: Work = Work.RUN) -> Iterator[None]:
    """``be_present``, and let the gallery show how far this run is, unless it shows another one of this data set."""
    be_present(ws)
    with working(ws, work, wait=False):
        yield


def exclusive(ws: Workspace, name: str) -> AbstractContextManager[None]:
    """Runs on one data set wait for each other, and log that they do; runs on different ones go side by side."""
    return ws.lock(f"flow-{name}", note=get_run_logger().info)
