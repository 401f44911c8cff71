"""What every stage has in common: its name, its result, its shards, and how it reports progress.

Which stages there are, and in which order, says ``keepset.pipeline.registry``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

__all__ = ["SILENT", "EngineKind", "Progress", "Shard", "Stage", "StageResult", "facts_line", "shards"]


class EngineKind(StrEnum):
    """Where the shards of a stage run: in the run's own process, or on the workers of a Dask cluster."""

    LOCAL = "local"
    DASK = "dask"


class Stage(StrEnum):
    """One word per stage, the same in modules, tasks, manifests, commands, log keys and report sections."""

    SCRAPE = "scrape"
    DOWNLOAD = "download"
    VALIDATE = "validate"
    SPLIT = "split"
    TRAIN = "train"
    INTERPRET = "interpret"
    REVIEW = "review"
    CLEAN = "clean"
    PREDICT = "predict"
    EXPORT = "export"
    PROMOTE = "promote"


@dataclass(frozen=True)
class StageResult:
    """What a stage did.

    ``changed`` is false when everything was there already. ``summary`` holds counts by name, JSON-ready;
    ``outputs`` maps a name to a path relative to the workspace, or to an id.
    """

    stage: str
    changed: bool
    message: str
    summary: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "stage": str(self.stage),
            "changed": self.changed,
            "message": self.message,
            "summary": dict(self.summary),
            "outputs": dict(self.outputs),
        }


@dataclass(frozen=True)
class Shard:
    """A range of a stage's items, from ``start`` up to, not including, ``stop``. Survives JSON.

    With ``lanes`` = 0 the shards run one after the other in one process. Otherwise this one belongs to one of so many
    lanes: shards of different lanes may run at once, each on another machine; those of one lane follow one another.
    """

    number: int
    start: int
    stop: int
    lane: int = 0
    lanes: int = 0

    @property
    def journal_part(self) -> str:
        """Which part of the stage's journal this shard writes; none: the journal itself."""
        return f"lane-{self.lane}" if self.lanes else ""


def shards(n: int, size: int) -> list[Shard]:
    """``n`` items in ranges of at most ``size``."""
    return [Shard(i, start, min(start + size, n)) for i, start in enumerate(range(0, n, size))]


class Progress(Protocol):
    """Where a stage reports how far it is. The terminal draws bars, Prefect writes progress artifacts."""

    def start(self, what: str, total: int | None) -> None:
        """A new piece of work of ``total`` items begins (None: unknown)."""

    def advance(self, n: int = 1, **facts: Any) -> None:
        """``n`` more items are done; ``facts`` are shown beside the bar, e.g. failed=3, loss=0.21."""

    def note(self, message: str) -> None:
        """A line worth reading, e.g. a changed batch size."""


class _Silent:
    def start(self, what: str, total: int | None) -> None: ...

    def advance(self, n: int = 1, **facts: Any) -> None: ...

    def note(self, message: str) -> None: ...


SILENT: Progress = _Silent()


def facts_line(facts: Mapping[str, Any]) -> str:
    """``loss=0.21 failed=3``: what a stage shows beside its bar."""
    return " ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in facts.items())


_FEW = 10


def pace_line(done: int, total: int | None, seconds: float) -> str:
    """``41/s, 3 min left``: how fast it goes and, once a few items are done and the end is known, the time left."""
    if not done or seconds <= 0:
        return ""
    rate = done / seconds
    speed = f"{rate:.0f}/s" if rate >= 10 else f"{rate:.2g}/s"
    left = max(0, (total or 0) - done) / rate
    if not left or (done < _FEW and done < (total or 0) / 20):  # the first items of a run tell nothing of the others
        return speed
    return f"{speed}, " + (
        f"{left:.0f} s left"
        if left < 90
        else f"{left / 60:.0f} min left"
        if left < 5400
        else f"{left / 3600:.1f} h left"
    )
