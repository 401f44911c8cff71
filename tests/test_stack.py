"""The supervisor: refusals that need no server, and what it does when a part dies."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments import command
from deployments.automations import automations
from deployments.parts import NIGHTLY, Part, marked
from deployments.stack import EmbeddedStack
from deployments.supervision import Supervision
from keepset.errors import OrchestratorError, WorkspaceBusy
from keepset.files import read_json
from keepset.orchestrator import Orchestrator, is_running
from keepset.orchestrator.names import SERVED
from keepset.status import collect
from keepset.workspace import Workspace
from tests.installing_fixtures import installed
from tests.processes import PATIENCE_S
from tests.stack_fixtures import Running, start, wait_for, waiting_workspace


def test_a_taken_port_is_named_with_the_option_that_changes_it(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "empty")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OrchestratorError, match=f"Port {port} .*taken") as caught, EmbeddedStack(ws.root, port, 0):
            pass
    assert "--prefect-port" in str(caught.value)
    assert not (ws.root / "stack.json").exists()
    with ws.lock("stack", wait=False):  # the failed start let go of it
        pass


def test_two_stacks_on_one_workspace_exclude_each_other(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "empty")
    with ws.lock("stack"), pytest.raises(WorkspaceBusy, match=r"runs for .* already"), EmbeddedStack(ws.root, 0, 0):
        pass


def test_automations_are_three_and_template_no_words_of_others() -> None:
    from uuid import UUID

    found = automations(UUID(int=1))
    assert len({a.name for a in found}) == 3
    text = json.dumps([a.model_dump(mode="json") for a in found])
    assert "payload" not in text


@pytest.mark.prefect
def test_the_wheel_plans_nightly_runs_reviews_brings_a_killed_part_back_and_ends_all(
    wheel: Path, hostile: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a folder with modules of our names, behind a company's proxy that reaches nothing here."""
    proxy = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9")
    keepset = installed(wheel, tmp_path_factory.mktemp("prefect"))
    ws = waiting_workspace(hostile / "work")
    running = start(ws, cron="0 3 * * *", environment=proxy, program=[str(keepset)], cwd=hostile)
    try:
        _, batch = running.review()  # through flows and tasks
        assert batch.candidates().rows()
        wait_for(lambda: running.prefect.runs(["SCHEDULED"]), "the nightly runs to be planned")
        path = running.ws.root / "stack.json"
        assert {k: p["state"] for k, p in read_json(path)["parts"].items()} == {
            "prefect-server": "ok", "runner": "ok", "web": "ok", "upkeep": "ok",
        }  # fmt: skip
        assert running.prefect.last_polled(SERVED) is not None
        assert running.prefect.last_polled([*SERVED, "unknown"]) is None
        running.prefect.unschedule("build_dataset/build_dataset", NIGHTLY)
        wait_for(lambda: not running.prefect.runs(["SCHEDULED"]), "the schedule to be gone")
        old = read_json(path)["pids"]
        wait_for(lambda: _held_at_a_death(running, "web"), "its death to be reported")
        assert [t for t in collect(running.ws)["trouble"] if re.search(r"web (has )?ended .*\(exit code -9\)", t)]
        running.process.send_signal(signal.SIGCONT)
        wait_for(lambda: read_json(path)["pids"]["web"] != old["web"], "the gallery to come back")
        wait_for(lambda: not collect(running.ws)["trouble"], "it to be healthy again")
        new = read_json(path)["pids"]
        assert {k: v for k, v in new.items() if k != "web"} == {k: v for k, v in old.items() if k != "web"}
        assert _down(running.ws, capsys) == {"ok": True, "changed": True}
        wait_for(lambda: running.process.poll() is not None, "the supervisor to end")
        assert running.process.returncode == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in new.values())
    finally:
        running.process.send_signal(signal.SIGCONT)
        running.stop()


def _held_at_a_death(running: Running, part: str) -> bool:
    """Kill a part until its death is written down, for longer each time; the supervisor is then stopped at that."""

    def state() -> str:
        return str(read_json(running.ws.root / "stack.json")["parts"][part]["state"])

    if state() == "ended":
        running.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, running.process.pid, os.WSTOPPED)
        if state() == "ended":  # it has not brought it back meanwhile
            return True
        running.process.send_signal(signal.SIGCONT)
    found = read_json(running.ws.root / "stack.json")
    with contextlib.suppress(ProcessLookupError):
        os.kill(found["pids"][part], signal.SIGKILL)
    return False


