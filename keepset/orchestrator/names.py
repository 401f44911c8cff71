"""The names that both sides of Prefect's API must agree on: ``flows/`` and ``deployments/``, which import Prefect, and
this package, which asks the server over HTTP.

A deployment bears the name of its flow. A run is named ``<flow> <data set> <when due>``, which is how a run of a flow is
known in a list (``is_run_of``).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import PurePath
from typing import Any

__all__ = [
    "CLEANED", "GOING", "OVER", "PROMOTED", "SERVED", "TAG", "UPKEEP_TAG", "WAITS", "FlowName", "StateType", "deployment_of", "is_run_of",
    "run_lock", "run_name",
]  # fmt: skip


class FlowName(StrEnum):
    PIPELINE = "pipeline"
    BUILD_DATASET = "build_dataset"
    TRAIN_MODEL = "train_model"
    REVIEW_BATCH = "review_batch"
    PREDICT_BATCH = "predict_batch"
    RETRAIN = "retrain"
    RECONCILE = "reconcile"


SERVED = tuple(name for name in FlowName if name != FlowName.RECONCILE)
"""The deployments that the runner of ``keepset up`` serves; it looks for work left lying by itself."""

TAG, UPKEEP_TAG = "keepset", "keepset-upkeep"
"""Of the runs of Keepset's deployments; those of ``reconcile`` have their own, so that they push no others out of lists."""

CLEANED = "keepset.dataset.cleaned"
"""The event that sets off ``retrain``."""
WAITS, PROMOTED = "keepset.batch.waits", "keepset.model.promoted"
"""Events that people may want to be told of: a batch waits for a person, a model came into use."""


class StateType(StrEnum):
    """Prefect's types of states; ``FORGOTTEN`` is ours, of a run that the server does not know any more."""

    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CRASHED = "CRASHED"
    CANCELLED = "CANCELLED"
    FORGOTTEN = "FORGOTTEN"


GOING = (StateType.RUNNING, StateType.PENDING, StateType.SCHEDULED)
"""A process works on it, or is about to."""

OVER = (StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED, StateType.FORGOTTEN)


def deployment_of(flow: FlowName) -> str:
    """As Prefect's API takes it: ``flow/deployment``."""
    return f"{flow}/{flow}"


def run_name(flow: FlowName, workspace: str, due: str) -> str:
    """E.g. ``build_dataset photos/bears 2026-11-24 03:00``."""
    return f"{flow} {'/'.join(PurePath(workspace).parts[-2:]).lstrip('/')} {due}"


def is_run_of(flow: FlowName, run: Mapping[str, Any]) -> bool:
    """Whether ``run``, as the API describes it, is one of this flow; before it has begun, its name says nothing yet."""
    return str(run["name"]).startswith(f"{flow} ")


def run_lock(run_id: str) -> str:
    """The lock of its workspace that a flow run's process holds until it ends."""
    return f"run-{run_id}"
