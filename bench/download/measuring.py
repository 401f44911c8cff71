"""Run a program and say what it cost: CPU seconds and peak memory of all its processes together."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["PYTHONS", "Cost", "serving", "tool"]

CHECKOUT = Path(__file__).resolve().parents[2]
PYTHONS = {
    "keepset": ".venv/bin/python",
    "img2dataset": "bench/.venv-img2dataset/bin/python",
    "fastai": "bench/.venv/bin/python",
}
"""bench/README.md says how to make the peers' environments."""


@dataclass(frozen=True)
class Cost:
    cpu_s: float
    wall_s: float
    peak_mb: float
    """Proportional set size (shared pages once) of the process tree, sampled."""
    output: str
    curve_mb: tuple[float, ...] = ()
    """The same of the first process alone, about five times a second."""

    def tenths(self) -> list[float]:
        """The curve at a tenth of the time, at two tenths ... and at the end, MB."""
        return [self.curve_mb[i * (len(self.curve_mb) - 1) // 10] for i in range(1, 11)]


def tool(name: str, urls: Path, out: Path, *more: str) -> Cost:
    """Run ``tool_<name>.py`` with the Python of its own environment."""
    out.mkdir(parents=True)
    python = CHECKOUT / PYTHONS[name]
    command = [str(python), str(CHECKOUT / f"bench/download/tool_{name}.py"), str(urls), str(out), *more]
    return run(command, NO_ALBUMENTATIONS_UPDATE="1")


def run(command: list[str], **environment: str) -> Cost:
    """Raises ``CalledProcessError`` with the program's own words."""
    begin = time.monotonic()
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=CHECKOUT, env=os.environ | environment
    )
    watch = _Watch(child.pid)
    output, _ = child.communicate()
    wall = time.monotonic() - begin
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command, output[-2000:])
    return Cost(watch.cpu_s(), wall, watch.peak_mb, output, tuple(watch.curve_mb) or (0.0,))


class _Watch:
    """Looks at all processes of a tree every 50 ms.

    Not ``getrusage``: a worker whose parent does not wait for it (those of a fork server) is not in it.
    """

    def __init__(self, root: int) -> None:
        self.cpu: dict[int, float] = {}
        self.peak_mb = 0.0
        self.curve_mb: list[float] = []
        threading.Thread(target=self._look, args=(root,), daemon=True).start()

    def cpu_s(self) -> float:
        return sum(self.cpu.values())

    def _look(self, root: int) -> None:
        known = {root}
        for turn in itertools.count():
            alive = [pid for pid in _tree(known) if pid not in known or Path(f"/proc/{pid}").exists()]
            known.update(alive)
            if not alive:
                return
            for pid in alive:
                self.cpu[pid] = max(self.cpu.get(pid, 0.0), _cpu_s(pid))
            if turn % 4 == 0:
                sizes = {pid: _pss_mb(pid) for pid in alive}
                self.peak_mb = max(self.peak_mb, sum(sizes.values()))
                if sizes.get(root):
                    self.curve_mb.append(sizes[root])
            time.sleep(0.05)


def _cpu_s(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _tree(roots: set[int]) -> set[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, new = set[int](), set(roots)
    while new:
        found |= new
        new = {c for p in new for c in parents.get(p, ())} - found
    return found


def _pss_mb(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


@contextlib.contextmanager
def serving(kind: str, count: int) -> Iterator[tuple[str, Any]]:
    """Yield the base URL and a function that says how often each path was asked for."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, "-m", "bench.download.server", str(port), kind, str(count)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    base = f"http://127.0.0.1:{port}"
    try:
        assert server.stdout
        assert server.stdout.readline() == "ready\n"
        yield base, lambda: json.load(urllib.request.urlopen(f"{base}/asked"))
    finally:
        server.kill()
        server.wait()
