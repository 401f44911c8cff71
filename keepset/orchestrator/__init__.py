"""A small client of Prefect's HTTP API: start a deployment, follow a run, put it back into the queue.

Plain httpx, so that the gallery, the command line and the demo need not import Prefect. Address and login come from
``stack.json`` and the login file that the embedded stack writes, or from Prefect's own environment variables.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from keepset.errors import KeepsetError, OrchestratorError, WorkspaceBusy, WorkspaceNotWritable
from keepset.files import read_json
from keepset.orchestrator.names import GOING, OVER, TAG, StateType, run_lock
from keepset.storage import StoredPath, locate, scratch
from keepset.workspace import Workspace

__all__ = ["FlowRun", "Orchestrator", "RunState", "connect", "is_of", "login_file"]

_TIMEOUT_S, _TRIES = 10.0, 3
_PAGE = 200
"""The most rows that Prefect's API gives in one answer."""
_FORGOTTEN = {
    "state": {"type": StateType.FORGOTTEN, "name": "Forgotten", "message": "The server does not know this run."}
}


@dataclass(frozen=True)
class FlowRun:
    id: str
    name: str


@dataclass(frozen=True)
class RunState:
    """A run's state: ``type`` is Prefect's (RUNNING, PAUSED, COMPLETED ...), ``name`` what people see."""

    type: str
    name: str
    message: str

    @property
    def over(self) -> bool:
        return self.type in OVER

    @property
    def waits(self) -> bool:
        return self.type == StateType.PAUSED

    @property
    def goes_on(self) -> bool:
        """Whether a process works on it, or is about to."""
        return self.type in GOING

    @property
    def failed(self) -> bool:
        return self.over and self.type != StateType.COMPLETED


def login_file(root: Path) -> Path:
    return scratch(root) / "prefect" / "login"


def is_running(root: Path) -> bool:
    """Whether a stack runs for the workspace at ``root``: it holds a lock, which the kernel frees if it is killed."""
    try:
        with Workspace.open(root).lock("stack", wait=False):
            return False
    except WorkspaceBusy:
        return True
    except WorkspaceNotWritable:
        return False  # a stack would have to write there


def is_worked_on(ws: Workspace, run_id: str) -> bool:
    """Whether a living process works on this flow run (it holds the run's lock; ``flows/runs.py``)."""
    path = ws.scratch / "locks" / f"{run_lock(run_id)}.lock"
    if not isinstance(ws.root, StoredPath) and not path.exists():  # on a bucket it may run on another machine
        return False
    try:
        with ws.lock(run_lock(run_id), wait=False):
            return False
    except WorkspaceBusy:
        return True


def is_of(ws: Workspace, run: Mapping[str, Any]) -> bool:
    """Whether a flow run, as Prefect tells of it, is on this workspace, however its folder was written."""
    name = str((run.get("parameters") or {}).get("workspace") or "")
    try:
        return bool(name) and locate(name) == ws.root
    except KeepsetError:
        return False


def connect(ws: Workspace) -> Orchestrator | None:
    """The server of the stack that runs this workspace, or of ``PREFECT_API_URL``; None if there is none."""
    try:  # what a killed stack left written counts for nothing
        url = str(read_json(ws.scratch / "stack.json")["api_url"]) if is_running(ws.root) else ""
    except (FileNotFoundError, KeyError):
        url = ""
    url = url or os.environ.get("PREFECT_API_URL", "")
    return Orchestrator(url, ws) if url else None


