"""Names of runs that a person can tell apart: what is done, to which data set, and which of many it is."""

from __future__ import annotations

from collections.abc import Callable

from prefect.runtime import flow_run

from keepset.orchestrator.names import FlowName, run_name

__all__ = ["named"]


def named(flow: FlowName) -> Callable[[], str]:
    """For ``flow_run_name``: by the workspace, and the time it was due (UTC)."""

    def name() -> str:
        workspace = str(flow_run.get_parameters().get("workspace", ""))
        return run_name(flow, workspace, f"{flow_run.get_scheduled_start_time():%Y-%m-%d %H:%M}")

    return name
