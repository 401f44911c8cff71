"""The embedded stack: Prefect server, flow runner and gallery on loopback, as one supervised group.

    python -m deployments.stack up|down|status --workspace DIR      (or: keepset up|down|status)

Prefect's database, logs and login stay in the workspace. Parts that crash are started again; Ctrl-C, ``down`` or the
death of the supervisor ends them all. What a kill left lying is taken up at the next start.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from deployments.reconcile import reconcile, revive
from keepset.cli import output
from keepset.errors import KeepsetError, OrchestratorError, WorkspaceBusy
from keepset.files import read_json, write_bytes, write_json
from keepset.orchestrator import Orchestrator, login_file
from keepset.workspace import Workspace

__all__ = ["Stack", "main"]

READY_S = 120.0
RECONCILE_S = 60.0
_BACK_OFF_S = (1, 2, 5, 15, 30)


@dataclass
class Part:
    """One process of the stack, and how to start it again."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    again_at: float = 0.0


@dataclass
class Stack:
    """A context manager: entered, everything runs and is ready; left, everything is stopped.

    Raises ``WorkspaceBusy`` if a stack runs for this workspace already, ``OrchestratorError`` if a port is taken or a
    part does not start.
    """

    root: Path
    prefect_port: int = 4200
    web_port: int = 8765
    cron: str | None = None
    parts: list[Part] = field(default_factory=list)

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.prefect_port}/api"

    @property
    def ui_url(self) -> str:
        return f"http://127.0.0.1:{self.prefect_port}"

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def login(self) -> str:
        return login_file(self.root).read_text(encoding="utf-8").strip()

    def __enter__(self) -> Stack:
        self.ws = Workspace.open(self.root)
        self._hold = contextlib.ExitStack()
        self._hold.enter_context(_hold_stack(self.ws))
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    # -- start and stop ----------------------------------------------------------------------------

    def _start(self) -> None:
        self.prefect_port = _port(self.prefect_port, "Prefect server", "--prefect-port")
        self.web_port = _port(self.web_port, "gallery", "--web-port")
        self._make_login()
        logs = self.root / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        python = sys.executable
        server = [
            python,
            "-m",
            "prefect",
            "server",
            "start",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.prefect_port),
        ]
        runner = [python, "-m", "deployments.serve", "--workspace", str(self.root)]
        runner += ["--cron", self.cron] if self.cron else []
        web = [
            python,
            "-m",
            "keepset",
            "web",
            "-w",
            str(self.root),
            "--host",
            "127.0.0.1",
            "--port",
            str(self.web_port),
        ]
        self.parts = [
            Part("prefect-server", server, logs / "prefect-server.log"),
            Part("runner", runner, logs / "runner.log"),
            Part("web", web, logs / "web.log"),
        ]
        self.prefect = Orchestrator(self.api_url, self.ws)
        self._launch(self.parts[0])
        self._until(self.prefect.healthy, self.parts[0])
        for line in revive(self.ws, self.prefect):
            output.say(f"  {line}")
        self._write_state()
        for part in self.parts[1:]:
            self._launch(part)
        self._until(self._serving, self.parts[1])
        self._until(lambda: _answers(self.web_port), self.parts[2])
        self._write_state()
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._supervise, daemon=True)
        self._watch.start()

    def _end(self) -> None:
        if hasattr(self, "_stop"):
            self._stop.set()
            self._watch.join(timeout=10)
        for part in reversed(self.parts):
            _terminate(part)
        with contextlib.suppress(FileNotFoundError):
            (self.root / "stack.json").unlink()
        self._hold.close()

    def _make_login(self) -> None:
        path = login_file(self.root)
        if not path.exists():
            write_bytes(path, f"keepset:{secrets.token_urlsafe(18)}\n".encode())
        path.chmod(0o600)

    def _write_state(self) -> None:
        state = {
            "api_url": self.api_url, "ui_url": self.ui_url, "web_url": self.web_url, "pid": os.getpid(),
            "pids": {p.name: p.process.pid for p in self.parts if p.process},
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        write_json(self.root / "stack.json", state)

    def _environment(self) -> dict[str, str]:
        here = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        home = self.root / "prefect"
        return here | {
            "PREFECT_HOME": str(home),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
            "PREFECT_API_URL": self.api_url,
            "PREFECT_UI_API_URL": self.api_url,
            "PREFECT_SERVER_API_AUTH_STRING": self.login,
            "PREFECT_API_AUTH_STRING": self.login,
            # Without this any page in the reviewer's browser could drive the API.
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": self.ui_url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "GX_ANALYTICS_ENABLED": "false",
            "PREFECT_RUNNER_POLL_FREQUENCY": "2",
            "PREFECT_RUNNER_SERVER_ENABLE": "false",
            "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
            "PREFECT_CLI_PROMPT": "false",
            "PYTHONUNBUFFERED": "1",
        }

    # -- parts -------------------------------------------------------------------------------------

    def _launch(self, part: Part) -> None:
        log: IO[bytes]
        with part.log.open("ab") as log:
            part.process = subprocess.Popen(
                part.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=self._environment(),
                start_new_session=True, preexec_fn=_die_with_parent, cwd=_CHECKOUT,
            )  # fmt: skip

    def _until(self, ready: Any, part: Part) -> None:
        deadline = time.monotonic() + READY_S
        while not ready():
            died = part.process is None or part.process.poll() is not None
            if died or time.monotonic() > deadline:
                how = "ended at once" if died else f"was not ready after {READY_S:.0f} s"
                raise OrchestratorError(f"The {part.name} {how}:\n{_tail(part.log)}", f"Its log: {part.log}")
            time.sleep(0.2)

    def _serving(self) -> bool:
        try:
            return len(self.prefect.deployments()) >= 5
        except OrchestratorError:
            return False

    def _supervise(self) -> None:
        next_look = time.monotonic() + 5.0
        while not self._stop.wait(1.0):
            for part in self.parts:
                self._keep_alive(part)
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + RECONCILE_S
                with contextlib.suppress(KeepsetError):  # looked at again in a minute
                    for line in reconcile(self.ws, self.prefect):
                        output.say(f"  {line}")

    def _keep_alive(self, part: Part) -> None:
        if part.process is None or part.process.poll() is None:
            return
        now = time.monotonic()
        if part.again_at == 0.0:
            wait = _BACK_OFF_S[min(part.restarts, len(_BACK_OFF_S) - 1)]
            output.say(
                f"  {part.name} ended (exit code {part.process.returncode}); starting it again in {wait} s"
            )
            part.again_at = now + wait
        elif now >= part.again_at:
            part.restarts, part.again_at = part.restarts + 1, 0.0
            self._launch(part)
            self._write_state()


@contextlib.contextmanager
def _hold_stack(ws: Workspace) -> Iterator[None]:
    """One stack a workspace. Raises ``WorkspaceBusy``."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(ws.lock("stack", wait=False))
        except WorkspaceBusy as e:
            raise WorkspaceBusy(
                f"A stack runs for {ws.root} already.", "`keepset status` shows it; `keepset down` stops it."
            ) from e
        yield


_CHECKOUT = Path(__file__).resolve().parents[1]


def _die_with_parent() -> None:
    """On Linux the kernel ends a part when its supervisor dies, kill -9 included (prctl PR_SET_PDEATHSIG)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6", use_errno=True).prctl(1, signal.SIGTERM)


def _terminate(part: Part) -> None:
    """Ask the whole process group to end, then insist."""
    if part.process is None:
        return
    for sign, wait in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(part.process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            part.process.wait(wait)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(part.process.pid, signal.SIGKILL)  # what the part itself had started


def _port(wanted: int, what: str, option: str) -> int:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", wanted))
        except OSError as e:
            raise OrchestratorError(
                f"Port {wanted} for the {what} is taken.",
                f"Choose another with {option}, or 0 for a free one.",
            ) from e
        return int(s.getsockname()[1])


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _tail(path: Path, lines: int = 15) -> str:
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


# -- the command -----------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="keepset", description=__doc__)
    parser.add_argument("verb", choices=["up", "down", "status"])
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--prefect-port", type=int, default=4200)
    parser.add_argument("--web-port", type=int, default=8765)
    parser.add_argument("--cron", help="build the data set on this schedule, e.g. '0 3 * * *'")
    parser.add_argument("--detach", action="store_true")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(argv)
    try:
        {"up": _up, "down": _down, "status": _status}[options.verb](options)
    except KeepsetError as e:
        output.fail(e, as_json=options.as_json)
        sys.exit(e.exit_code)


def _up(options: argparse.Namespace) -> None:
    root = _workspace(options.workspace)
    if options.detach:
        _detach(root, options)
        return
    output.say("Starting Prefect server, flow runner and gallery ...")
    with Stack(root, options.prefect_port, options.web_port, options.cron) as stack, _until_told() as told:
        _announce(stack.ws, stack.login, options.as_json)
        told.wait()
        output.say("Stopping ...")


def _workspace(path: Path) -> Path:
    """The workspace's folder; a new one is made, so that a first data set can be started from Prefect's UI."""
    return Workspace.create(path, path.resolve().name).root


def _announce(ws: Workspace, login: str, as_json: bool, how: str = "Ctrl-C") -> None:
    state = read_json(ws.root / "stack.json")
    if as_json:
        print(json.dumps({"ok": True, **state}), flush=True)
        return
    print(f"Gallery:    {state['web_url']}", flush=True)
    print(f"Prefect UI: {state['ui_url']}   login: {login}", flush=True)
    print(f"Logs:       {ws.root / 'logs'}\n{how} stops all.", flush=True)


@contextlib.contextmanager
def _until_told() -> Iterator[threading.Event]:
    told = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: told.set())
    yield told


def _detach(root: Path, options: argparse.Namespace) -> None:
    with _hold_stack(Workspace.open(root)):
        pass  # nobody runs one: the one started below will hold it
    command = [sys.executable, "-m", "deployments.stack", "up", "--workspace", str(root)]
    command += ["--prefect-port", str(options.prefect_port), "--web-port", str(options.web_port)]
    command += ["--cron", options.cron] if options.cron else []
    log = root / "logs" / "stack.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd=_CHECKOUT
        )
    deadline = time.monotonic() + READY_S
    while not _announced(root, process.pid):
        if process.poll() is not None or time.monotonic() > deadline:
            raise OrchestratorError(f"The stack did not start:\n{_tail(log)}", f"Its log: {log}")
        time.sleep(0.3)
    login = login_file(root).read_text(encoding="utf-8").strip()
    _announce(Workspace.open(root), login, options.as_json, f"keepset down -w {root}")


def _announced(root: Path, pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, KeyError):
        state = read_json(root / "stack.json")
        return (
            state["pid"] == pid
            and "web" in state["pids"]
            and _answers(int(state["web_url"].rsplit(":", 1)[1]))
        )
    return False


def _down(options: argparse.Namespace) -> None:
    path = options.workspace / "stack.json"
    try:
        pid = int(read_json(path)["pid"])
        os.kill(pid, signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError):
        path.unlink(missing_ok=True)
        print(json.dumps({"ok": True, "changed": False}) if options.as_json else "No stack was running here.")
        return
    deadline = time.monotonic() + 40
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    print(json.dumps({"ok": True, "changed": True}) if options.as_json else "Stopped.")


def _status(options: argparse.Namespace) -> None:
    from keepset.status import collect

    output.document({"ok": True, **collect(Workspace.open(options.workspace))})


if __name__ == "__main__":
    main()
