"""Serve all deployments of one workspace from this process: ``python -m deployments.serve --workspace DIR``."""

from __future__ import annotations

import argparse
import sys

from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.schedules import Cron

from deployments.parts import NIGHTLY
from flows.build_dataset import build_dataset
from flows.pipeline import pipeline
from flows.predict_batch import predict_batch
from flows.retrain import retrain
from flows.review_batch import review_batch
from flows.train_model import train_model
from keepset.orchestrator.names import CLEANED, TAG, FlowName
from keepset.storage import locate
from keepset.workspace import Workspace

__all__ = ["deployments", "main"]

_ONE_AT_A_TIME = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)


def deployments(ws: Workspace, cron: str | None = None) -> list[RunnerDeployment]:
    """The six deployments, bound to ``ws``. With ``cron``, the data set is built on that schedule."""
    here = {"workspace": str(ws.root)}
    tags = [TAG]  # none of the data set: its runs may be of any
    cleaned = DeploymentEventTrigger(
        name="retrain the data set that was cleaned",
        expect={CLEANED},
        match={"prefect.resource.id": "keepset.dataset.*"},
        parameters={"workspace": "{{ event.resource['keepset.workspace'] }}"},
    )
    return [
        RunnerDeployment.from_flow(
            pipeline, FlowName.PIPELINE, parameters=here, tags=tags,
            description='URL lists to a cleaning batch that waits. Fill in "dataset" to begin a new data set.',
        ),
        RunnerDeployment.from_flow(
            build_dataset, FlowName.BUILD_DATASET, parameters=here, tags=tags,
            schedules=[Cron(cron, slug=NIGHTLY)] if cron else None,
            description="Collect, download, validate, split. Incremental and cheap when nothing changed.",
        ),
        RunnerDeployment.from_flow(
            train_model, FlowName.TRAIN_MODEL, parameters=here, tags=tags,
            description="Train on the current revision and compare with the model in use.",
        ),
        RunnerDeployment.from_flow(
            review_batch, FlowName.REVIEW_BATCH, parameters=here, tags=tags, description="Open a cleaning batch and wait for a person."
        ),
        RunnerDeployment.from_flow(
            predict_batch, FlowName.PREDICT_BATCH, parameters=here, tags=tags, concurrency_limit=_ONE_AT_A_TIME,
            description="Predict a folder, a table of paths or URLs, or the data set into a Parquet file. Resumable.",
        ),
        RunnerDeployment.from_flow(
            retrain, FlowName.RETRAIN, parameters=here, tags=tags, triggers=[cleaned], concurrency_limit=_ONE_AT_A_TIME,
            description="Started by keepset.dataset.cleaned; trains once a revision.",
        ),
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
    serve(*deployments(ws, options.cron), print_starting_message=False, pause_on_shutdown=False, limit=4)


if __name__ == "__main__":
    main()
