"""Approving in the gallery of `keepset web`, without a stack: applied and retrained by a process of its own, once."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from keepset import pipeline
from keepset.cli import main
from keepset.models import list_models
from keepset.pipeline.atwork import Work, progress_of
from keepset.pipeline.followup import State, pending, standing
from keepset.review import Batch, BatchStatus, load_batch, review, submit
from keepset.stages import Stage
from keepset.workspace import Workspace
from tests.browser_fixtures import Browser
from tests.processes import CHECKOUT, PATIENCE_S
from tests.stack_fixtures import ended_right, models, plan_kills, wait_for, waiting_workspace
from tests.web_fixtures import served

FOLLOW_UP_S = 5 * PATIENCE_S
"""Patience with a process that applies, trains and reports."""
YES = {"who": "ada", "decision": "approve", "undecided": "suggested", "confirm": "yes"}


@pytest.fixture(autouse=True)
def _no_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("PREFECT_API")]:
        monkeypatch.delenv(name)


def waiting(root: Path) -> tuple[Workspace, Batch]:
    ws = waiting_workspace(root)
    return ws, load_batch(ws, review(ws, ws.config()).outputs["batch_id"])


@contextlib.contextmanager
def keepset_web(ws: Workspace, kills: Path | None = None) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The real program on a free port; yields its address."""
    path = str(CHECKOUT / "tests" / "kill_hook")
    mark = {"PREFECT_HOME": str(ws.root / "prefect")}  # by which the hook knows whom to watch
    hook = {"KEEPSET_TEST_KILLS": str(kills), "PYTHONPATH": path, **mark} if kills else {}
    command = [sys.executable, "-m", "keepset", "web", "-w", str(ws.root), "--port", "0"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT, env=os.environ | {"OMP_NUM_THREADS": "1"} | hook
    )
    found = re.search(r"http://[\d.:]+", line := process.stderr.readline())
    assert found, line
    try:
        yield found[0], process
    finally:
        process.kill()
        process.communicate()


def approve(url: str, batch: Batch) -> httpx.Response:
    page = f"{url}/batches/{batch.id}/submit"
    return httpx.post(page, data=YES, trust_env=False, timeout=PATIENCE_S, follow_redirects=True)


def test_an_approval_outlives_the_server_and_a_kill_and_is_carried_out_once(tmp_path: Path) -> None:
    ws, batch = waiting(tmp_path / "data")
    kills = plan_kills(tmp_path / "kills", "self@comparison.json")
    with keepset_web(ws, kills) as (url, process):
        page = approve(url, batch).text
        assert "Applying and retraining." in page
        assert '<noscript><meta http-equiv="refresh"' in page  # without JavaScript it reloads itself
        process.send_signal(signal.SIGINT)  # Ctrl-C in the terminal of the server
        assert "goes on in the background" in process.communicate(timeout=PATIENCE_S)[1]
    wait_for(lambda: not any(kills.iterdir()), "the work to be killed after the training", FOLLOW_UP_S)
    wait_for(lambda: not ws.is_locked(Work.FOLLOW_UP), "the killed process to be gone")
    assert (ws.revisions(), len(models(ws))) == ([1, 2], 2)
    assert not ended_right(ws, batch.id)
    with keepset_web(ws) as (url, _):  # it goes on by itself
        wait_for(
            lambda: httpx.get(f"{url}/followup", trust_env=False, timeout=PATIENCE_S).json()["state"] == "done",
            "the end",
            FOLLOW_UP_S,
        )
        page = httpx.get(url, trust_env=False, timeout=PATIENCE_S).text
    assert "Done: changed and retrained." in page
    assert ended_right(ws, batch.id)
    assert (ws.revisions(), len(models(ws))) == ([1, 2], 2)
    newest = list_models(ws)[-1]
    assert (ws.promoted(), newest.dataset_revision) == (newest.id, 2)
    assert [r["what"]["batch"] for r in ws.audit_log() if r["action"] == "clean"] == [batch.id]


@pytest.mark.browser
def test_the_page_shows_how_far_it_is_and_then_the_result(browser: Browser, tmp_path: Path) -> None:
    ws, batch = waiting(tmp_path)
    with served(ws.root) as url, browser.page(viewport={"width": 390, "height": 844}) as page:
        page.goto(f"{url}/batches/{batch.id}/submit")
        page.fill("input[name=who]", "Ada")
        page.check("input[value=suggested]")
        if page.locator("input[name=confirm]").count():
            page.check("input[name=confirm]")
        with ws.lock(Stage.TRAIN):  # it cannot get past the training before the page has been looked at
            page.click("button[value=approve]")
            page.wait_for_selector("#followup.working .steps .now")
            page.wait_for_selector("#followup.working .steps .done")  # applied: the page polls
        page.wait_for_selector("#followup.done", timeout=FOLLOW_UP_S * 1000)
        assert re.search(r"fixed \d+, broke \d+", page.inner_text("#followup"))
        assert page.inner_text("h1 .status") == "applied"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.click("text=Report of the new model")
        page.wait_for_url("**/reports/*")
    assert ended_right(ws, batch.id)


def test_a_failed_follow_up_says_why_and_can_be_tried_again(tmp_path: Path) -> None:
    ws, batch = waiting(tmp_path)
    config, here = ws.root / "config.json", f"/batches/{batch.id}"
    good = config.read_text()
    with (
        served(ws.root) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S, follow_redirects=True) as client,
    ):
        config.write_text("{")
        client.post(f"{here}/submit", data=YES)
        wait_for(lambda: standing(ws).state != State.WORKING, "the process to fail")
        page = client.get(here).text
        assert "Applying and retraining failed" in page
        assert "config.json is damaged" in page
        config.write_text(good)
        answer = client.post("/followup", headers={"referer": url + here})
        assert answer.url.path == here
        assert "Applying and retraining." in answer.text
        wait_for(lambda: load_batch(ws, batch.id).status == BatchStatus.APPLIED, "the second try", FOLLOW_UP_S)
        os.kill(progress_of(ws, Work.FOLLOW_UP)["pid"], signal.SIGKILL)
        wait_for(lambda: standing(ws).state == State.STOPPED, "its end")
        assert "The process that carried it out was ended." in client.get("/").text


def test_where_a_prefect_server_is_in_charge_nothing_is_started_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws, batch = waiting(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # a team's server, away just now
    with served(ws.root) as url:
        page = approve(url, batch).text
    assert "Prefect takes it up" in page
    assert load_batch(ws, batch.id).status == BatchStatus.APPROVED
    assert progress_of(ws, Work.FOLLOW_UP) == {}


def test_run_applies_what_was_approved_and_status_names_the_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ws, batch = waiting(tmp_path / "My Bears")
    assert f"keepset web -w '{ws.root}'" in _next(ws, capsys)
    submit(batch, "approve", who="ada", undecided="suggested", confirm=True)
    assert f"keepset run -w '{ws.root}'" in (said := _next(ws, capsys))
    assert f"apply {batch.id}" in said
    with ws.lock(Work.FOLLOW_UP):
        assert "wait, applying and retraining" in _next(ws, capsys)
    first = next(
        results := pipeline.run(ws, ws.config())
    )  # its first stage; the factory's set has no sources to build from
    results.close()
    assert (first.stage, first.changed, ws.revisions()) == ("clean", True, [1, 2])
    assert standing(ws).state == State.STOPPED
    assert pending(ws).revision == 2


def _next(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> str:
    with contextlib.suppress(SystemExit):
        main(["status", "-w", str(ws.root)])
    return next(x for x in capsys.readouterr().out.splitlines() if x.startswith("Next: "))