def _down(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> Any:
    command.main(["down", "--workspace", str(ws.root), "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.mark.prefect
@pytest.mark.skipif(sys.platform != "linux", reason="finds the stack's processes in /proc")
def test_ctrl_c_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "empty")
    for name in ("tasks", "flows", "deployments"):  # a user's own modules of these names are none of ours
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    code = "from keepset.cli import main; main()"
    ports = ["--prefect-port", "0", "--web-port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, "up", "-w", str(ws.root), *ports], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_for(lambda: marked(ws.root), "the server to be started")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, marked(ws.root)) == (0, set())
    assert "Stopped." in said
    assert "Traceback" not in said
    assert not is_running(ws.root)


def test_a_stack_that_was_killed_is_no_stack_and_down_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ws = Workspace.create(tmp_path / "ws", "empty")
    for left in ({"web_url": "http://127.0.0.1:1", "pid": os.getpid()}, None):
        if left:
            (ws.root / "stack.json").write_text(json.dumps(left))
        assert collect(ws)["stack"] is None
        assert _down(ws, capsys) == {"ok": True, "changed": False}  # and this process lives
        assert not (ws.root / "stack.json").exists()


def test_a_part_that_lived_long_comes_back_at_once(tmp_path: Path) -> None:
    part = Part("brief", [sys.executable, "-c", ""], tmp_path / "log")
    part.launch(dict(os.environ))
    part.process.wait(PATIENCE_S)
    part.ended, part.since = 4, part.since - 1000  # it ended four times before, and then lived for long
    before = time.monotonic()
    assert not part.keep_alive(dict(os.environ))
    assert part.ended == 1
    assert before + 1 <= part.again_at <= time.monotonic() + 1


def test_a_part_that_keeps_dying_is_reported_and_the_watch_outlives_what_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.parts.BACK_OFF_S", (0,))
    log = tmp_path / "dying.log"
    dying = Part("dying", [sys.executable, "-c", "raise SystemExit(3)"], log)
    missing = Part("missing", ["/nowhere/to/be/found"], log)
    told: list[dict[str, Any]] = []
    watch = Supervision([dying, missing], lambda: dict(os.environ), list, lambda h: told.append(dict(h)))
    dying.launch(dict(os.environ))
    missing.process = dying.process  # it ran once, and its program is gone since
    wait_for(lambda: watch.tend() or dying.ended >= 3, "it to die three times", every_s=0.05)
    words = told[-1]["dying"]["words"]
    assert "dying has ended" in words or "dying ended" in words
    assert "exit code 3" in words
    assert str(log) in words
    assert "Starting missing again failed: FileNotFoundError" in capsys.readouterr().err


def test_a_look_that_hangs_delays_no_restart_and_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.supervision.HANGS_S", 0.2)
    hangs, told = threading.Event(), []
    watch = Supervision([], dict, lambda: [str(hangs.wait(PATIENCE_S))], lambda h: told.append(dict(h)))
    watch.began = time.monotonic() - 1
    watch.tend()
    assert "has hung" in told[-1]["upkeep"]["words"]
    hangs.set()


def test_a_runner_is_ready_only_when_this_start_has_seen_it_ask_for_runs(tmp_path: Path) -> None:
    """An old database holds the deployments already, and when they were last asked for."""
    stack = EmbeddedStack(Workspace.create(tmp_path / "ws", "empty").root)

    class Server(Orchestrator):
        def last_polled(self, names: object) -> datetime | None:
            return datetime.now(UTC) - timedelta(seconds=5)

    stack.prefect = Server("http://127.0.0.1:9", None)
    runner = Part("runner", [], tmp_path / "log", launched_at=datetime.now(UTC) - timedelta(seconds=9))
    assert stack._polls(runner)
    runner.launched_at = datetime.now(UTC)
    assert not stack._polls(runner)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--cron", "0 25 * * *"), "--cron '0 25 * * *' is not a schedule"),
        (("--cron", ""), "five fields"),
        (("--prefect-port", "8000", "--web-port", "8000"), "cannot both have port 8000"),
        (("--database", "postgresql://me:secret@db/x"), "postgresql+asyncpg://me:***@db/x"),
        (("--database", "mysql://db/x"), "'mysql'"),
        (("--database", "nonsense"), "not given as a URL"),
    ],
)
def test_options_that_a_part_would_die_of_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit) as e:
        command.main(["up", "--workspace", str(tmp_path / "ws"), *options])
    told = capsys.readouterr().err
    assert e.value.code == 2
    assert said in told
    assert "secret" not in told
    assert not (tmp_path / "ws").exists()


def test_all_that_is_served_is_waited_for(tmp_path: Path) -> None:
    from deployments.serve import deployments

    ws = Workspace.create(tmp_path / "ws", "empty")
    served = deployments(ws, "0 3 * * *")
    assert tuple(d.name for d in served) == SERVED
    assert [s.slug for d in served for s in d.schedules or ()] == [NIGHTLY]
