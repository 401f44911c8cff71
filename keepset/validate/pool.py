"""Worker processes that can be killed: one slow, greedy or crashing picture takes nothing else with it.

``concurrent.futures`` breaks the whole pool when one worker dies, and cannot time out a running job; here each
worker has its own pipe, a deadline for its current job, and is replaced when it is lost.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from keepset.validate.worker import Failed

__all__ = ["Lost", "StandingWorker", "run_jobs"]


_ALONE = {"OPENBLAS_NUM_THREADS": "1"}
"""A worker has one picture at a time and a core for it: numpy's threads would only be started, never needed."""


@dataclass(frozen=True)
class Lost:
    """A job that its worker did not survive: ``why`` is timeout or crashed."""

    why: str
    detail: str


class _Worker:
    """One process, and the job that it has now."""

    def __init__(self, function: Callable[[Any], Any], memory_mb: int) -> None:
        self.function, self.memory_mb = function, memory_mb
        self.job: Any = None
        self.deadline = 0.0
        self._start()

    def _start(self) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        with theirs:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "keepset.validate.worker",
                    str(theirs.fileno()),
                    str(self.memory_mb),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=os.environ | _ALONE | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            )
        with contextlib.suppress(BrokenPipeError):  # a dead worker is seen when its answer is read
            self.pipe.send_bytes(pickle.dumps(self.function))

    def give(self, job: Any, timeout_s: float) -> None:
        self.job, self.deadline = job, time.monotonic() + timeout_s
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send(job)

    def answer(self, *, ready: bool) -> Any:
        """What the job's function returned, or ``Lost``. Raises what concerns the whole run."""
        if not ready:
            return Lost("timeout", "not decoded in time")
        try:
            found = self.pipe.recv()
        except (EOFError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            return Lost("crashed", f"the decoder process died (exit code {self.process.returncode})")
        if not isinstance(found, Failed):
            return found
        if found.error is not None:
            raise found.error
        return Lost("crashed", found.detail)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.pipe.close()

    def replace(self) -> None:
        self.stop()
        self._start()


def run_jobs(
    function: Callable[[Any], Any], jobs: Iterable[Any], *, workers: int, timeout_s: float, memory_mb: int
) -> Iterator[tuple[Any, Any]]:
    """Yield (job, answer or ``Lost``) as they come. ``function`` must be importable in a fresh process.

    A ``KeepsetError`` that ``function`` raises concerns the run, not the job: it is raised here.
    """
    queue = iter(jobs)
    crew: list[_Worker] = []
    selector = selectors.DefaultSelector()
    try:
        for job in islice(queue, workers):
            worker = _Worker(function, memory_mb)
            crew.append(worker)
            worker.give(job, timeout_s)
            selector.register(worker.pipe, selectors.EVENT_READ, worker)
        while busy := [w for w in crew if w.job is not None]:
            soonest = min(w.deadline for w in busy)
            ready = {k.data for k, _ in selector.select(max(0.0, soonest - time.monotonic()))}
            for w in busy:
                if w in ready or time.monotonic() >= w.deadline:
                    job, answer = w.job, w.answer(ready=w in ready or w.pipe.poll())
                    if isinstance(answer, Lost):
                        selector.unregister(w.pipe)
                        w.replace()
                        selector.register(w.pipe, selectors.EVENT_READ, w)
                    w.job = None
                    if (following := next(queue, None)) is not None:
                        w.give(following, timeout_s)
                    else:  # nobody waits for it any more, not even for its end
                        selector.unregister(w.pipe)
                    yield job, answer
    finally:
        selector.close()
        for w in crew:
            w.stop()


class StandingWorker:
    """One such worker that stays, for one thread that asks it job after job."""

    def __init__(self, function: Callable[[Any], Any], *, timeout_s: float, memory_mb: int) -> None:
        self.timeout_s = timeout_s
        self._worker = _Worker(function, memory_mb)

    def ask(self, job: Any) -> Any:
        """The answer, or ``Lost`` after the time limit or a crash; a lost worker is replaced."""
        if self._worker.process.poll() is not None:  # lost between jobs: not this job's fault
            self._worker.replace()
        self._worker.give(job, self.timeout_s)
        answer = self._worker.answer(ready=self._worker.pipe.poll(self.timeout_s))
        if isinstance(answer, Lost):
            self._worker.replace()
        return answer

    def close(self) -> None:
        self._worker.stop()
