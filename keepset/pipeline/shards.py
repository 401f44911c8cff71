"""Run one stage: here, or its shards on Dask workers. The one way, with Prefect and without.

A worker gets the workspace's path and a shard, nothing else: what it finds is in the workspace before it answers. A
shard whose worker died is given to another one, which goes on from its journal.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from keepset.config import RunConfig
from keepset.errors import EngineError
from keepset.pipeline.cluster import Cluster, connect, count_workers, stop_if_abandoned
from keepset.pipeline.engine import Engine
from keepset.pipeline.registry import StageSpec, find
from keepset.stages import EngineKind, Progress, Shard, StageResult
from keepset.workspace import Workspace

__all__ = ["run_stage", "spread"]

_EVERY_S = 1.0


def run_stage(
    spec: StageSpec, ws: Workspace, config: RunConfig | None, engine: Engine, progress: Progress, **options: Any
) -> StageResult:
    """Run a stage in this process; or, if it has shards and the engine is Dask, its shards on the workers.

    ``config`` is the one that the workspace holds, if the stage needs it. Raises ``EngineError`` besides what the stage raises.
    """
    progress.start(spec.opening, None)  # so that the stage before is seen to be over
    if engine.kind == EngineKind.DASK and spec.shards is not None and config is not None:
        stage = spec.shards()
        with ws.lock(spec.name, note=progress.note):
            if options.get("retry_failed") or not stage.is_current(ws, config):
                shards = stage.plan(ws, config, count_workers(engine), progress, **options)
                if shards:
                    with connect(engine, ws) as cluster:
                        progress.note(f"{spec.name}: {len(shards)} shards on {cluster}")
                        spread(cluster, ws, spec.name, shards, options, progress)
                    return stage.merge(ws, config, progress)
        options = {}  # nothing is left that they could ask for
    return spec.load()(ws, config, progress=progress, **options)


def spread(
    cluster: Cluster, ws: Workspace, stage: str, shards: Sequence[Shard], options: Mapping[str, Any], progress: Progress
) -> None:
    """Let the workers do the shards: those of one lane one after the other, as a shard takes the answer of the one before."""
    from distributed import as_completed

    progress.start(f"{stage}, shards on {cluster.workers} workers", len(shards))
    run = time.time_ns()
    before: dict[int, Any] = {}
    futures: dict[Any, Shard] = {}
    for shard in shards:
        # pure=False, and a key of this run: Dask must not answer from what it remembers of an earlier one.
        future = cluster.client.submit(
            run_shard, str(ws.root), stage, asdict(shard), dict(options), before.get(shard.lane),
            key=f"{stage}-{shard.number}-{run}", pure=False,
        )  # fmt: skip
        before[shard.lane] = future
        futures[future] = shard
    done: Counter[str] = Counter()
    for future in as_completed(list(futures), loop=cluster.client.loop):
        with _killed_workers(f"shard {futures[future].number} of {stage}"):
            done.update(future.result())
        progress.advance(1, **done)


def run_shard(
    root: str, stage: str, shard: Mapping[str, int], options: Mapping[str, Any], _before: object
) -> dict[str, int]:
    """On the worker: one shard, as the stage does it. Returns what it counted."""
    ws, code = Workspace.open(Path(root)), find(stage).shards
    if code is None:
        raise ValueError(f"the stage {stage} has no shards")
    return dict(code().run_shard(ws, ws.config(), Shard(**shard), _Watch(), **options))


class _Watch(Progress):
    """On the worker: a shard whose run was killed ends, about once a second."""

    looks_at = 0.0

    def start(self, what: str, total: int | None) -> None: ...

    def advance(self, n: int = 1, **facts: Any) -> None:
        if time.monotonic() >= self.looks_at:
            self.looks_at = time.monotonic() + _EVERY_S
            stop_if_abandoned()

    def note(self, message: str) -> None: ...


@contextlib.contextmanager
def _killed_workers(what: str) -> Iterator[None]:
    """Map what Dask says when workers die or vanish to ``EngineError``."""
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError

    try:
        yield
    except KilledWorker as e:
        raise EngineError(
            f"{what[:1].upper()}{what[1:]} was given to several workers, and each of them died.",
            "Most often memory ran out: start workers with more, or make the stage's shard_size smaller. What was "
            "finished is kept; run the same command again.",
        ) from e
    except FutureCancelledError as e:
        raise EngineError(
            f"The Dask scheduler went away while {what} ran: {e}.", "Start it again, then run the same command again."
        ) from e
