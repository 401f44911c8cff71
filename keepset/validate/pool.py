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

from keepset.validate.worker import READY, Failed

__all__ = ["Lost", "StandingWorker", "run_jobs"]


_START_S = 60.0
_ALONE = {"OPENBLAS_NUM_THREADS": "1"}
"""A worker has one picture at a time and a core for it: numpy's threads would only be started, never needed."""


@dataclass(frozen=True)
class Lost:
    """A job that its worker did not survive: ``why`` is timeout or crashed."""

    why: str
    detail: str


class _Worker:
    """One process, and the job that it has now."""

    def __init__(self, function: Callable[[Any], Any], memory_mb: int, timeout_s: float) -> None:
        self.function, self.memory_mb, self.timeout_s = function, memory_mb, timeout_s
        self.job: Any = None
        self.deadline = 0.0
        self._start()

    def _start(self) -> None:
        self.ready = False
        self.pipe, theirs = multiprocessing.Pipe()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "keepset.validate.worker", str(theirs.fileno()), str(self.memory_mb)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=os.environ | _ALONE | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            )
        with contextlib.suppress(BrokenPipeError):  # a dead worker is seen when its answer is read
            self.pipe.send_bytes(pickle.dumps(self.function))

    def give(self, job: Any) -> None:
        """The job's time begins when the worker has started: on a busy machine that takes longer than most pictures."""
        self.job = job
        self.deadline = time.monotonic() + self.timeout_s + (0.0 if self.ready else _START_S)
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send(job)

    def answer(self) -> Any:
        """What the job's function returned, ``Lost``, or ``READY``. Raises what concerns the whole run."""
        try:
            if not self.pipe.poll():
                return Lost("timeout", "not decoded in time")
            found = self.pipe.recv()
            if found == READY and not self.ready:
                self.ready, self.deadline = True, time.monotonic() + self.timeout_s
                return READY
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
            worker = _Worker(function, memory_mb, timeout_s)
            crew.append(worker)
            worker.give(job)
            selector.register(worker.pipe, selectors.EVENT_READ, worker)
        while busy := [w for w in crew if w.job is not None]:
            soonest = min(w.deadline for w in busy)
            ready = {k.data for k, _ in selector.select(max(0.0, soonest - time.monotonic()))}
            for w in busy:
                if w in ready or time.monotonic() >= w.deadline:
                    job, answer = w.job, w.answer()
                    if answer is READY:
                        continue
                    if isinstance(answer, Lost):
                        selector.unregister(w.pipe)
                        w.replace()
                        selector.register(w.pipe, selectors.EVENT_READ, w)
                    w.job = None
                    if (following := next(queue, None)) is not None:
                        w.give(following)
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
        self._worker = _Worker(function, memory_mb, timeout_s)

    def ask(self, job: Any) -> Any:
        """The answer, or ``Lost`` after the time limit or a crash; a lost worker is replaced."""
        if self._worker.process.poll() is not None:  # lost between jobs: not this job's fault
            self._worker.replace()
        self._worker.give(job)
        answer = READY
        while answer is READY:
            self._worker.pipe.poll(max(0.0, self._worker.deadline - time.monotonic()))
            answer = self._worker.answer()
        if isinstance(answer, Lost):
            self._worker.replace()
        return answer

    def close(self) -> None:
        self._worker.stop()
