"""Run one stage: here, or its shards on Dask workers. The one way, with Prefect and without.

A worker gets the workspace's path and a shard, nothing else: what it finds is in the workspace before it answers. A
shard whose worker died is given to another one, which goes on from its journal.
"""

from __future__ import annotations

import contextlib
import threading
import time
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

__all__ = ["run_stage"]

_EVERY_S = 1.0
_TOPIC = "keepset-progress"


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
                        _Spread(cluster, ws, spec.name, progress).all(shards, options)
                    return stage.merge(ws, config, progress)
        options = {}  # nothing is left that they could ask for
    return spec.load()(ws, config, progress=progress, **options)


class _Spread:
    """Shards on their way to the workers, and what these tell meanwhile."""

    def __init__(self, cluster: Cluster, ws: Workspace, stage: str, progress: Progress) -> None:
        self.cluster, self.ws, self.stage, self.progress = cluster, ws, stage, progress
        self.facts: dict[int, Mapping[str, Any]] = {}
        self.lock = threading.Lock()

    def all(self, shards: Sequence[Shard], options: Mapping[str, Any]) -> None:
        from distributed import as_completed

        self.progress.start(f"{self.stage}, shards on {self.cluster.workers} workers", len(shards))
        with self._listening() as topic:
            futures = self._submit(shards, options, topic)
            for future in as_completed(list(futures), loop=self.cluster.client.loop):
                with _killed_workers(f"shard {futures[future].number} of {self.stage}"):
                    future.result()
                self._show(1)

    def _submit(self, shards: Sequence[Shard], options: Mapping[str, Any], topic: str) -> dict[Any, Shard]:
        """Each lane's shards one after the other: a shard waits for the one before by taking its answer."""
        before: dict[int, Any] = {}
        futures = {}
        for shard in shards:
            # pure=False, and a key of this run: Dask must not answer from what it remembers of an earlier one.
            future = self.cluster.client.submit(
                run_shard, str(self.ws.root), self.stage, asdict(shard), dict(options), topic,
                before.get(shard.lane), key=f"{self.stage}-{shard.number}-{topic}", pure=False,
            )  # fmt: skip
            before[shard.lane] = future
            futures[future] = shard
        return futures

    @contextlib.contextmanager
    def _listening(self) -> Iterator[str]:
        # Of this run alone: workers may still be at the shards of one that was killed.
        topic = f"{_TOPIC}-{self.ws.id}-{time.time_ns()}"
        self.cluster.client.subscribe_topic(topic, self._hear)
        yield topic
        self.cluster.client.unsubscribe_topic(topic)

    def _hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        with self.lock:
            self.facts[event[1]["shard"]] = event[1]["facts"]
        self._show(0)

    def _show(self, n: int) -> None:
        with self.lock:
            names = list(dict.fromkeys(k for facts in self.facts.values() for k in facts))
            sums = {k: sum(facts.get(k, 0) for facts in self.facts.values()) for k in names}
            self.progress.advance(n, **sums)


def run_shard(
    root: str, stage: str, shard: Mapping[str, int], options: Mapping[str, Any], topic: str, _before: object
) -> dict[str, Any]:
    """On the worker: one shard, as the stage does it."""
    ws, mine, code = Workspace.open(Path(root)), Shard(**shard), find(stage).shards
    if code is None:
        raise ValueError(f"the stage {stage} has no shards")
    return dict(code().run_shard(ws, ws.config(), mine, _Telling(topic, mine.number), **options))


class _Telling(Progress):
    """On the worker: what a shard tells of itself goes to whoever waits for it, once a second at most."""

    def __init__(self, topic: str, shard: int) -> None:
        self.topic, self.shard = topic, shard
        self.done, self.total, self.last = 0, 0, 0.0

    def start(self, what: str, total: int | None) -> None:
        self.done, self.total, self.last = 0, total or 0, time.monotonic()

    def advance(self, n: int = 1, **facts: Any) -> None:
        self.done += n
        if time.monotonic() - self.last < _EVERY_S and self.done < self.total:
            return
        self.last = time.monotonic()
        stop_if_abandoned()
        from distributed import get_worker

        numbers = {k: v for k, v in facts.items() if isinstance(v, int | float)}
        get_worker().log_event(self.topic, {"shard": self.shard, "facts": {"items": self.done, **numbers}})

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
