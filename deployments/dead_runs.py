"""Dead runs: their process was killed, never started, or lost the Prefect server.

They are put back into the queue. What their tasks had finished is not done again, so taking a run up once too often costs seconds and changes nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from keepset.errors import KeepsetError
from keepset.orchestrator import Orchestrator, is_worked_on
from keepset.orchestrator.names import TAG, StateType
from keepset.storage import locate
from keepset.workspace import Workspace

__all__ = ["take_up"]

SECOND_LOOK_S = 3.0
"""Between two looks at a run without a process: one that begins or ends just now is not dead."""
START_S = 120.0
"""A run that was to start and has not within this is taken up again."""
CRASHED_S = 3600.0
"""A run that crashed longer ago than this is left to a person."""
MOST_STARTS = 6
"""A run that was started this often and crashed again is left to a person."""
_LOOKED_AT = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING, StateType.CRASHED, StateType.FAILED)
_SERVER_AWAY = re.compile(r"\b(Connect|Read|Write|Pool|RemoteProtocol)(Error|Timeout)\b")
"""httpx' words for a server that is away. A picture's host is none of these: its trouble is a row, never an exception."""


def take_up(prefect: Orchestrator, spaces: Mapping[str, Workspace], *, at_start: bool = False) -> list[str]:
    """Queue dead runs again. ``at_start``: nothing can be running yet, so one look is enough. Says what was done."""
    dead = _dead(prefect, spaces, at_start)
    if dead and not at_start:
        time.sleep(SECOND_LOOK_S)
        still = _dead(prefect, spaces, at_start)
        dead = {k: r for k, r in still.items() if k in dead and r["state"]["id"] == dead[k]["state"]["id"]}
    return [said for run in dead.values() if (said := _settle(prefect, run))]


def _dead(prefect: Orchestrator, spaces: Mapping[str, Workspace], at_start: bool) -> dict[str, dict[str, Any]]:
    found = prefect.runs(_LOOKED_AT, limit=200)
    return {r["id"]: r for r in found if _is_dead(r, spaces, at_start)}


def _is_dead(run: Mapping[str, Any], spaces: Mapping[str, Workspace], at_start: bool) -> bool:
    ws = spaces.get(str(run["parameters"].get("workspace")))
    if is_worked_on(ws, run["id"]) if ws else not _never_began(run):
        return False
    age = (datetime.now(UTC) - datetime.fromisoformat(run["state"]["timestamp"])).total_seconds()
    match run["state_type"]:
        case StateType.FAILED if not _SERVER_AWAY.search(run["state"].get("message") or ""):
            return False
        case StateType.CRASHED | StateType.FAILED:
            mine = run.get("deployment_id") and not run.get("parent_task_run_id")
            return bool(mine) and age < CRASHED_S and run["run_count"] < MOST_STARTS
        case StateType.PENDING:
            return at_start or age > START_S
        case _:
            return ws is not None or at_start


def _never_began(run: Mapping[str, Any]) -> bool:
    """Whether it is one of ours that was to begin a data set and has not come so far as to make its workspace.

    On a team's server there are runs of others too, and a store may be away just now: neither counts.
    """
    name = str(run["parameters"].get("workspace") or "")
    if not name or TAG not in run.get("tags", ()) or run.get("parent_task_run_id"):
        return False
    try:
        return not (locate(name) / "keepset.json").exists()
    except (KeepsetError, OSError):
        return False


def _settle(prefect: Orchestrator, run: Mapping[str, Any]) -> str:
    if run.get("parent_task_run_id"):
        prefect.give_up(run["id"], "Its parent's process is gone; the parent starts it again.")
        return ""
    if run["state_type"] == StateType.CANCELLING:
        prefect.cancelled(run["id"], "Its process is gone; it was to be cancelled anyway.")
        return f"the run {run['name']} is cancelled"
    prefect.schedule_again(run["id"], "The process that ran it is gone, or the server was; it is taken up again.")
    return f"took up the run {run['name']} again"
