"""`keepset up --notify URL` with a real stack: each of the three automations really sends, to a webhook on loopback."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.chaos.stack import flow_runs
from deployments import command
from keepset.orchestrator import FlowRun
from keepset.review import Batch, BatchStatus, load_batch, submit
from keepset.workspace import Workspace
from tests.stack_fixtures import Running, wait_for, waiting_workspace
from tests.test_team import folders

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the stack's processes in /proc"),
]


def heard(told: list[dict[str, Any]], subject: str, *words: str) -> str:
    """The message with these words, once it is there."""
    found: list[str] = []

    def there() -> bool:
        texts = [t["text"] for t in told if t["text"] == t["content"]]
        found[:] = [t for t in texts if t.startswith(f"Keepset: {subject}\n") and all(w in t for w in words)]
        return bool(found)

    wait_for(there, f"the webhook to be told: {subject}")
    return found[0]


def test_pictures_to_review_and_the_model_that_follows_are_told_of_with_a_link(
    stack: Running, told: list[dict[str, Any]], tmp_path: Path
) -> None:
    ws, web = waiting_workspace(tmp_path / "told"), stack.state["web_url"]
    run, batch = stack.review(ws)
    folder = f"{ws.root.parent.name}/{ws.root.name}"
    said = heard(told, "pictures to review", folder)
    assert f"{web}/w/{ws.id}/batches/{batch.id}" in said
    assert f"{batch.candidates().header.rows} pictures to review." in said
    _refuse_nameless(stack, run, batch)
    submit(batch, "approve", who="ada", undecided="suggested", confirm=True)  # a look for work left lying finds it
    said = heard(told, "a new model is in use", folder, "held-out pictures")
    assert f"{web}/w/{ws.id}/reports/{ws.promoted()}" in said


def _refuse_nameless(stack: Running, run: FlowRun, batch: Batch) -> None:
    form = {"decision": "approve", "reviewer": "", "note": "", "undecided": "keep", "keep": [], "confirm": True}
    answer = stack.post(f"/flow_runs/{run.id}/resume", {"run_input": form})
    assert answer.json()["status"] == "REJECT"
    assert stack.prefect.state(run).waits
    assert load_batch(batch.ws, batch.id).status == BatchStatus.OPEN


def test_a_killed_run_and_then_a_failed_one_are_told_of_once_each(
    stack: Running, told: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Killed while it waits for the data set; taken up again, its gate fails, for there are too few pictures."""
    ws = Workspace.create(tmp_path / "few", "few")
    form = {"name": "few", "classes": folders(tmp_path / "pictures", per_class=3), "epochs": 0}
    parameters = {"workspace": str(ws.root), "dataset": form}
    with ws.lock("flow-build"):  # as a run of long duration holds it
        run = stack.prefect.start_deployment("pipeline/pipeline", parameters)
        wait_for(lambda: ws.root in flow_runs(stack.ws.root).values(), "the run's process")
        for pid, root in flow_runs(stack.ws.root).items():
            if root == ws.root:
                os.kill(pid, signal.SIGKILL)
        name = f"pipeline {ws.root.parent.name}/{ws.root.name}"
        assert "is Crashed" in heard(told, "a run failed", name)
    wait_for(lambda: stack.prefect.state(run).type == "FAILED", "the run to be taken up again and to fail")
    assert "min_images_per_class" in stack.prefect.state(run).message
    said = heard(told, "a run failed", name, "is Failed")
    assert f"{stack.state['ui_url']}/" in said
    assert run.id in said
    told_of = [t["text"] for t in told if f"{name} " in t["text"] and "is Failed" in t["text"]]
    assert len(told_of) == 1  # not once more for the flow within it


@pytest.mark.parametrize("where", ["slack", "ftp://a.example/b", "https://", "12345"])
def test_what_is_no_address_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setenv("KEEPSET_NOTIFY", where)  # as `keepset up --notify` hands it on
    with pytest.raises(SystemExit) as e:
        command.main(["up", "--workspace", str(tmp_path / "ws"), "--json"])
    assert e.value.code == 2
    assert repr(where) in json.loads(capsys.readouterr().out)["message"]
    assert not (tmp_path / "ws").exists()
