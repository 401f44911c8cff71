"""The supervisor: refusals that need no server, and what it does when a part dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deployments.automations import automations
from deployments.parts import Part, marked
from deployments.stack import Stack
from keepset.errors import OrchestratorError, WorkspaceBusy
from keepset.files import read_json
from keepset.orchestrator import is_running
from keepset.status import collect
from keepset.workspace import Workspace
from tests.stack_fixtures import CHECKOUT, start, wait_for


def test_a_taken_port_is_named_with_the_option_that_changes_it(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "empty")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(OrchestratorError, match=f"Port {port} .*taken") as caught,
            Stack(ws.root, port, 0),
        ):
            pass
    assert "--prefect-port" in str(caught.value)
    assert not (ws.root / "stack.json").exists()
    with ws.lock("stack", wait=False):  # the failed start let go of it
        pass


def test_two_stacks_on_one_workspace_exclude_each_other(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "empty")
    with ws.lock("stack"), pytest.raises(WorkspaceBusy, match=r"runs for .* already"), Stack(ws.root, 0, 0):
        pass


def test_down_where_nothing_runs_changes_nothing(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "empty")
    done = _stack("down", ws)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"ok": True, "changed": False})


def test_automations_are_three_and_template_no_words_of_others() -> None:
    from uuid import UUID

    found = automations(UUID(int=1), hours=5)
    assert len({a.name for a in found}) == 3
    text = json.dumps([a.model_dump(mode="json") for a in found])
    assert "payload" not in text
    assert '"within": 18000.0' in text


@pytest.mark.prefect
def test_nightly_runs_are_planned_a_killed_part_comes_back_and_down_ends_all(tmp_path: Path) -> None:
    running = start(Workspace.create(tmp_path / "ws", "empty"), cron="0 3 * * *")
    try:
        wait_for(lambda: running.prefect.runs(["SCHEDULED"]), "the nightly runs to be planned", 60)
        path = running.ws.root / "stack.json"
        old = read_json(path)["pids"]
        os.kill(old["web"], signal.SIGKILL)
        wait_for(lambda: read_json(path)["pids"]["web"] != old["web"], "the gallery to come back", 30)
        new = read_json(path)["pids"]
        assert {k: v for k, v in new.items() if k != "web"} == {k: v for k, v in old.items() if k != "web"}
        assert json.loads(_stack("down", running.ws).stdout) == {"ok": True, "changed": True}
        wait_for(lambda: running.process.poll() is not None, "the supervisor to end", 30)
        assert running.process.returncode == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in new.values())
    finally:
        running.stop()


def _stack(verb: str, ws: Workspace) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deployments.command", verb, "--workspace", str(ws.root), "--json"]
    return subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, timeout=60, check=False)


@pytest.mark.prefect
@pytest.mark.skipif(sys.platform != "linux", reason="finds the stack's processes in /proc")
def test_ctrl_c_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "empty")
    command = [
        sys.executable,
        "-m",
        "keepset",
        "up",
        "-w",
        str(ws.root),
        "--prefect-port",
        "0",
        "--web-port",
        "0",
    ]
    process = subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_for(lambda: marked(ws.root), "the server to be started", 60)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, marked(ws.root)) == (0, set())
    assert "Stopped." in said
    assert "Traceback" not in said
    assert not is_running(ws.root)


def test_a_stack_that_was_killed_is_no_stack(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "empty")
    (ws.root / "stack.json").write_text(json.dumps({"web_url": "http://127.0.0.1:1", "pid": os.getpid()}))
    assert collect(ws)["stack"] is None
    assert json.loads(_stack("down", ws).stdout) == {"ok": True, "changed": False}  # and this process lives
    assert not (ws.root / "stack.json").exists()


def test_a_part_that_lived_long_comes_back_at_once(tmp_path: Path) -> None:
    part = Part("brief", [sys.executable, "-c", ""], tmp_path / "log")
    part.launch(dict(os.environ))
    assert part.process is not None
    part.process.wait(30)
    part.ended, part.since = 4, part.since - 1000  # it ended four times before, and then lived for long
    before = time.monotonic()
    assert not part.keep_alive(dict(os.environ))
    assert part.ended == 1
    assert before + 1 <= part.again_at <= time.monotonic() + 1
