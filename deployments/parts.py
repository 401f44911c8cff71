"""The processes of the stack: started in groups of their own, watched, started again, and ended with all they began."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from keepset.cli import output

__all__ = ["CHECKOUT", "MARK", "Part", "end_left_overs", "marked", "tail"]

CHECKOUT = Path(__file__).resolve().parents[1]
BACK_OFF_S = (1, 2, 5, 15, 30)
SOUND_S = 120.0
"""A part that lived this long is started again at once, as if it had never ended before."""

MARK = "KEEPSET_STACK"
"""Environment variable that every process of a stack carries; its value is the workspace's folder."""


@dataclass
class Part:
    """One process of the stack, and how to start it again."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    ended: int = 0
    again_at: float = 0.0
    since: float = 0.0

    def launch(self, environment: Mapping[str, str]) -> None:
        log: IO[bytes]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment,
                start_new_session=True, preexec_fn=_die_with_parent, cwd=CHECKOUT,
            )  # fmt: skip
        self.since, self.again_at = time.monotonic(), 0.0

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
            self.ended, self.again_at = self.ended + 1, now + wait
            output.say(
                f"  {self.name} ended (exit code {self.process.returncode}); starting it again in {wait} s"
            )
            return False
        if now < self.again_at:
            return False
        self.launch(environment)
        return True

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
    """On Linux the kernel ends a part when its supervisor dies, kill -9 included (prctl PR_SET_PDEATHSIG)."""
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
