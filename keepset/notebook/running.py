"""The full pipeline in a notebook: in a thread, since a notebook's own thread has an event loop that runs already."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from keepset.stages import facts_line
from keepset.workspace import Workspace

__all__ = ["run_here"]

_WIDTH = 100


def run_here(ws: Workspace) -> None:
    """Run the pipeline and print a line per stage. Interrupting the cell ends it at the next piece of work.

    Raises what the stages raise.
    """
    line = _Line()
    with ThreadPoolExecutor(1, "keepset-run") as thread:
        work = thread.submit(_run, ws, line)
        try:
            while wait([work], 0.2).not_done:  # not without an end: not every interrupt would end that
                pass
            work.result()
        except KeyboardInterrupt:
            line.stopped.set()
            raise


def _run(ws: Workspace, line: _Line) -> None:
    from keepset.pipeline import run

    for result in run(ws, ws.config(), progress=line):
        line.note(f"{'✓' if result.changed else '·'} {result.stage:<10} {result.message}")


class _Line:
    """One line that is written over, at most once a second; notes stay."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.what, self.done, self.last = "", 0, 0.0
        self.total: int | None = None

    def start(self, what: str, total: int | None) -> None:
        self.what, self.total, self.done = what, total, 0
        self.advance(0)

    def advance(self, n: int = 1, **facts: Any) -> None:
        if self.stopped.is_set():
            raise KeyboardInterrupt
        self.done += n
        if time.monotonic() - self.last >= 1:
            self.last = time.monotonic()
            of = f" {self.done}/{self.total}" if self.total is not None else ""
            self._write(f"  {self.what}{of} {facts_line(facts)}")

    def note(self, message: str) -> None:
        self._write("")
        print(message, flush=True)

    def _write(self, text: str) -> None:
        print(f"{text[:_WIDTH]:<{_WIDTH}}", end="\r", flush=True)
