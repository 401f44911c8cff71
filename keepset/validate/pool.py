"""Worker processes that can be killed: one slow, greedy or crashing picture takes nothing else with it.

``concurrent.futures`` breaks the whole pool when one worker dies, and cannot time out a running job; here each
worker has its own pipe, a deadline for its current job, and is replaced when it is lost.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

__all__ = ["Lost", "StandingWorker", "run_jobs"]


@dataclass(frozen=True)
class Lost:
    """A job that its worker did not survive: ``why`` is timeout or crashed."""

    why: str
    detail: str


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    job: Any = None
    deadline: float = 0.0


def run_jobs(
    function: Callable[[Any], Any], jobs: Iterable[Any], *, workers: int, timeout_s: float, memory_mb: int
) -> Iterator[tuple[Any, Any]]:
    """Yield (job, answer or ``Lost``) as they come. ``function`` must be importable in a fresh process."""
    queue = iter(jobs)
    crew: list[_Worker] = []
    try:
        for job in queue:
            worker = _Worker(*_start(function, memory_mb))
            _give(worker, job, timeout_s)
            crew.append(worker)
            if len(crew) == workers:
                break
        while busy := [w for w in crew if w.job is not None]:
            ready = wait(
                [w.pipe for w in busy], timeout=max(0.0, min(w.deadline for w in busy) - time.monotonic())
            )
            for w in busy:
                if w.pipe in ready or time.monotonic() >= w.deadline:
                    job, answer = w.job, _answer(w)
                    if isinstance(answer, Lost):
                        _stop(w)
                        w.process, w.pipe = _start(function, memory_mb)
                    w.job = None
                    if (following := next(queue, None)) is not None:
                        _give(w, following, timeout_s)
                    yield job, answer
    finally:
        for w in crew:
            _stop(w)


class StandingWorker:
    """One such worker that stays, for one thread that asks it job after job."""

    def __init__(self, function: Callable[[Any], Any], *, timeout_s: float, memory_mb: int) -> None:
        self.function, self.timeout_s, self.memory_mb = function, timeout_s, memory_mb
        self._worker = _Worker(*_start(function, memory_mb))

    def ask(self, job: Any) -> Any:
        """The answer, or ``Lost`` after the time limit or a crash; a lost worker is replaced."""
        if not self._worker.process.is_alive():  # lost between jobs: not this job's fault
            self._replace()
        _give(self._worker, job, self.timeout_s)
        self._worker.pipe.poll(self.timeout_s)
        answer = _answer(self._worker)
        if isinstance(answer, Lost):
            self._replace()
        return answer

    def close(self) -> None:
        _stop(self._worker)

    def _replace(self) -> None:
        _stop(self._worker)
        self._worker = _Worker(*_start(self.function, self.memory_mb))


def _give(worker: _Worker, job: Any, timeout_s: float) -> None:
    worker.job, worker.deadline = job, time.monotonic() + timeout_s
    with contextlib.suppress(BrokenPipeError):  # a dead worker is seen when its answer is read
        worker.pipe.send(job)


def _answer(worker: _Worker) -> Any:
    try:
        if worker.pipe.poll():
            return worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(1)
        return Lost("crashed", f"the decoder process died (exit code {worker.process.exitcode})")
    return Lost("timeout", "not decoded in time")


def _start(function: Callable[[Any], Any], memory_mb: int) -> tuple[Any, Connection]:
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(function, theirs, memory_mb), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _stop(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.join()
    worker.pipe.close()


def _serve(function: Callable[[Any], Any], pipe: Connection, memory_mb: int) -> None:
    """In the worker: limit the address space, then answer until the pipe closes."""
    _limit(memory_mb)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            pipe.send(function(pipe.recv()))


def _limit(memory_mb: int) -> None:
    import resource

    with open("/proc/self/statm", encoding="ascii") as f:  # noqa: PTH123 - not a file worth a Path
        used = int(f.read().split()[0]) * resource.getpagesize()
    cap = used + memory_mb * 2**20
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (cap, cap))
