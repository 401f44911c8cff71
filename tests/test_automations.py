"""The three automations against a real stack: each really sends, to a webhook on loopback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.chaos.stack import flow_runs
from keepset.orchestrator import FlowRun
from keepset.review import Batch, BatchStatus, load_batch
from keepset.workspace import Workspace
from tests.stack_fixtures import Running, listening, wait_for, waiting_workspace
from tests.test_team import folders

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the stack's processes in /proc"),
]

_SET_UP = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from deployments.automations import main

words = {"subject": "{{subject}}", "body": "{{body}}"}
block = CustomWebhookNotificationBlock(name="loopback", url=sys.argv[1], json_data=words).save("loopback")
main([str(block), "--hours", str(11 / 3600)])
"""


@pytest.fixture(scope="module")
def told(stack: Running) -> Iterator[list[dict[str, Any]]]:
    """What the automations send; a batch waits too long after eleven seconds."""
    with listening() as (url, told):
        stack.python(_SET_UP, url)
        yield told


def heard(told: list[dict[str, Any]], subject: str, name: str) -> str:
    """The message about the run of that name, once it is there."""
    found: list[str] = []

    def there() -> bool:
        found[:] = [t["body"] for t in told if t["subject"] == f"Keepset: {subject}" and name in t["body"]]
        return bool(found)

    wait_for(there, f"the webhook to be told that {subject}")
    return found[0]


def test_a_form_without_a_name_is_refused_and_a_run_that_goes_on_waiting_is_told_of(
    stack: Running, told: list[dict[str, Any]], tmp_path: Path
) -> None:
    ws = waiting_workspace(tmp_path)
    run, batch = stack.review(ws)
    _refuse_nameless(stack, run, batch)
    name = f"review {ws.root.parent.name}/{ws.root.name}"
    assert "Suspended" in heard(told, "a batch waits too long", name)
    assert stack.prefect.state(run).waits


def _refuse_nameless(stack: Running, run: FlowRun, batch: Batch) -> None:
    form = {
        "decision": "approve",
        "reviewer": "",
        "note": "",
        "undecided": "keep",
        "keep": [],
        "confirm": True,
    }
    answer = stack.post(f"/flow_runs/{run.id}/resume", {"run_input": form})
    assert answer.json()["status"] == "REJECT"
    assert stack.prefect.state(run).waits
    assert load_batch(batch.ws, batch.id).status == BatchStatus.OPEN


def test_a_killed_run_and_then_a_failed_gate_are_told_of(
    stack: Running, told: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Killed while it waits for the data set; taken up again, its gate fails, for there are too few pictures."""
    ws = Workspace.create(tmp_path / "few", "few")
    form = {"name": "few", "classes": folders(tmp_path / "pictures", per_class=3), "epochs": 0}
    with ws.lock("flow-build"):  # as a run of long duration holds it
        parameters = {"workspace": str(ws.root), "dataset": form}
        run = stack.prefect.start_deployment("build_dataset/build_dataset", parameters)
        wait_for(lambda: ws.root in flow_runs(stack.ws.root).values(), "the run's process")
        for pid, root in flow_runs(stack.ws.root).items():
            if root == ws.root:
                os.kill(pid, signal.SIGKILL)
        name = f"build {ws.root.parent.name}/{ws.root.name}"
        assert "Crashed" in heard(told, "a run crashed", name)
    wait_for(lambda: stack.prefect.state(run).type == "FAILED", "the run to be taken up again and to fail")
    assert "min_images_per_class" in stack.prefect.state(run).message
    assert "prefect.task-run.Failed" in heard(told, "a gate failed", "gate downloads")
