"""The full pipeline in a notebook: in a thread, since a notebook's own thread has an event loop that runs already."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from keepset.stages import facts_line
from keepset.workspace import Workspace

__all__ = ["run_here"]


def run_here(ws: Workspace) -> None:
    """Run the pipeline and print a line per stage. Interrupting the cell ends it at the next piece of work.

    Raises what the stages raise.
    """
    run = _Run(ws)
    threading.Thread(target=run, name="keepset-run", daemon=True).start()
    try:
        while not run.ended.wait(0.2):  # not Thread.join: interrupted, it takes a running thread for an ended one
            pass
    except KeyboardInterrupt:
        run.progress.stopped.set()
        run.ended.wait()
        raise
    if run.trouble is not None:
        raise run.trouble


class _Run:
    def __init__(self, ws: Workspace) -> None:
        self.ws, self.progress, self.ended = ws, _Line(), threading.Event()
        self.trouble: BaseException | None = None

    def __call__(self) -> None:
        from keepset.pipeline import run

        try:
            for result in run(self.ws, self.ws.config(), progress=self.progress):
                mark = "✓" if result.changed else "·"
                self.progress.note(f"{mark} {result.stage:<10} {result.message}")
        except BaseException as e:  # raised again in the notebook's own thread
            self.trouble = e
        finally:
            self.progress.clear()
            self.ended.set()


class _Line:
    """One line that is written over, at most once a second; notes stay."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.what, self.done = "", 0
        self.total: int | None = None
        self.last, self.width = 0.0, 0

    def start(self, what: str, total: int | None) -> None:
        self.what, self.total, self.done = what, total, 0
        self._write({})

    def advance(self, n: int = 1, **facts: Any) -> None:
        self.done += n
        self._write(facts)

    def note(self, message: str) -> None:
        self.clear()
        print(message, flush=True)

    def clear(self) -> None:
        if self.width:
            sys.stdout.write("\r" + " " * self.width + "\r")
            self.width = 0

    def _write(self, facts: dict[str, Any]) -> None:
        if self.stopped.is_set():
            raise KeyboardInterrupt
        if time.monotonic() - self.last < 1:
            return
        self.last = time.monotonic()
        of = f" {self.done}/{self.total}" if self.total is not None else ""
        line = f"  {self.what}{of} {facts_line(facts)}".rstrip()
        self.clear()
        sys.stdout.write(line)
        sys.stdout.flush()
        self.width = len(line)
