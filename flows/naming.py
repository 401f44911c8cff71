"""Names of runs that a person can tell apart: what is done, to which data set, and which of many it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath

from prefect.runtime import flow_run

__all__ = ["named"]


def named(verb: str) -> Callable[[], str]:
    """For ``flow_run_name``: e.g. ``build photos/bears 2026-11-24 03:00``, by the time it was due (UTC)."""

    def name() -> str:
        folder = PurePath(str(flow_run.get_parameters().get("workspace", "")))
        due = flow_run.get_scheduled_start_time()
        return f"{verb} {'/'.join(folder.parts[-2:]).lstrip('/')} {due:%Y-%m-%d %H:%M}"

    return name
