"""The real stack in a process of its own, and what a person, Prefect's UI or a kill -9 does to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from keepset.errors import OrchestratorError
from keepset.models import list_models
from keepset.orchestrator import FlowRun, Orchestrator, RunState, is_of, login_file
from keepset.orchestrator.waiting import run_id_of, wake
from keepset.orchestrator.waiting import wait_for as wait_for_decision
from keepset.review import Batch, BatchStatus, load_batch
from keepset.workspace import Workspace
from tests.factories import add_model, dataset_workspace
from tests.processes import CHECKOUT, PATIENCE_S, Silent, serving, wait_for


@dataclass
class Running:
    """One stack process and its workspace; ``kills``: the folder of deaths to come."""

    ws: Workspace
    process: subprocess.Popen[str]
    state: dict[str, Any]
    kills: Path | None = None

    @property
    def prefect(self) -> Orchestrator:
        return Orchestrator(self.state["api_url"], self.ws)

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        """A request as Prefect's UI sends it, login included."""
        user, _, password = login_file(self.ws.root).read_text(encoding="utf-8").strip().partition(":")
        options.setdefault("auth", (user, password))
        answers: list[httpx.Response] = []

        def served() -> bool:  # 503: SQLite was busy, Prefect asks to come again
            answers[:] = [
                httpx.post(self.state["api_url"] + path, json=body, timeout=PATIENCE_S, trust_env=False, **options)
            ]
            return answers[0].status_code != 503

        wait_for(served, f"Prefect to answer {path}", every_s=0.5)
        return answers[0]

    def python(self, code: str, *args: str) -> None:
        """Run a program against this server, with the address and login that a person would set."""
        login = login_file(self.ws.root).read_text(encoding="utf-8").strip()
        here = os.environ | {"PREFECT_API_URL": self.state["api_url"], "PREFECT_API_AUTH_STRING": login}
        subprocess.run([sys.executable, "-c", code, *args], check=True, env=here, cwd=CHECKOUT, timeout=PATIENCE_S)

    def resume(self, run: FlowRun, form: dict[str, Any]) -> None:
        """Fill the approval form as a person in Prefect's UI does, who clicks again if the server was too busy."""

        def taken() -> bool:
            answer = self.post(f"/flow_runs/{run.id}/resume", {"run_input": form})
            return answer.is_success and answer.json()["status"] == "ACCEPT"

        wait_for(taken, "Prefect to take the form")

    def wake(self, batch: Batch) -> None:
        """As gallery and command line do after a decision; the stack's upkeep asks again as well."""

        def taken() -> bool:
            with contextlib.suppress(OrchestratorError):
                return wake(self.prefect, batch)
            return False

        wait_for(taken, "Prefect to take the decision up")

    def reopened(self, batch: Batch, before: str) -> FlowRun:
        """The run that waits for a batch that was opened again, after run ``before``; the stack's upkeep may have begun it."""
        with contextlib.suppress(OrchestratorError):
            wait_for_decision(self.prefect, batch)
        wait_for(lambda: run_id_of(batch) != before, "the new run to be begun")
        return FlowRun(str(run_id_of(batch)), "")

    def review(self, ws: Workspace | None = None, **parameters: Any) -> tuple[FlowRun, Batch]:
        """Start ``review_batch`` and wait until it is suspended."""
        where = ws or self.ws
        asked = {"workspace": str(where.root), **parameters}
        run = self.prefect.start_deployment("review_batch/review_batch", asked)
        self.until(run, lambda s: s.waits)
        (folder,) = where.batches.iterdir()
        return run, load_batch(where, folder.name)

    def until(self, run: FlowRun, done: Callable[[RunState], bool]) -> RunState:
        seen: list[RunState] = []

        def reached() -> bool:
            with contextlib.suppress(OrchestratorError):  # too busy to say
                seen[:] = [self.prefect.state(run)]
                assert not seen[0].failed, seen[0].message
                return done(seen[0])
            return False

        wait_for(reached, f"{run.name} to go on", every_s=0.3)
        return seen[0]

    def log(self, run: FlowRun) -> str:
        """What the run and its subflows wrote into Prefect's log."""
        children = self.post("/flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": [run.id]}}}).json()
        ids = [run.id, *(r["id"] for r in children)]
        rows = self.post("/logs/filter", {"logs": {"flow_run_id": {"any_": ids}}, "limit": 200}).json()
        return "\n".join(r["message"] for r in rows)

    def retrainings(self, ws: Workspace | None = None) -> list[dict[str, Any]]:
        """All runs of ``retrain`` (on ``ws``) that have completed; none has failed."""
        runs = [
            r
            for r in self.prefect.runs(["COMPLETED", "FAILED", "CRASHED"])
            if r["name"].startswith("retrain") and (ws is None or is_of(ws, r))
        ]
        assert all(r["state_type"] == "COMPLETED" for r in runs), [r["state"]["message"] for r in runs]
        return runs

    def kill(self) -> None:
        """kill -9 of every process of the stack, the supervisor first, so that nothing can tidy up."""
        for pid in [self.process.pid, *_with_home(self.ws.root / "prefect")]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()
        wait_for(lambda: not _with_home(self.ws.root / "prefect"), "the killed processes to be gone")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=PATIENCE_S)


