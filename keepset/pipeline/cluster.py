"""Dask workers: found by their scheduler's address or started here, and looked at before they are given any work."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keepset import __version__
from keepset.errors import EngineError, KeepsetError
from keepset.machine.cores import usable_cores
from keepset.pipeline.engine import Engine
from keepset.settings import settings
from keepset.workspace import Workspace

if TYPE_CHECKING:
    from distributed import Client
    from distributed.security import Security

__all__ = ["Cluster", "connect", "count_workers", "introduce", "stop_if_abandoned"]

_ANSWER_S = 20.0
_JOIN_S = 60.0


@dataclass(frozen=True)
class Cluster:
    """A scheduler with workers that are fit for the work. ``security`` is what a further client must show."""

    client: Client
    address: str
    dashboard: str
    workers: int
    security: Security | None

    def __str__(self) -> str:
        return f"{self.workers} Dask workers at {self.address}, dashboard {self.dashboard or '(none)'}"


@contextlib.contextmanager
def connect(engine: Engine, ws: Workspace) -> Iterator[Cluster]:
    """Yield the workers; those that were started here end with it.

    Raises ``EngineError`` if none answer, or if one has other code than this process or does not see the workspace.
    """
    with _quiet(), _started(engine) as (address, security), _client(address, security) as client:
        _wait_for_workers(client, address)
        faces = _faces(client, ws)
        if bad := [(worker, fault) for worker, face in faces.items() if (fault := _fault(face, ws))]:
            raise EngineError(
                f"{len(bad)} of {len(faces)} Dask workers cannot do the work. {' '.join(bad[0])}.",
                "Install the same Keepset on every worker, put the workspace on a folder that all see under one path, "
                "and start the workers again.",
            )
        yield Cluster(client, address, client.dashboard_link or "", len(client.nthreads()), security)


def count_workers(engine: Engine) -> int:
    """How many shards can run at once. Starts nothing. Raises ``EngineError`` if the scheduler does not answer."""
    if not engine.address:
        return engine.workers or usable_cores()
    with _client(engine.address, None) as client:
        _wait_for_workers(client, engine.address)
        return len(client.nthreads())


def stop_if_abandoned() -> None:
    """Raise ``EngineError`` on a worker whose run was killed: the next run would else find it still at work."""
    if (distributed := sys.modules.get("distributed")) is None:
        return
    try:
        worker = distributed.get_worker()
    except ValueError:  # not on a worker
        return
    task = worker.state.tasks.get(worker.get_current_task())
    if task is None or task.state == "cancelled":
        raise EngineError("The run that asked for this shard is gone.", "Start it again: it goes on from here.")


# -- finding and starting --------------------------------------------------------------------------


@contextlib.contextmanager
def _started(engine: Engine) -> Iterator[tuple[str, Security | None]]:
    """The scheduler's address; if none is given, of a cluster on loopback that nobody else can join."""
    if engine.address:
        yield engine.address, None
        return
    import distributed

    count = count_workers(engine)
    cluster = distributed.LocalCluster(
        n_workers=count, threads_per_worker=1, host="127.0.0.1", security=True, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
        env={"KEEPSET_WORKERS": str(max(1, settings().workers // count))},
    )  # fmt: skip
    with cluster:
        yield cluster.scheduler_address, cluster.security


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Dask tells of every connection that opens and closes; what goes wrong is raised."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _client(address: str, security: Security | None) -> Iterator[Client]:
    import distributed

    try:
        client = distributed.Client(address, security=security, timeout=_ANSWER_S, set_as_default=False)
    except (OSError, ValueError) as e:  # a TimeoutError is an OSError
        raise EngineError(
            f"The Dask scheduler at {address} does not answer: {e}.",
            "Start one with `dask scheduler` and workers with `dask worker ADDRESS --nthreads 1`, or leave out --address.",
        ) from e
    with client:
        yield client


def _wait_for_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_JOIN_S)
    except TimeoutError as e:
        raise EngineError(
            f"No worker has joined the Dask scheduler at {address} within {_JOIN_S:.0f} s.",
            f"Start some: dask worker {address} --nthreads 1.",
        ) from e


# -- are they fit? ---------------------------------------------------------------------------------


@functools.cache
def code() -> str:
    """What this process's Keepset is: 16 hex digits over all of its source files."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def introduce(root: str) -> dict[str, str]:
    """What a worker says of itself: its code, and which workspace it finds at ``root``."""
    try:
        ws = Workspace.open(Path(root))
        ws.check_writable()
        found = {"workspace": ws.id}
    except KeepsetError as e:
        found = {"workspace": "", "trouble": e.message}
    return {"version": __version__, "code": code(), "python": platform.python_version(), **found}


def _faces(client: Client, ws: Workspace) -> Mapping[str, Mapping[str, str]]:
    root = str(ws.root)

    def face() -> dict[str, str]:  # travels as code, not by name: the worker may have no Keepset at all
        try:
            from keepset.pipeline.cluster import introduce
        except ImportError as e:
            return {"trouble": str(e)}
        return introduce(root)

    found: Mapping[str, Mapping[str, str]] = client.run(face)
    return found


def _fault(face: Mapping[str, str], ws: Workspace) -> str:
    """What is wrong with a worker, or nothing."""
    if "code" not in face:
        return f"has no Keepset of this version ({face['trouble']})"
    if face["code"] != code():
        return f"has other code: Keepset {face['version']} ({face['code']}), here {__version__} ({code()})"
    if face["python"].split(".")[:2] != platform.python_version().split(".")[:2]:
        return f"runs Python {face['python']}, this process {platform.python_version()}"
    if face["workspace"] != ws.id:
        return f"does not have the workspace {ws.root} ({face.get('trouble') or 'another one is there'})"
    return ""
