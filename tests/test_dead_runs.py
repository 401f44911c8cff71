"""Which runs count as dead, and what becomes of them: decided from Prefect's answers and the locks of a workspace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from deployments.dead_runs import MOST_STARTS, take_up
from deployments.reconcile import known_workspaces
from keepset.orchestrator import Orchestrator, is_of
from keepset.storage import locate
from keepset.workspace import Workspace


class Answers:
    """Prefect's answers written down, and what was asked of it."""

    def __init__(self, *runs: dict[str, Any]) -> None:
        self.found, self.done = runs, list[tuple[str, str]]()

    def runs(self, states: list[str], limit: int = 50) -> list[dict[str, Any]]:
        return [r for r in self.found if r["state_type"] in states]

    def recent_runs(self, limit: int = 50) -> list[dict[str, Any]]:
        return list(self.found)

    def default_workspaces(self) -> list[str]:
        return []

    def schedule_again(self, run: str, why: str) -> None:
        self.done.append((run, "again"))

    def give_up(self, run: str, why: str) -> None:
        self.done.append((run, "crashed"))

    def cancelled(self, run: str, why: str) -> None:
        self.done.append((run, "cancelled"))


def a_run(ws: Workspace, state: str, age_s: float = 600, message: str = "", **facts: Any) -> dict[str, Any]:
    at = (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat()
    return {
        "id": "r1", "name": "build ws", "state_type": state, "run_count": 1, "deployment_id": "d",
        "parameters": {"workspace": str(ws.root)}, "state": {"id": "s1", "timestamp": at, "message": message},
    } | facts  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "done"),
    [
        ({"state": "RUNNING"}, "again"), ({"state": "RUNNING", "parent_task_run_id": "p"}, "crashed"),
        ({"state": "CANCELLING"}, "cancelled"), ({"state": "PENDING", "age_s": 5}, None),
        ({"state": "PENDING"}, "again"), ({"state": "CRASHED"}, "again"), ({"state": "CRASHED", "age_s": 7200}, None),
        ({"state": "CRASHED", "run_count": MOST_STARTS}, None), ({"state": "CRASHED", "parent_task_run_id": "p"}, None),
        ({"state": "FAILED", "message": "ConnectError: All connection attempts failed"}, "again"),
        ({"state": "FAILED", "message": "GateFailed: the gate 'urls' did not pass"}, None),
        ({"state": "COMPLETED"}, None),
    ],
)  # fmt: skip
def test_what_becomes_of_a_run_without_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], done: str | None
) -> None:
    monkeypatch.setattr("deployments.dead_runs.SECOND_LOOK_S", 0)
    ws = Workspace.create(tmp_path / "ws", "w")
    prefect = Answers(a_run(ws, **facts))
    take_up(cast("Orchestrator", prefect), {str(ws.root): ws})
    assert prefect.done == ([("r1", done)] if done else [])


@pytest.mark.parametrize(
    ("facts", "at_start", "done"),
    [
        ({"state": "CRASHED"}, False, "again"),
        ({"state": "CRASHED", "tags": ["of somebody else"]}, False, None),
        ({"state": "CRASHED", "parent_task_run_id": "p"}, False, None),
        ({"state": "CRASHED", "parameters": {}}, False, None),
        ({"state": "PENDING"}, False, "again"),
        ({"state": "PENDING", "age_s": 5}, False, None),
        ({"state": "PENDING", "age_s": 5}, True, "again"),
        ({"state": "RUNNING"}, False, None),  # it may run where this folder is not seen
        ({"state": "RUNNING"}, True, "again"),
    ],
)
def test_a_run_that_died_before_it_made_its_workspace_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], at_start: bool, done: str | None
) -> None:
    monkeypatch.setattr("deployments.dead_runs.SECOND_LOOK_S", 0)
    to_be = Workspace(tmp_path / "to be", "", "")
    prefect = Answers(a_run(to_be, **{"tags": ["keepset"], **facts}))
    assert known_workspaces(None, cast("Orchestrator", prefect)) == {}
    take_up(cast("Orchestrator", prefect), {}, at_start=at_start)
    assert prefect.done == ([("r1", done)] if done else [])


@pytest.mark.parametrize("state", ["RUNNING", "PENDING", "CRASHED"])
def test_a_run_whose_process_lives_is_left_alone(tmp_path: Path, state: str) -> None:
    ws = Workspace.create(tmp_path / "ws", "w")
    prefect = Answers(a_run(ws, state))
    with ws.lock("run-r1"):
        assert take_up(cast("Orchestrator", prefect), {str(ws.root): ws}) == []
    assert prefect.done == []


def test_a_dead_run_on_a_bucket_is_taken_up_and_one_that_lives_is_not(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.dead_runs.SECOND_LOOK_S", 0)
    ws = Workspace.create(locate(f"{s3}/bears"), "bears")
    for name in (f"{s3}/bears", f"{s3}/bears/"):
        run = a_run(ws, "RUNNING", parameters={"workspace": name})
        prefect = Answers(run, a_run(ws, "RUNNING", id="r2", parameters={"workspace": f"{s3}/others"}))
        spaces = known_workspaces(None, cast("Orchestrator", prefect))
        assert spaces == {name: ws}
        assert is_of(ws, run)
        with ws.lock("run-r1"):
            assert take_up(cast("Orchestrator", prefect), spaces) == []
        assert take_up(cast("Orchestrator", prefect), spaces) == ["took up the run build ws again"]
        assert prefect.done == [("r1", "again")]
