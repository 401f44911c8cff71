"""The embedded stack: Prefect server, flow runner and gallery on loopback, as one supervised group.

``deployments/command.py`` starts it as a program: ``keepset up|down``.

Prefect's database, logs and login stay in the workspace. Parts that crash are started again; Ctrl-C, ``down`` or the
death of the supervisor ends them all. What a kill left lying is taken up at the next start.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from deployments.parts import MARK, Part, end_left_overs, tail
from deployments.reconcile import reconcile, revive
from keepset.cli import output
from keepset.errors import OrchestratorError, WorkspaceBusy
from keepset.files import write_json, write_secret
from keepset.orchestrator import Orchestrator, login_file
from keepset.storage import scratch
from keepset.workspace import Workspace

__all__ = ["READY_S", "Stack", "answers", "hold_stack"]

READY_S = 120.0
RECONCILE_S = 20.0


@dataclass
class Stack:
    """A context manager: entered, everything runs and is ready; left, everything is stopped.

    ``database`` is a SQLAlchemy URL for Prefect's own state; left out, it is SQLite in the workspace.
    ``asked`` says whether to give up while it starts. Raises ``WorkspaceBusy`` if a stack runs for this workspace
    already, ``OrchestratorError`` if a port is taken or a part does not start, ``KeyboardInterrupt`` if it was asked to
    give up.
    """

    root: Path
    prefect_port: int = 4200
    web_port: int = 8765
    cron: str | None = None
    database: str = ""
    asked: Callable[[], bool] = lambda: False
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
        self._hold.enter_context(hold_stack(self.ws))
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
        end_left_overs(
            self.root
        )  # of a stack that was killed; they may hold the ports, and are taken up again below
        self.prefect_port = _port(self.prefect_port, "Prefect server", "--prefect-port")
        self.web_port = _port(self.web_port, "gallery", "--web-port")
        self._make_login()
        self.parts = self._make_parts()
        self.prefect = Orchestrator(self.api_url, self.ws)
        server, runner, web = self.parts
        server.launch(self._environment())
        self._until(self.prefect.healthy, server)
        for line in revive(self.ws, self.prefect):
            output.say(f"  {line}")
        self._write_state()
        for part in (runner, web):
            part.launch(self._environment())
        self._until(self._serving, runner)
        self._until(lambda: answers(self.web_port), web)
        self._write_state()
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._supervise, daemon=True)
        self._watch.start()

    def _until(self, ready: Callable[[], bool], part: Part) -> None:
        deadline = time.monotonic() + READY_S
        while not ready():
            if self.asked():
                output.say("Stopping ...")
                raise KeyboardInterrupt
            if not part.runs or time.monotonic() > deadline:
                how = f"was not ready after {READY_S:.0f} s" if part.runs else "ended at once"
                raise OrchestratorError(f"The {part.name} {how}:\n{tail(part.log)}", f"Its log: {part.log}")
            time.sleep(0.2)

    def _make_parts(self) -> list[Part]:
        logs = scratch(self.root) / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        server = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.prefect_port)]
        runner = ["deployments.serve", "--workspace", str(self.root)]
        runner += ["--cron", self.cron] if self.cron else []
        web = ["keepset", "web", "-w", str(self.root), "--host", "127.0.0.1", "--port", str(self.web_port)]
        return [
            Part(name, [sys.executable, "-m", *module], logs / f"{name}.log")
            for name, module in (("prefect-server", server), ("runner", runner), ("web", web))
        ]

    def _end(self) -> None:
        if hasattr(self, "_stop"):
            self._stop.set()
            self._watch.join(timeout=10)
        for part in reversed(self.parts):
            part.terminate()
        if self.parts:
            end_left_overs(self.root)
        with contextlib.suppress(FileNotFoundError):
            (scratch(self.root) / "stack.json").unlink()
        self._hold.close()

    def _make_login(self) -> None:
        write_secret(login_file(self.root), f"keepset:{secrets.token_urlsafe(18)}\n")

    def _write_state(self) -> None:
        state = {
            "api_url": self.api_url, "ui_url": self.ui_url, "web_url": self.web_url, "pid": os.getpid(),
            "pids": {p.name: p.process.pid for p in self.parts if p.process},
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        write_json(scratch(self.root) / "stack.json", state)

    def _environment(self) -> dict[str, str]:
        here = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        home = scratch(self.root) / "prefect"
        return here | {
            MARK: str(self.root),
            "PREFECT_HOME": str(home),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self.database
            or f"sqlite+aiosqlite:///{home / 'prefect.db'}",
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
            # Waits of 2, 4, ... 64 seconds: a server that is away for two minutes stops no run.
            "PREFECT_CLIENT_MAX_RETRIES": "6",
            "PREFECT_CLI_PROMPT": "false",
            "PYTHONUNBUFFERED": "1",
        }

    # -- looking after them ------------------------------------------------------------------------

    def _serving(self) -> bool:
        try:
            return len(self.prefect.deployments()) >= 5
        except OrchestratorError:
            return False

    def _supervise(self) -> None:
        next_look = time.monotonic() + 5.0
        while not self._stop.wait(1.0):
            for part in self.parts:
                if part.keep_alive(self._environment()):
                    self._write_state()
            if time.monotonic() >= next_look:
                self._look_around()
                next_look = time.monotonic() + RECONCILE_S

    def _look_around(self) -> None:
        try:
            for line in reconcile(self.ws, self.prefect):
                output.say(f"  {line}")
        except OrchestratorError:
            pass  # the server is away: looked at again soon
        except Exception as e:  # whatever it is, it must not end the watch over the parts
            output.say(f"  The look for work left lying failed: {type(e).__name__}: {e}")


@contextlib.contextmanager
def hold_stack(ws: Workspace) -> Iterator[None]:
    """One stack a workspace. Raises ``WorkspaceBusy``."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(ws.lock("stack", wait=False))
        except WorkspaceBusy as e:
            raise WorkspaceBusy(
                f"A stack runs for {ws.root} already.", "`keepset status` shows it; `keepset down` stops it."
            ) from e
        yield


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


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