class Orchestrator:
    """Calls to one Prefect server. Raises ``OrchestratorError`` if it does not answer or refuses."""

    def __init__(self, api_url: str, ws: Workspace | None) -> None:
        """``ws`` is the workspace whose stack runs the server; None: the login comes from the environment."""
        self.api_url, self.ws = api_url.rstrip("/"), ws

    # -- runs --------------------------------------------------------------------------------------

    def start_deployment(self, name: str, parameters: dict[str, Any], idempotency_key: str | None = None) -> FlowRun:
        """Start ``flow/deployment``. With an idempotency key, asking again returns the same run."""
        body: dict[str, Any] = {"parameters": parameters, "state": {"type": StateType.SCHEDULED}}
        body["idempotency_key"] = idempotency_key or uuid4().hex  # an answer that is lost starts no second run
        run = self._call("POST", f"/deployments/{self.deployment_id(name)}/create_flow_run", body)
        return FlowRun(run["id"], run["name"])

    def deployment_id(self, name: str) -> str:
        return str(self._call("GET", f"/deployments/name/{name}")["id"])

    def knows(self, name: str) -> bool:
        """Whether ``flow/deployment`` is known there."""
        return bool(self._call("GET", f"/deployments/name/{name}", missing={}))

    def last_polled(self, names: Collection[str]) -> datetime | None:
        """When a runner last asked for runs of the one of these deployments that was asked for longest ago; None: one of
        them is unknown, was never asked for, or the server does not answer within three seconds."""
        try:
            answer = self._request("POST", "/deployments/filter", {"limit": _PAGE}, 3.0)
            found = {d["name"]: d.get("last_polled") for d in answer.raise_for_status().json()}
        except httpx.HTTPError:
            return None
        asked = [found.get(name) for name in names]
        return min(datetime.fromisoformat(a) for a in asked if a) if all(asked) else None

    def unschedule(self, name: str, slug: str) -> None:
        """Delete the schedule ``slug`` of ``flow/deployment``, if both are known."""
        found = self._call("GET", f"/deployments/name/{name}", missing={})
        for schedule in found.get("schedules") or ():
            if schedule.get("slug") == slug:
                self._call("DELETE", f"/deployments/{found['id']}/schedules/{schedule['id']}")

    def default_workspaces(self) -> list[str]:
        """The workspaces that deployments work on where nobody says otherwise."""
        found: set[str] = set()
        for offset in itertools.count(0, _PAGE):
            page = self._call("POST", "/deployments/filter", {"limit": _PAGE, "offset": offset})
            found.update(str((d.get("parameters") or {}).get("workspace") or "") for d in page)
            if len(page) < _PAGE:
                break
        return sorted(found - {""})

    def state(self, run: FlowRun) -> RunState:
        """Where the run is; ``FORGOTTEN`` if the server does not know it (its database was made anew)."""
        found = self._call("GET", f"/flow_runs/{run.id}", missing=_FORGOTTEN).get("state") or {}
        return RunState(found.get("type", "PENDING"), found.get("name", "Pending"), found.get("message") or "")

    def runs(self, states: Collection[str], limit: int = 50) -> list[dict[str, Any]]:
        """Flow runs in these state types, the newest first."""
        return self._runs({"state": {"type": {"any_": list(states)}}}, limit)

    def recent_runs(self, limit: int = 50) -> list[dict[str, Any]]:
        """Runs of Keepset's deployments that have begun or are due, in any state, the newest first.

        The look for work left lying carries another tag: many as they are, its runs push none of these out.
        """
        return self._runs({"expected_start_time": {"before_": _soon()}, "tags": {"all_": [TAG]}}, limit)

    def _runs(self, wanted: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
        body = {"flow_runs": wanted, "sort": "EXPECTED_START_TIME_DESC", "limit": limit}
        found: list[dict[str, Any]] = self._call("POST", "/flow_runs/filter", body)
        return found

    def resume(self, run: FlowRun, form: dict[str, Any]) -> bool:
        """Wake a suspended run with what its form asks for. False: it was not taken (refused, or not waiting)."""
        answer = self._call("POST", f"/flow_runs/{run.id}/resume", {"run_input": form})
        return bool(answer.get("status") == "ACCEPT")

    def schedule_again(self, run_id: str, why: str) -> None:
        """Put a run whose process is gone back into the queue; what its tasks finished is not done again."""
        self._force(run_id, {"type": StateType.SCHEDULED, "name": "AwaitingRetry", "message": why})

    def give_up(self, run_id: str, why: str) -> None:
        """Mark a run as crashed: nobody works on it any more, and nobody will."""
        self._force(run_id, {"type": StateType.CRASHED, "name": "Crashed", "message": why})

    def cancelled(self, run_id: str, why: str) -> None:
        """Cancel a run that no process works on."""
        self._force(run_id, {"type": StateType.CANCELLED, "name": "Cancelled", "message": why})

    def _force(self, run_id: str, state: dict[str, str]) -> None:
        self._call("POST", f"/flow_runs/{run_id}/set_state", {"state": state, "force": True})

    # -- HTTP --------------------------------------------------------------------------------------

    def healthy(self) -> bool:
        try:
            return self._request("GET", "/health", None, 3.0).is_success
        except httpx.HTTPError:
            return False

    def _call(self, method: str, path: str, body: Any = None, missing: Any = None) -> Any:
        """The answer's JSON, or ``missing`` (if given) where there is no such thing.

        A request whose answer is lost is sent again only if doing it twice does nothing more. All tries together have
        half a minute: a page of the gallery may wait for them.
        """
        until = time.monotonic() + _TRIES * _TIMEOUT_S
        again = method != "POST" or path.endswith("/filter") or "idempotency_key" in (body or {})
        for pause_s in itertools.count(0.5, 0.5):
            try:
                answer = self._request(method, path, body, _TIMEOUT_S if again else _TRIES * _TIMEOUT_S)
            except httpx.TimeoutException as e:
                if again and time.monotonic() + _TIMEOUT_S <= until:
                    continue
                raise OrchestratorError(
                    f"The Prefect server at {self.api_url} did not answer in time to {method} {path}.",
                    "See `keepset status`: it may have done it all the same. If not, try again in a minute.",
                ) from e
            except httpx.HTTPError as e:
                raise OrchestratorError(
                    f"The Prefect server at {self.api_url} does not answer: {type(e).__name__}.",
                    "Is the stack running? `keepset up` starts it.",
                ) from e
            if answer.status_code != 503:  # SQLite was busy: Prefect asks to come again
                break
            if time.monotonic() + pause_s >= until:
                raise OrchestratorError(f"The Prefect server at {self.api_url} is too busy.", "Try again in a minute.")
            time.sleep(pause_s)
        if answer.status_code == 401:
            raise OrchestratorError("The Prefect server refuses the login.", "Set PREFECT_API_AUTH_STRING.")
        if answer.status_code == 404 and missing is not None:
            return missing
        if answer.is_error:
            raise OrchestratorError(
                f"The Prefect server refused {method} {path}: HTTP {answer.status_code} {answer.text[:300]}",
                "Is this deployment known there? `keepset up` serves them all.",
            )
        return answer.json() if answer.content else {}

    def _request(self, method: str, path: str, body: Any, timeout_s: float) -> httpx.Response:
        user, _, password = self._login().partition(":")
        auth = httpx.BasicAuth(user, password) if user else None
        try:
            return httpx.request(method, self.api_url + path, json=body, auth=auth, timeout=timeout_s, trust_env=False)
        except httpx.InvalidURL as e:
            raise OrchestratorError(
                f"{self.api_url!r} is not the address of a Prefect server: {e}.",
                "Set PREFECT_API_URL to one like http://127.0.0.1:4200/api, or unset it.",
            ) from e

    def _login(self) -> str:
        try:
            if self.ws is None:
                raise FileNotFoundError
            return login_file(self.ws.root).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return os.environ.get("PREFECT_API_AUTH_STRING", "")


def _soon() -> str:
    """A minute from now: the runs that schedules have planned for the days to come are not meant."""
    return (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
