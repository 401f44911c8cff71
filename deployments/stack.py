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
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from deployments.parts import MARK, NIGHTLY, SILENT_S, Part, end_left_overs, tail
from deployments.reconcile import reconcile, revive
from deployments.supervision import Supervision
from keepset.cli import output
from keepset.errors import OrchestratorError, WorkspaceBusy
from keepset.files import write_json, write_secret
from keepset.machine.programs import environment, program, spell
from keepset.orchestrator import Orchestrator, login_file
from keepset.orchestrator.names import SERVED, FlowName, deployment_of
from keepset.settings import settings
from keepset.storage import scratch
from keepset.workspace import Workspace

__all__ = ["READY_S", "EmbeddedStack", "answers", "hold_stack"]

READY_S = 120.0


@dataclass
class EmbeddedStack:
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

    def __enter__(self) -> EmbeddedStack:
        self.ws = Workspace.open(self.root)
        self._hold = contextlib.ExitStack()
        self._hold.enter_context(hold_stack(self.ws))
        self._ready, self._stop = threading.Event(), threading.Event()
        self._trouble: Exception | None = None
        self._thread = threading.Thread(target=self._live, name="supervisor", daemon=True)
        self._thread.start()
        try:
            while not self._ready.wait(0.2):
                if self.asked():
                    output.say("Stopping ...")
                    raise KeyboardInterrupt
            if self._trouble:
                raise self._trouble
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(FileNotFoundError):
            (scratch(self.root) / "stack.json").unlink()
        self._hold.close()

    # -- the thread that owns the parts ------------------------------------------------------------

    def _live(self) -> None:
        try:
            watch = self._start()
            self._ready.set()
            while not self._stop.wait(1.0):
                watch.tend()
            watch.stop.set()
        except _Stopped:
            pass
        except Exception as e:  # told by the thread that waits
            self._trouble = e
        finally:
            for part in reversed(self.parts):
                part.terminate()
            if self.parts:
                end_left_overs(self.root)
            self._ready.set()

    def _start(self) -> Supervision:
        end_left_overs(self.root)  # of a stack that was killed; they may hold the ports, and are taken up again below
        self.prefect_port = _port(self.prefect_port, "Prefect server", "--prefect-port")
        self.web_port = _port(self.web_port, "gallery", "--web-port")
        self._make_login()
        self.prefect = Orchestrator(self.api_url, self.ws)
        self.parts = self._make_parts()
        watch = Supervision(
            self.parts, self._environment, lambda: reconcile(self.ws, self.prefect), self._write_state,
            settings().reconcile_s,
        )  # fmt: skip
        server, runner, web = self.parts
        for part in self.parts:  # the runner loads for seconds, and waits for its turn
            part.launch(self._environment())
        self._until_healthy(server)
        if not self.cron:  # else that of an earlier start would go on
            self.prefect.unschedule(deployment_of(FlowName.BUILD_DATASET), NIGHTLY)
        for line in revive(self.ws, self.prefect):
            output.say(f"  {line}")
        runner.begin()
        watch.tell()
        for part in (runner, web):
            self._until_healthy(part)
        watch.tell()
        watch.looker.start()
        return watch

    def _until_healthy(self, part: Part) -> None:
        """Wait until the part was seen to do its work, since this very start."""
        deadline = time.monotonic() + READY_S
        while not part.healthy_at:
            if self._stop.is_set():
                raise _Stopped
            if not part.runs or time.monotonic() > deadline:
                how = f"was not ready after {READY_S:.0f} s" if part.runs else "ended at once"
                raise OrchestratorError(f"The {part.name} {how}:\n{tail(part.log)}", f"Its log: {part.log}")
            time.sleep(0.2)
            part.look()

    def _make_parts(self) -> list[Part]:
        logs = scratch(self.root) / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        server = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.prefect_port)]
        runner = ["deployments.serve", "--when-told", "--workspace", str(self.root)]
        runner += ["--cron", self.cron] if self.cron else []
        web = ["keepset", "web", "-w", str(self.root), "--host", "127.0.0.1", "--port", str(self.web_port)]
        return [
            Part(name, program(*words), logs / f"{name}.log", check, waits=name == "runner")
            for name, words, check in (
                ("prefect-server", server, lambda part: self.prefect.healthy()),
                ("runner", runner, self._polls),
                ("web", web, lambda part: answers(self.web_port)),
            )
        ]

    def _polls(self, runner: Part) -> bool:
        """Whether the runner has asked for runs of all its deployments lately, and since it was started."""
        asked = self.prefect.last_polled(SERVED)
        recent = datetime.now(UTC) - timedelta(seconds=SILENT_S)
        return asked is not None and asked > max(runner.launched_at or recent, recent)

    def _make_login(self) -> None:
        write_secret(login_file(self.root), f"keepset:{secrets.token_urlsafe(18)}\n")

    def _write_state(self, health: Mapping[str, Mapping[str, Any]]) -> None:
        state = {
            "api_url": self.api_url, "ui_url": self.ui_url, "web_url": self.web_url, "pid": os.getpid(),
            "pids": {p.name: p.process.pid for p in self.parts if p.process}, "parts": health,
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        write_json(scratch(self.root) / "stack.json", state)

    def _environment(self) -> dict[str, str]:
        home = scratch(self.root) / "prefect"
        ours = {
            MARK: str(self.root),
            "PREFECT_HOME": str(home),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self.database or f"sqlite+aiosqlite:///{home / 'prefect.db'}",
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
            # A second retraining waits for the first; by default it would look again after half a minute only.
            "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
            "PREFECT_RUNNER_SERVER_ENABLE": "false",
            "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
            # Waits of 2, 4, ... 64 seconds: a server that is away for two minutes stops no run.
            "PREFECT_CLIENT_MAX_RETRIES": "6",
            "PREFECT_CLI_PROMPT": "false",
            "PYTHONUNBUFFERED": "1",
        }
        here = {k: v for k, v in environment().items() if not k.startswith("PREFECT_")}
        return here | _past_the_proxy(here) | ours


class _Stopped(Exception):
    """The stack was asked to stop while it started."""


def _past_the_proxy(here: Mapping[str, str]) -> dict[str, str]:
    """A company's proxy (HTTP_PROXY) is for the web: the parts reach each other directly."""
    given = ",".join(filter(None, (here.get("NO_PROXY"), here.get("no_proxy"), "127.0.0.1,localhost,::1")))
    return {"NO_PROXY": given, "no_proxy": given}


@contextlib.contextmanager
def hold_stack(ws: Workspace) -> Iterator[None]:
    """One stack a workspace. Raises ``WorkspaceBusy``."""
    with contextlib.ExitStack() as held:
        for patience in (0.3, 0.3, 0):  # who only asks whether a stack runs holds it for a moment
            try:
                held.enter_context(ws.lock("stack", wait=False))
                break
            except WorkspaceBusy as e:
                if not patience:
                    raise WorkspaceBusy(
                        f"A stack runs for {ws.root} already.",
                        f"`{spell('keepset', 'status', '-w', ws.root)}` shows it; "
                        f"`{spell('keepset', 'down', '-w', ws.root)}` stops it.",
                    ) from e
                time.sleep(patience)
        yield


def _port(wanted: int, what: str, option: str) -> int:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", wanted))
        except OSError as e:
            raise OrchestratorError(
                f"Port {wanted} for the {what} is taken.", f"Choose another with {option}, or 0 for a free one."
            ) from e
        return int(s.getsockname()[1])


def answers(port: int) -> bool:
    """Whether a web server on loopback answers there, within three seconds."""
    with contextlib.suppress(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=3, trust_env=False)
        return True
    return False
