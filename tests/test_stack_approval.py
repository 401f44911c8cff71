"""A batch, a person and a real Prefect server: approve, reject, four at once, kill -9, and one retraining."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from deployments.reconcile import GRACE_S, settle_batches
from keepset.clean import restore
from keepset.errors import OrchestratorError, ReviewError
from keepset.models import list_models
from keepset.orchestrator.waiting import notify_decision
from keepset.review import Batch, BatchStatus, load_batch, reopen, submit
from tests.processes import PATIENCE_S
from tests.stack_fixtures import Running, ended_once, ended_right, models, plan_kills, wait_for, waiting_workspace

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the stack's processes in /proc"),
]

YES = {"decision": "approve", "reviewer": "ada", "note": "", "undecided": "suggested", "keep": [], "confirm": True}


def test_the_api_keeps_strangers_out(stack: Running) -> None:
    assert stack.post("/flow_runs/filter", {}, auth=None).status_code == 401
    answer = stack.post("/flow_runs/filter", {}, headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers
    for origin, let_in in (("https://elsewhere.example", False), (stack.state["ui_url"], True)):
        asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = httpx.options(
            stack.state["api_url"] + "/flow_runs/filter", headers=asks, trust_env=False, timeout=PATIENCE_S
        )
        assert (answer.headers.get("access-control-allow-origin") == origin) is let_in
    assert (stack.ws.root / "prefect" / "login").stat().st_mode & 0o077 == 0


def test_of_four_simultaneous_approvals_one_is_applied(stack: Running, tmp_path: Path) -> None:
    ws = waiting_workspace(tmp_path)
    run, batch = stack.review(ws)

    def in_prefect(who: str) -> str:
        answer = stack.post(f"/flow_runs/{run.id}/resume", {"run_input": {**YES, "reviewer": who}})
        return who if answer.is_success and answer.json()["status"] == "ACCEPT" else ""

    def in_gallery(who: str) -> str:
        try:
            submit(load_batch(ws, batch.id), "approve", who=who, undecided="suggested", confirm=True, via="gallery")
        except ReviewError:
            return ""
        stack.wake(batch)
        return who

    with ThreadPoolExecutor(4) as pool:
        said = [pool.submit(in_prefect, f"p{i}") for i in range(2)]
        said += [pool.submit(in_gallery, f"g{i}") for i in range(2)]
        winners = [s.result() for s in said]
    stack.until(run, lambda s: s.over)
    approval = load_batch(ws, batch.id).approval()
    assert approval.who in winners
    assert len([w for w in winners if w.startswith("p")]) <= 1
    assert len([w for w in winners if w.startswith("g")]) <= 1
    assert ws.revisions() == [1, 2]
    assert load_batch(ws, batch.id).status == BatchStatus.APPLIED


def test_approving_on_the_command_line_retrains_once_though_the_event_comes_twice(stack: Running) -> None:
    run, batch = stack.review()
    submit(batch, "approve", who="ada", undecided="suggested", confirm=True)
    wait_for(lambda: notify_decision(stack.ws, batch), "Prefect to take the decision up")
    stack.until(run, lambda s: s.over)
    wait_for(lambda: notify_decision(stack.ws, batch), "Prefect to be told twice")  # no trouble
    data = stack.ws.current_dataset()
    again = {
        "occurred": datetime.now(UTC).isoformat(),
        "event": "keepset.dataset.cleaned",
        "resource": {"prefect.resource.id": f"keepset.dataset.{stack.ws.id}", "keepset.workspace": str(stack.ws.root)},
        "related": [],
        "payload": {"revision": 2, "content_hash": data.content_hash},
        "id": "00000000-0000-4000-8000-000000000001",
    }
    assert stack.post("/events", [again]).is_success
    mine = {"workspace": str(stack.ws.root)}
    wait_for(lambda: sum(r["parameters"] == mine for r in stack.retrainings()) == 2, "both events' runs")
    assert stack.ws.revisions() == [1, 2]
    assert len(models(stack.ws)) == 2  # the first one, and one retrained

    restore(stack.ws, batch.id, who="bob")  # undone after its retraining: what stands then is trained on by itself
    _age(stack.ws.dataset(3))
    wait_for(lambda: len(models(stack.ws)) == 3, "the retraining on what was restored")
    assert {m.dataset_revision for m in list_models(stack.ws)} == {1, 2, 3}


def test_kills_in_the_middle_of_the_work(stack: Running, tmp_path: Path) -> None:
    """The flow run's own process while it applies, the server between training and comparing, and the gallery."""
    ws = waiting_workspace(tmp_path)
    run, batch = stack.review(ws)
    wait_for(lambda: _is_idle(stack), "the work of other tests to be over")
    plan_kills(stack.kills, "self@applied.json", "prefect-server@comparison.json", "web@000002.parquet")
    stack.resume(run, YES)
    wait_for(lambda: ended_right(ws, batch.id), "the approval and the retraining")
    wait_for(lambda: _is_idle(stack), "all runs to be over")
    assert not any(stack.kills.iterdir())
    assert ended_once(ws, batch)


def _is_idle(stack: Running) -> bool:
    with contextlib.suppress(OrchestratorError):  # it was killed just now
        return not stack.prefect.runs(["RUNNING", "PENDING", "SCHEDULED"])
    return False


def test_a_batch_that_expired_and_is_reopened_has_a_run_that_waits_for_it(stack: Running, tmp_path: Path) -> None:
    ws = waiting_workspace(tmp_path)
    run, batch = stack.review(ws)
    _let_expire(batch)
    list(settle_batches(ws, stack.prefect))
    assert stack.prefect.state(run).type == "CANCELLED"
    assert "reopen" in stack.prefect.state(run).message

    reopen(load_batch(ws, batch.id), who="ada")
    for _ in range(3):
        list(settle_batches(ws, stack.prefect))
    second = stack.reopened(batch, run.id)
    assert stack.reopened(batch, run.id) == second
    stack.until(second, lambda s: s.waits)
    stack.resume(second, YES)
    stack.until(second, lambda s: s.over)
    assert load_batch(ws, batch.id).status == BatchStatus.APPLIED
    assert ws.revisions() == [1, 2]
    runs = [r for r in stack.prefect.recent_runs(100) if r["parameters"].get("workspace") == str(ws.root)]
    assert len([r for r in runs if r["name"].startswith("review_batch ")]) == 2  # asked again and again, one an opening


def _age(path: Path) -> None:
    """As if it had been written before the time that the stack leaves to the event."""
    os.utime(path, (time.time() - 2 * GRACE_S,) * 2)


def _let_expire(batch: Batch) -> None:
    """Put its opening and its deadline into the past."""
    path = batch.folder / "batch.json"
    past = {"opened_at": "2026-01-01T00:00:00+00:00", "deadline": "2026-01-15T00:00:00+00:00"}
    path.write_text(json.dumps(json.loads(path.read_text()) | past))
