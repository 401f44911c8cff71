"""For a team's workers: the look for dead runs and for work left lying that `keepset up` takes by itself."""

from __future__ import annotations

import os

from prefect import flow
from prefect.logging import get_run_logger

from deployments.reconcile import reconcile
from keepset.errors import OrchestratorError
from keepset.orchestrator import Orchestrator
from keepset.orchestrator.names import FlowName

__all__ = ["look"]


@flow(name=FlowName.RECONCILE, flow_run_name="look for work left lying", timeout_seconds=300)
def look() -> list[str]:
    """Take up runs whose process is gone, apply decided batches, retrain cleaned revisions, of all data sets."""
    url = os.environ.get("PREFECT_API_URL", "")
    if not url:
        raise OrchestratorError("This worker does not know its server.", "Set PREFECT_API_URL.")
    said = reconcile(None, Orchestrator(url, None))
    for line in said:
        get_run_logger().info("%s", line)
    return said
