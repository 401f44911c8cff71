"""Runs through the real stack: a data set from the form alone, again without news, and several at once."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import httpx
import pytest

from keepset.files import read_json
from keepset.orchestrator import FlowRun, login_file
from keepset.orchestrator.waiting import run_id_of
from keepset.review import list_batches
from keepset.status import collect
from keepset.workspace import Workspace
from tasks.progress import artifact_key
from tests.processes import PATIENCE_S
from tests.stack_fixtures import Running, train_smaller, wait_for
from tests.test_team import folders

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the stack's processes in /proc"),
]


@pytest.fixture(scope="module")
def built(stack: Running, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A data set that the form of `build_dataset` began; no file was written for it but the pictures."""
    base = tmp_path_factory.mktemp("runs")
    form = {"name": "fruit", "classes": folders(base / "pictures"), "epochs": 0}
    parameters = {"workspace": str(base / "fruit"), "dataset": form}
    run = stack.prefect.start_deployment("build_dataset/build_dataset", parameters)
    assert stack.until(run, lambda s: s.over).type == "COMPLETED"
    return Workspace.open(base / "fruit")


def test_a_new_data_set_begins_from_the_form_alone(built: Workspace) -> None:
    assert (built.name, built.revisions()) == ("fruit", [1])
    assert built.current_dataset().header.rows == 36


def test_a_form_that_says_too_little_starts_nothing(stack: Running, tmp_path: Path) -> None:
    deployment = stack.prefect.deployment_id("pipeline/pipeline")
    parameters = {"workspace": str(tmp_path / "ws"), "dataset": {"name": "one", "classes": [{"name": "a"}]}}
    answer = stack.post(f"/deployments/{deployment}/create_flow_run", {"parameters": parameters})
    assert answer.status_code == 409 or answer.status_code == 422, answer.text
    assert "classes" in answer.text
    assert not (tmp_path / "ws").exists()


def test_the_form_explains_itself(stack: Running) -> None:
    schemas = stack.post("/deployments/filter", {"limit": 50}).json()
    form = next(d["parameter_openapi_schema"] for d in schemas if d["name"] == "pipeline")
    assert all(p.get("description") for p in form["properties"].values())
    fields = form["definitions"]["DatasetForm"]["properties"]
    assert fields["device"]["enum"] == ["auto", "cpu", "cuda", "mps"]
    assert (fields["epochs"]["default"], fields["valid"]["default"]) == (-1, 0.2)


def test_without_news_a_run_does_nothing_and_says_why(stack: Running, built: Workspace) -> None:
    before = {p: p.stat().st_mtime_ns for p in built.stage_manifests.values()}
    run = stack.prefect.start_deployment("build_dataset/build_dataset", {"workspace": str(built.root)})
    assert stack.until(run, lambda s: s.over).type == "COMPLETED"
    wanted = [f"{stage}: up to date" for stage in ("scrape", "download", "validate", "split")]
    # logs arrive some seconds after their run has ended
    wait_for(lambda: all(w in stack.log(run) for w in wanted), "each stage to say that it is up to date")
    assert before == {p: p.stat().st_mtime_ns for p in built.stage_manifests.values()}
    assert built.revisions() == [1]


def test_runs_on_one_data_set_wait_and_those_on_another_do_not(
    stack: Running, built: Workspace, tmp_path: Path
) -> None:
    other = shutil.copytree(built.root, tmp_path / "other")
    with built.lock("flow-build"):  # as a run of long duration holds it
        waiting = stack.prefect.start_deployment("build_dataset/build_dataset", {"workspace": str(built.root)})
        passing = stack.prefect.start_deployment("build_dataset/build_dataset", {"workspace": str(other)})
        assert stack.until(passing, lambda s: s.over).type == "COMPLETED"
        wait_for(lambda: "waiting for it to end" in stack.log(waiting), "the run to say that it waits")
        assert not stack.prefect.state(waiting).over
    assert stack.until(waiting, lambda s: s.over).type == "COMPLETED"


_WHAT_THE_BLOCK_RAISES = """
import sys
from pathlib import Path
from prefect import flow
from keepset.errors import WorkspaceBusy
from keepset.workspace import Workspace
from flows.runs import exclusive

@flow
def busy(root):
    with exclusive(Workspace.open(Path(root)), "build"):
        raise WorkspaceBusy("another stage", "wait")

try:
    busy(sys.argv[1])
except WorkspaceBusy as e:
    assert e.message == "another stage"
"""


