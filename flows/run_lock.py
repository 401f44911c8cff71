"""A flow run's process holds a lock until it ends: whoever finds a run without one knows that nobody works on it."""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Iterator

from prefect.runtime import flow_run

from keepset.orchestrator.names import run_lock
from keepset.orchestrator.neighbours import note_neighbour
from keepset.pipeline.atwork import Work, working
from keepset.workspace import Workspace

__all__ = ["at_work", "be_present"]

_held: dict[str, contextlib.ExitStack] = {}


def be_present(ws: Workspace) -> None:
    """Hold this flow run's lock until the process ends, however it ends (``keepset.orchestrator.is_worked_on``)."""
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
