"""Serve all deployments of one workspace from this process: ``python -m deployments.serve --workspace DIR``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from prefect import Flow, serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.schedules import Cron

from deployments.automations import notify
from deployments.parts import NIGHTLY
from flows.build_dataset import build_dataset
from flows.pipeline import pipeline
from flows.predict_batch import predict_batch
from flows.retrain import retrain
from flows.review_batch import review_batch
from flows.train_model import train_model
from keepset.orchestrator.names import CLEANED, TAG, FlowName
from keepset.settings import settings
from keepset.storage import locate
from keepset.workspace import Workspace

__all__ = ["deployments", "main"]

_ONE_AT_A_TIME = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)


def deployments(ws: Workspace, cron: str | None = None) -> list[RunnerDeployment]:
    """A deployment per flow, bound to ``ws``. With ``cron``, the data set is built on that schedule."""
    cleaned = DeploymentEventTrigger(
        name="retrain the data set that was cleaned",
        expect={CLEANED},
        match={"prefect.resource.id": "keepset.dataset.*"},
        parameters={"workspace": "{{ event.resource['keepset.workspace'] }}"},
    )
    more: dict[str, dict[str, Any]] = {
        FlowName.BUILD_DATASET: {"schedules": [Cron(cron, slug=NIGHTLY)] if cron else None},
        FlowName.PREDICT_BATCH: {"concurrency_limit": _ONE_AT_A_TIME},
        FlowName.RETRAIN: {"triggers": [cleaned], "concurrency_limit": _ONE_AT_A_TIME},
    }
    flows: list[Flow[..., Any]] = [pipeline, build_dataset, train_model, review_batch, predict_batch, retrain]
    here = {"workspace": str(ws.root)}
    return [  # no tag of the data set: runs may be of any
        RunnerDeployment.from_flow(
            f, f.name, parameters=here, tags=[TAG], description=(f.description or "").partition("\n\nArgs:")[0],
            **more.get(f.name, {}),
        )
        for f in flows
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=locate, required=True)
    parser.add_argument("--cron", help="build the data set on this schedule, e.g. '0 3 * * *'")
    parser.add_argument("--when-told", action="store_true", help="begin when a line comes on stdin")
    options = parser.parse_args()
    if options.when_told and not sys.stdin.readline():
        return  # the supervisor, which says when, has ended
    ws = Workspace.open(options.workspace)
    notify(settings().notify)
    serve(*deployments(ws, options.cron), print_starting_message=False, pause_on_shutdown=False, limit=4)


if __name__ == "__main__":
    main()
