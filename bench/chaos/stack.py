"""The stack as a program of its own, and the parts of it that can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.parts import CHECKOUT, marked
from keepset.files import read_json
from keepset.orchestrator import Orchestrator
from keepset.workspace import Workspace

__all__ = ["PARTS", "Killed", "StackProgram", "flow_runs"]

PARTS = {"flow run": 4, "prefect-server": 3, "runner": 2, "everything": 2, "web": 1}
"""What is killed, and how often beside the others: the gallery does least."""


@dataclass(frozen=True)
class Killed:
    """What was killed; of a flow run, the workspace that it worked on."""

    part: str
    workspace: Path | None = None


class StackProgram:
    """``keepset up`` in a process of its own; a context manager that stops it.

    ``forked``: flow runs are forked from a process that has imported everything (``bench/chaos/hooks``).
    """

    def __init__(
        self, root: Path, database: str = "", *, forked: bool = False, environment: Mapping[str, str] | None = None
    ) -> None:
        self.ws = Workspace.create(root, root.name)
        self.forked, self.starts = forked, 0
        self.environment = {"OMP_NUM_THREADS": "1", "KEEPSET_DATABASE": database, **(environment or {})}
        self.ports = (0, 0)
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> StackProgram:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.communicate(timeout=90)

    def start(self) -> None:
        """Start it, on the ports it had before."""
        command = [sys.executable, "-m", "deployments.command", "up", "--workspace", str(self.ws.root), "--json"]
        command += ["--prefect-port", str(self.ports[0]), "--web-port", str(self.ports[1])]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=CHECKOUT,
            env=os.environ | self.environment | self._hooks(),
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if '"ok": true' not in line:
            said = line + self.process.communicate()[0]
            raise RuntimeError(f"the stack did not start: {said}; look into {self.ws.root / 'logs'}")
        state = json.loads(line)
        self.ports = tuple(int(state[k].rsplit(":", 1)[1].removesuffix("/api")) for k in ("ui_url", "web_url"))
        self.starts += 1

    def _hooks(self) -> dict[str, str]:
        paths = [str(CHECKOUT / "bench" / "chaos" / "hooks"), os.environ.get("PYTHONPATH", "")]
        forked = {"KEEPSET_BENCH_FORKED": "1"} if self.forked else {}
        return {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | forked

    @property
    def prefect(self) -> Orchestrator:
        return Orchestrator(f"http://127.0.0.1:{self.ports[0]}/api", self.ws)

    def kill(self, part: str, dice: random.Random) -> Killed | None:
        """SIGKILL a part, if it lives just now. Returns what was killed, or nothing."""
        if part == "everything":
            return self._kill_everything()
        if part == "flow run":
            runs = flow_runs(self.ws.root)
            pid = dice.choice(sorted(runs)) if runs else 0
            return Killed(part, runs[pid]) if runs and _killed(pid) else None
        return Killed(part) if _killed(self._pids().get(part, 0)) else None

    def _kill_everything(self) -> Killed:
        assert self.process is not None
        for pid in [self.process.pid, *marked(self.ws.root)]:
            _killed(pid)
        self.process.communicate()
        while marked(self.ws.root):
            time.sleep(0.1)
        self.start()
        return Killed("everything")

    def _pids(self) -> dict[str, int]:
        with contextlib.suppress(OSError, ValueError, KeyError):
            found: dict[str, Any] = read_json(self.ws.root / "stack.json")["pids"]
            return found
        return {}


def flow_runs(root: Path) -> dict[int, Path]:
    """Processes of flow runs of the stack at ``root``, and the workspaces they work on: each holds its run's lock open."""
    found = {}
    for pid in marked(root):
        with contextlib.suppress(OSError):
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                held = fd.readlink()
                if held.name.startswith("run-") and held.parent.name == "locks":
                    found[pid] = held.parent.parent
    return found


def _killed(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
