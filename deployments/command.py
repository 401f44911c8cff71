"""``keepset up`` and ``down``: the stack as a command, in front or in the background.

python -m deployments.command up|down --workspace DIR
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deployments.options import check
from deployments.parts import CHECKOUT, tail
from deployments.stack import READY_S, EmbeddedStack, hold_stack
from keepset.cli import output
from keepset.errors import KeepsetError, OrchestratorError
from keepset.files import read_json
from keepset.machine.programs import environment, program, spell
from keepset.orchestrator import is_running, login_file
from keepset.settings import settings
from keepset.storage import locate, scratch
from keepset.workspace import Workspace

__all__ = ["main"]

STOP_S = 60.0


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="keepset", description=__doc__)
    parser.add_argument("verb", choices=["up", "down"])
    parser.add_argument("--workspace", type=locate, required=True)
    parser.add_argument("--prefect-port", type=int, default=4200)
    parser.add_argument("--web-port", type=int, default=8765)
    parser.add_argument("--cron", help="build the data set on this schedule, e.g. '0 3 * * *'")
    parser.add_argument("--database", help="SQLAlchemy URL for Prefect")
    parser.add_argument("--detach", action="store_true")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(argv)
    try:
        options.database = settings().database if options.database is None else options.database
        {"up": _up, "down": _down}[options.verb](options)
    except KeepsetError as e:
        output.fail(e, as_json=options.as_json)
        sys.exit(e.exit_code)


def _up(options: argparse.Namespace) -> None:
    check(options)
    root = _workspace(options.workspace)
    if options.detach:
        _detach(root, options)
        return
    output.say("Starting Prefect server, flow runner and gallery ...")
    asked = _listen()
    with (
        contextlib.suppress(KeyboardInterrupt),
        EmbeddedStack(root, options.prefect_port, options.web_port, options.cron, options.database, asked) as stack,
    ):
        _announce(stack.ws, stack.login, options.as_json)
        while not asked():
            time.sleep(0.2)
        output.say("Stopping ...")
    output.say("Stopped.")


def _workspace(path: Path) -> Path:
    """The workspace's folder; a new one is made, so that a first data set can be started from Prefect's UI."""
    return Workspace.create(path, path.resolve().name).root


def _announce(ws: Workspace, login: str, as_json: bool, how: str = "Ctrl-C") -> None:
    state = read_json(ws.scratch / "stack.json")
    if as_json:
        print(json.dumps({"ok": True, **state}), flush=True)
        return
    print(f"Gallery:    {state['web_url']}", flush=True)
    print(f"Prefect UI: {state['ui_url']}   login: {login}", flush=True)
    print(f"Logs:       {ws.scratch / 'logs'}\n{how} stops all.", flush=True)


def _listen() -> Callable[[], bool]:
    """Whether there was a Ctrl-C or a SIGTERM yet.

    Nothing is raised in the handler, wherever the program is just then: an exception would end a module half imported,
    and one that passes through ``exec`` makes Python end by the signal, though it was caught.
    """
    signs: list[int] = []
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda number, _: signs.append(number))
    return lambda: bool(signs)


def _detach(root: Path, options: argparse.Namespace) -> None:
    with hold_stack(Workspace.open(root)):
        pass  # nobody runs one: the one started below will hold it
    command = program("deployments.command", "up", "--workspace", str(root))
    command += ["--prefect-port", str(options.prefect_port), "--web-port", str(options.web_port)]
    command += ["--cron", options.cron] if options.cron else []
    command += ["--database", options.database] if options.database else []
    log = scratch(root) / "logs" / "stack.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            cwd=CHECKOUT,
            env=environment(),
        )
    deadline = time.monotonic() + READY_S
    while not _announced(root, process.pid):
        if process.poll() is not None or time.monotonic() > deadline:
            raise OrchestratorError(f"The stack did not start:\n{tail(log)}", f"Its log: {log}")
        time.sleep(0.3)
    login = login_file(root).read_text(encoding="utf-8").strip()
    _announce(Workspace.open(root), login, options.as_json, spell("keepset", "down", "-w", root))


def _announced(root: Path, pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, KeyError):
        state = read_json(scratch(root) / "stack.json")
        parts = state["parts"]
        return state["pid"] == pid and "web" in state["pids"] and all(p["state"] == "ok" for p in parts.values())
    return False


def _down(options: argparse.Namespace) -> None:
    root = Workspace.open(options.workspace).root
    path = scratch(root) / "stack.json"
    running = is_running(root)
    if running:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(read_json(path)["pid"]), signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while is_running(root) and time.monotonic() < deadline:
            time.sleep(0.2)
        if is_running(root):
            raise OrchestratorError(
                f"The stack did not stop within {STOP_S:.0f} s.", f"Its log: {scratch(root) / 'logs' / 'stack.log'}"
            )
    path.unlink(missing_ok=True)  # a stack that was killed could not take it away
    words = "Stopped." if running else "No stack was running here."
    print(json.dumps({"ok": True, "changed": running}) if options.as_json else words)


if __name__ == "__main__":
    main()
