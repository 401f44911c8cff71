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
from pathlib import Path
from typing import Any

from deployments.parts import CHECKOUT, marked
from keepset.files import read_json
from keepset.orchestrator import Orchestrator
from keepset.workspace import Workspace

__all__ = ["PARTS", "StackProgram"]

PARTS = ("prefect-server", "runner", "flow run", "web", "everything")


class StackProgram:
    """``keepset up`` in a process of its own; a context manager that stops it."""

    def __init__(self, root: Path, database: str = "") -> None:
        self.ws = Workspace.create(root, root.name)
        self.database, self.starts = database, 0
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
        command = [
            sys.executable,
            "-m",
            "deployments.stack",
            "up",
            "--workspace",
            str(self.ws.root),
            "--json",
        ]
        command += ["--prefect-port", str(self.ports[0]), "--web-port", str(self.ports[1])]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=CHECKOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "KEEPSET_DATABASE": self.database},
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the stack did not start; look into {self.ws.root / 'logs'}")
        state = json.loads(line)
        self.ports = tuple(
            int(state[k].rsplit(":", 1)[1].removesuffix("/api")) for k in ("ui_url", "web_url")
        )
        self.starts += 1

    @property
    def prefect(self) -> Orchestrator:
        return Orchestrator(f"http://127.0.0.1:{self.ports[0]}/api", self.ws)

    def kill(self, part: str, dice: random.Random) -> str:
        """SIGKILL a part, if it lives just now. Returns what was killed, or nothing."""
        if part == "everything":
            return self._kill_everything()
        if part == "flow run":
            runs = self._flow_runs()
            return _killed("flow run", dice.choice(sorted(runs))) if runs else ""
        return _killed(part, self._pids().get(part, 0))

    def _kill_everything(self) -> str:
        assert self.process is not None
        for pid in [self.process.pid, *marked(self.ws.root)]:
            _killed("", pid)
        self.process.communicate()
        while marked(self.ws.root):
            time.sleep(0.1)
        self.start()
        return "everything"

    def _pids(self) -> dict[str, int]:
        with contextlib.suppress(OSError, ValueError, KeyError):
            found: dict[str, Any] = read_json(self.ws.root / "stack.json")["pids"]
            return found
        return {}

    def _flow_runs(self) -> set[int]:
        """Processes of flow runs: spawned by the runner, not its helper that tracks resources."""
        found = set()
        for pid in marked(self.ws.root):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"spawn_main" in words and b"resource_tracker" not in words:
                    found.add(pid)
        return found


def _killed(part: str, pid: int) -> str:
    if pid <= 0:
        return ""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return ""
    return part
