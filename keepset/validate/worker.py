"""The worker process: ``python -m keepset.validate.worker <fd> <memory in MB>``. It answers until its pipe closes.

It is a program of its own, not a fork and not multiprocessing's spawn: those run the caller's script once more
unless it is guarded by ``if __name__ == "__main__"``, and drag the caller's memory along.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from keepset.errors import KeepsetError

__all__ = ["READY", "Failed", "limit_memory", "memory_limit_gap"]

READY = "ready"
"""What a worker says once, before its first answer: from then on its time counts."""


@dataclass(frozen=True)
class Failed:
    """The job's function raised: ``error`` if it concerns the whole run, else only what it was in words."""

    detail: str
    error: KeepsetError | None = None


def memory_limit_gap(platform: str = sys.platform) -> str | None:
    """Why a worker's memory is not limited here, or None where it is."""
    if platform.startswith("linux"):
        return None
    return f"decoder processes have a time limit but no memory limit: {platform} does not enforce one"


def limit_memory(memory_mb: int) -> None:
    """Cap this process's address space at ``memory_mb`` MB more than it has now; nothing where no cap holds."""
    if memory_limit_gap() is not None:
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    cap = pages * resource.getpagesize() + memory_mb * 2**20
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or cap < hard:  # else a tighter limit holds already
        resource.setrlimit(resource.RLIMIT_AS, (cap, cap))


def _answer(function: Callable[[Any], Any], job: Any) -> Any:
    try:
        return function(job)
    except KeepsetError as e:
        return Failed(str(e), e)
    except Exception as e:
        return Failed(f"{type(e).__name__}: {e}"[:300])


def _serve(pipe: Connection, memory_mb: int) -> None:
    with contextlib.suppress(EOFError, ConnectionError, KeyboardInterrupt):
        function = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from the process that started this one
        limit_memory(memory_mb)
        pipe.send(READY)
        while True:
            pipe.send(_answer(function, pipe.recv()))


if __name__ == "__main__":
    # Answers must be of the importable module's classes, not of ``__main__``'s.
    from keepset.validate import worker

    worker._serve(Connection(int(sys.argv[1])), int(sys.argv[2]))