def test_a_busy_stage_within_a_run_is_not_taken_for_a_busy_run(stack: Running, built: Workspace) -> None:
    stack.python(_WHAT_THE_BLOCK_RAISES, str(built.root))


_WHILE_THE_SERVER_HANGS = """
import os, signal, sys, time
from pathlib import Path
from prefect import flow, task
from keepset.workspace import Workspace
from tasks import progress as tasks_progress
tasks_progress._EVERY_S = 0.0
server = int(sys.argv[2])

@task
def work(root):
    progress = tasks_progress.PrefectProgress(Workspace.open(Path(root)))
    progress.start("working", 4)
    os.killpg(server, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        for _ in range(3):
            progress.advance()
        assert time.monotonic() - begin < 20, "the work waited for the server"
    finally:
        os.killpg(server, signal.SIGCONT)
    progress.advance()

@flow
def works(root):
    work(root)

works(sys.argv[1])
"""


def test_the_work_does_not_wait_for_a_server_that_hangs(stack: Running, built: Workspace) -> None:
    server = str(read_json(stack.ws.root / "stack.json")["pids"]["prefect-server"])
    stack.python(_WHILE_THE_SERVER_HANGS, str(built.root), server)
    wanted = {"artifacts": {"key": {"any_": [artifact_key(built, "progress")]}}}
    said = stack.post("/artifacts/filter", wanted | {"sort": "CREATED_DESC", "limit": 1}).json()
    assert (said[0]["data"], said[0]["description"].split(" (")[0]) == (100.0, "working: 4 of 4")


def test_status_tells_of_the_last_runs(stack: Running, built: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for(lambda: not collect(stack.ws)["runs_trouble"], "Prefect to tell of its runs", every_s=0.5)
    assert collect(stack.ws)["stack"]["web_url"] == stack.state["web_url"]
    assert collect(built)["runs"] is None  # no stack of its own, and no server named
    monkeypatch.setenv("PREFECT_API_URL", stack.state["api_url"])
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", login_file(stack.ws.root).read_text().strip())
    found = collect(built)
    assert len(found["runs"]) >= 1
    assert {r["state"] for r in found["runs"]} == {"Completed"}
    assert all(r["run"].startswith("build_dataset runs0/fruit 20") for r in found["runs"])


def test_a_run_started_in_the_gallery_is_followed_there_and_ends_with_a_link_to_the_batch(
    stack: Running, built: Workspace
) -> None:
    """Of a data set that is not the stack's own; Prefect runs it, and the gallery shows its steps."""
    train_smaller(built)
    web = f"{stack.state['web_url']}/w/{built.id}"
    before = {r["id"] for r in stack.prefect.recent_runs()}
    assert httpx.post(f"{web}/run", trust_env=False, timeout=PATIENCE_S).status_code == 303
    mine = [r for r in stack.prefect.recent_runs() if r["id"] not in before]
    (run,) = [FlowRun(r["id"], r["name"]) for r in mine if r["parameters"] == {"workspace": str(built.root)}]

    def step() -> list[str]:
        html = httpx.get(f"{web}/followup", trust_env=False, timeout=PATIENCE_S).json()["html"]
        return re.findall(r"aria-current=step>([^<]+)<", html)

    with built.lock("train"):  # it cannot get past the training before that was seen
        wait_for(lambda: step() == ["Train"], "the gallery to show the step")
    stack.until(run, lambda s: s.over)
    batch = list_batches(built)[0]
    words = f"Batch {batch.id} waits: {web}/batches/{batch.id}"
    assert words in stack.prefect.state(run).message
    wait_for(lambda: words in stack.log(run), "its log to say so")
    found = stack.post("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run.id]}}, "limit": 50}).json()
    keys = {a["key"]: a["data"] for a in found if a["key"]}
    (said,) = [data for key, data in keys.items() if re.fullmatch(r"fruit(-[0-9a-f]{4})?-next", key)]
    assert said == words
    assert any(re.fullmatch(r"fruit-[0-9a-f]{4}-verdict", key) for key in keys)
    wait_for(lambda: run_id_of(batch), "a run that waits for the decision")
    waiting = FlowRun(str(run_id_of(batch)), "")
    stack.until(waiting, lambda s: s.waits)
    assert httpx.get(f"{web}/", trust_env=False, timeout=PATIENCE_S).text.count('class="button big"') == 1
