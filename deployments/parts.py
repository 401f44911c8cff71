"""The processes of the stack: started in groups of their own, watched, started again, and ended with all they began."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from keepset.machine.programs import HOME
from keepset.orchestrator.neighbours import MARK

__all__ = ["CHECKOUT", "MARK", "NIGHTLY", "Part", "end_left_overs", "marked", "tail"]

CHECKOUT = HOME
BACK_OFF_S = (1, 2, 5, 15, 30)
SOUND_S = 120.0
"""A part that lived this long is started again at once, as if it had never ended before."""

SILENT_S = 60.0
"""A part that has not been seen to work for this long is reported."""

NIGHTLY = "keepset-up"
"""The schedule that ``keepset up --cron`` sets; other schedules are a person's own."""


@dataclass
class Part:
    """One process of the stack, how to start it again, and whether it does its work.

    ``check`` asks it, in a few seconds at most. ``healthy_at`` is when it last did what it is for, since this launch:
    0 before it has. ``waits``: it reads a line before it begins, so that it can be loaded while others start.
    """

    name: str
    command: list[str]
    log: Path
    check: Callable[[Part], bool] = lambda part: part.runs
    waits: bool = False
    process: subprocess.Popen[bytes] | None = None
    ended: int = 0
    again_at: float = 0.0
    since: float = 0.0
    launched_at: datetime | None = None
    healthy_at: float = 0.0
    exit_code: int | None = None

    def launch(self, environment: Mapping[str, str]) -> None:
        log: IO[bytes]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE if self.waits else subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment,
                start_new_session=True, preexec_fn=_die_with_parent, cwd=CHECKOUT,
            )  # fmt: skip
        self.since, self.again_at, self.healthy_at = time.monotonic(), 0.0, 0.0
        self.launched_at = datetime.now(UTC)

    def begin(self) -> None:
        """Let it go on, if it waits."""
        if self.process and self.process.stdin:
            with contextlib.suppress(OSError), self.process.stdin as told:  # it may have ended
                told.write(b"\n")

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def keep_alive(self, environment: Mapping[str, str]) -> bool:
        """Start it again some seconds after it ended; True when that was done now."""
        if self.process is None or self.runs:
            return False
        now = time.monotonic()
        if self.again_at == 0.0:
            self.ended = 0 if now - self.since > SOUND_S else self.ended
            wait = BACK_OFF_S[min(self.ended, len(BACK_OFF_S) - 1)]
            self.ended, self.again_at, self.exit_code = self.ended + 1, now + wait, self.process.returncode
            return False
        if now < self.again_at:
            return False
        self.launch(environment)
        self.begin()
        return True

    def look(self) -> None:
        """Ask whether it does its work now."""
        if self.runs and self.check(self):
            self.healthy_at = time.monotonic()

    def health(self) -> dict[str, Any]:
        """``{"pid", "state", "words"}``; ``state`` is ``ok``, ``starting``, ``ended`` or ``silent``."""
        state, words = self._health()
        return {"pid": self.process.pid if self.process else None, "state": state, "words": words}

    def _health(self) -> tuple[str, str]:
        now, log = time.monotonic(), f"Its log: {self.log}"
        if not self.runs:
            times = f"{self.ended} times" if self.ended > 1 else "once"
            return ("ended", f"{self.name} ended {times} (exit code {self.exit_code}) and is started again. {log}")
        if self.healthy_at and now - self.healthy_at < SILENT_S:
            return "ok", ""
        if self.healthy_at or now - self.since > SILENT_S:
            return "silent", f"{self.name} runs and does not answer. {log}"
        if self.ended > 1:  # one death is mended; several in a row are a fault to report
            return "ended", f"{self.name} has ended {self.ended} times (exit code {self.exit_code}). {log}"
        return "starting", ""

    def terminate(self) -> None:
        """Ask the whole process group to end, then insist."""
        if self.process is None:
            return
        for sign, wait in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(wait)
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # what the part itself had started


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


def _die_with_parent() -> None:
    """On Linux the kernel ends a part when the thread that started it ends, kill -9 included (prctl PR_SET_PDEATHSIG):
    so one thread starts all parts, and lives as long as the stack."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6", use_errno=True).prctl(1, signal.SIGTERM)


def end_left_overs(root: Path, wait_s: float = 10.0) -> int:
    """End every process that carries this stack's mark: flow runs outlive a runner that was killed.

    Linux only: elsewhere there is no way to find them without a further dependency. Returns how many there were.
    """
    seen: set[int] = set()
    for sign in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + wait_s
        while (left := marked(root)) and time.monotonic() < deadline:
            for pid in left - seen if sign == signal.SIGTERM else left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)
            seen |= left
            time.sleep(0.1)
    return len(seen)


def marked(root: Path) -> set[int]:
    """Ids of the living processes that a stack for ``root`` started, directly or not."""
    mark, found = f"{MARK}={root}".encode(), set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.add(int(folder.name))
    return found - {os.getpid()}
