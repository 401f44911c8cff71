"""Run a program and say what it cost: CPU seconds and peak memory of all its processes together."""

from __future__ import annotations

import contextlib
import json
import os
import resource
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
    """Proportional set size (shared pages once) of the process tree, sampled five times a second."""
    output: str


def tool(name: str, urls: Path, out: Path, *more: str) -> Cost:
    """Run ``tool_<name>.py`` with the Python of its own environment."""
    out.mkdir(parents=True)
    python = CHECKOUT / PYTHONS[name]
    command = [str(python), str(CHECKOUT / f"bench/download/tool_{name}.py"), str(urls), str(out), *more]
    return run(command, NO_ALBUMENTATIONS_UPDATE="1")


def run(command: list[str], **environment: str) -> Cost:
    """Raises ``CalledProcessError`` with the program's own words."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=CHECKOUT,
        env=os.environ | environment,
    )  # fmt: skip
    peak = [0.0]
    watch = threading.Thread(target=_watch, args=(child, peak), daemon=True)
    watch.start()
    output, _ = child.communicate()
    wall = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command, output[-2000:])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, wall, peak[0], output)


def _watch(child: subprocess.Popen[str], peak: list[float]) -> None:
    while child.poll() is None:
        peak[0] = max(peak[0], sum(_pss_mb(pid) for pid in _tree(child.pid)))
        time.sleep(0.2)


def _tree(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, new = [], [root]
    while new:
        found += new
        new = [c for p in new for c in parents.get(p, ())]
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
