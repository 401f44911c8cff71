"""A Dask cluster as on several machines: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from distributed import Client

from keepset.pipeline.engine import Engine
from tests.processes import CHECKOUT, PATIENCE_S


@dataclass
class DaskCluster:
    address: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return Engine.model_validate({"kind": "dask", "address": self.address})

    def start_worker(self, *path: Path, **environment: str) -> subprocess.Popen[bytes]:
        """One more, with ``path`` before what it imports from. Returns when it has joined."""
        command = [sys.executable, "-m", "dask", "worker", self.address, "--nthreads", "1", "--no-dashboard"]
        command += ["--no-nanny", "--host", "127.0.0.1"]
        where = os.pathsep.join(map(str, [*path, CHECKOUT]))
        worker = _quietly(command, KEEPSET_WORKERS="1", PYTHONPATH=where, **environment)
        self.workers.append(worker)
        self.wait_for(len(self.workers))
        return worker

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        self.workers.remove(worker)

    def stop(self, worker: subprocess.Popen[bytes]) -> None:
        worker.terminate()
        worker.wait()
        self.workers.remove(worker)

    def wait_for(self, workers: int) -> None:
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=PATIENCE_S)


@contextlib.contextmanager
def dask_cluster(folder: Path, workers: int) -> Iterator[DaskCluster]:
    ready = folder / "scheduler.json"
    command = [sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    scheduler = _quietly([*command, "--scheduler-file", str(ready)])
    cluster = DaskCluster("")
    try:
        with Client(scheduler_file=str(ready), timeout=PATIENCE_S, set_as_default=False) as client:
            cluster.address = client.scheduler.address
        for _ in range(workers):
            cluster.start_worker()
        yield cluster
    finally:
        for process in [*cluster.workers, scheduler]:
            process.kill()
            process.wait()


def _quietly(command: list[str], **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", env=os.environ | environment
    )
