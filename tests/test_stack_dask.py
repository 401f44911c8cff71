"""The whole data set built by the real stack with its shards on Dask: `keepset up --engine dask`, a flow, a kill."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from keepset import manifests
from keepset.demo.draw import CLASSES, draw
from keepset.workspace import Workspace
from tests.factories import jpeg
from tests.stack_fixtures import _with_home, start, wait_for

EACH = 60


def config_of_folders(folder: Path) -> Path:
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for i in range(EACH):
            (folder / label / f"{i}.jpg").write_bytes(jpeg(draw(label, i, width=120, height=90)))
    classes = "".join(f'[classes.{label}]\nfolders = ["{label}"]\n' for label in CLASSES)
    (folder / "run.toml").write_text(
        f'name = "drawn"\n{classes}[download]\nshard_size = 40\n[validate]\nshard_size = 30\n'
        '[gates]\nmax_duplicates = 1.0\n[train]\nweights = "none"\n'  # copies are searched by hash alone
    )
    return folder / "run.toml"


def dask_workers(ws: Workspace) -> list[int]:
    found = []
    for pid in _with_home(ws.root / "prefect"):
        with contextlib.suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


@pytest.mark.prefect
@pytest.mark.slow
def test_a_flow_whose_dask_worker_is_killed_builds_the_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of_folders(tmp_path / "pictures")
    monkeypatch.setenv("KEEPSET_ENGINE", "dask")
    monkeypatch.setenv("KEEPSET_DASK_WORKERS", "2")
    running = start(Workspace.create(tmp_path / "ws", "drawn"))
    ws = running.ws
    try:
        asked = {"workspace": str(ws.root), "config": str(config)}
        run = running.prefect.start_deployment("build_dataset/build_dataset", asked)
        wait_for(lambda: list(ws.journal.glob("validate-*.part.sqlite")), "validation on the workers")
        os.kill(dask_workers(ws)[0], signal.SIGKILL)
        running.until(run, lambda state: state.over)
        assert manifests.read_header(ws.dataset(1)).rows == 3 * EACH
        assert not list(ws.journal.glob("*.part*.sqlite*"))
        tasks = task_runs(running, run.id)
        assert {"download", "validate", "gate images"} <= tasks.keys()
        assert set(tasks.values()) == {"COMPLETED"}
        wait_for(lambda: "shards on 2 Dask workers" in running.log(run), "its log to say so")
        assert dask_workers(ws) == []
        engine = form_of(running)["engine"]
        assert "Where shards" in str(engine)
    finally:
        running.stop()


def task_runs(running: Any, run_id: str) -> dict[str, str]:
    body = {"task_runs": {"flow_run_id": {"any_": [run_id]}}, "limit": 200}
    return {t["name"]: t["state_type"] for t in running.post("/task_runs/filter", body).json()}


def form_of(running: Any) -> dict[str, Any]:
    """The parameters of build_dataset as Prefect's UI draws them."""
    found = running.post("/deployments/filter", {"limit": 50}).json()
    (schema,) = [d["parameter_openapi_schema"] for d in found if d["name"] == "build_dataset"]
    properties: dict[str, Any] = schema["properties"]
    return properties