def start(
    ws: Workspace, kills: Path | None = None, *, cron: str = "", forked: bool = False,
    environment: Mapping[str, str] | None = None, program: Sequence[str] = (sys.executable, "-m", "deployments.command"),
    cwd: Path = CHECKOUT,
) -> Running:  # fmt: skip
    """A stack of its own; ``kills`` is a folder of deaths to come (``tests/kill_hook/sitecustomize.py``).

    ``forked``: flow runs are forked from a process that has imported everything (``bench/chaos/hooks``): each is a
    process of its own all the same, and costs a second instead of six.
    """
    more = {"OMP_NUM_THREADS": "1", "KEEPSET_RECONCILE_S": "4"}
    more |= (_FORKED if forked else {}) | (_deaths(kills) if kills else {}) | dict(environment or {})
    command = [*program, "up", "--workspace", str(ws.root), "--json"]
    command += ["--prefect-port", "0", "--web-port", "0", *(["--cron", cron] if cron else [])]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=cwd, env=os.environ | more
    )
    line = process.stdout.readline()
    if not line:
        process.communicate()
        raise AssertionError("the stack did not start: " + _logs(ws.root))
    return Running(ws, process, json.loads(line), kills)


_FORKED = {"PYTHONPATH": str(CHECKOUT / "bench" / "chaos" / "hooks"), "KEEPSET_BENCH_FORKED": "1"}


def _deaths(folder: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(CHECKOUT / "tests" / "kill_hook"), os.environ.get("PYTHONPATH")]))
    return {"KEEPSET_TEST_KILLS": str(folder), "PYTHONPATH": path}


def plan_kills(folder: Path, *kills: str) -> Path:
    """Write down deaths to come, each ``<victim>@<file name>``; what is left in the folder has not happened."""
    folder.mkdir(parents=True, exist_ok=True)
    for kill in kills:
        (folder / kill).touch()
    return folder


@contextlib.contextmanager
def listening() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook on loopback: its address, and the JSON bodies that were sent there."""
    told: list[dict[str, Any]] = []

    class Hook(Silent):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

    with serving(Hook) as port:
        yield f"http://127.0.0.1:{port}/told", told


SMALLEST = {"arch": "test_resnet", "weights": "none", "epochs": 0, "size": 64}
"""What trains and exports soonest, where nothing depends on what it learns."""


def train_smaller(ws: Workspace) -> None:
    """From now on with one network instead of three, which looks at less: what a form has no field for."""
    config = ws.config()
    small = config.train.model_copy(update={"arch": "lite0", "size": 64, "epochs": 0})
    ws.save_config(config.model_copy(update={"train": small}))


def waiting_workspace(root: Path) -> Workspace:
    """A data set with four wrong labels and a model: the next batch is worth a look, retraining is quick."""
    root.mkdir(parents=True, exist_ok=True)
    ws, config, truth = dataset_workspace(root, per_class=12, flips=4, train=SMALLEST)
    add_model(ws, config, truth)
    return ws


def models(ws: Workspace) -> set[str]:
    return {p.parent.name for p in ws.models.glob("*/model.json")}


def ended_right(ws: Workspace, batch_id: str) -> bool:
    """Whether the batch is applied, and its revision trained on, compared and reported."""
    if load_batch(ws, batch_id).status != BatchStatus.APPLIED:
        return False
    mine = [m.id for m in list_models(ws) if m.dataset_hash == ws.current_dataset().content_hash]
    there = [(ws.models / m / "comparison.json", ws.reports / m / "report.html") for m in mine]
    return bool(there) and all(path.exists() for pair in there for path in pair)


def ended_once(ws: Workspace, batch: Batch) -> bool:
    """The same, and nothing of it was done twice."""
    applied = [r["what"]["batch"] for r in ws.audit_log() if r["action"] == "clean"]
    return ended_right(ws, batch.id) and (ws.revisions(), len(models(ws)), applied) == ([1, 2], 2, [batch.id])


def _with_home(home: Path) -> list[int]:
    """Processes of this stack, the flow runs' own included: they all carry its PREFECT_HOME."""
    mark, found = f"PREFECT_HOME={home}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def _logs(root: Path) -> str:
    return "\n".join(p.read_text(errors="replace")[-2000:] for p in (root / "logs").glob("*.log"))
