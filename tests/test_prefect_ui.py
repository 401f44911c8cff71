"""A person who knows Prefect's UI only: begins a data set there, and decides on batches there, in a real Chromium."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from keepset.orchestrator import FlowRun
from keepset.orchestrator.waiting import run_id_of
from keepset.review import BatchStatus, list_batches, load_batch, reopen
from keepset.workspace import Workspace
from tests.browser_fixtures import Browser
from tests.prefect_ui import PrefectUi
from tests.processes import PATIENCE_S
from tests.stack_fixtures import Running, ended_right, models, train_smaller, wait_for, waiting_workspace
from tests.test_team import folders

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the stack's processes in /proc"),
]


@pytest.fixture(scope="module")
def ui(browser: Browser, stack: Running) -> PrefectUi:
    return PrefectUi(browser.new_context(viewport={"width": 1280, "height": 1000}).new_page(), stack)


def decide(ui: PrefectUi, run: FlowRun, decision: str, **fields: str) -> None:
    dialog = ui.open_resume(run.id)
    ui.choose("Decision (Optional)", decision)
    ui.fill("Reviewer", "Ada")
    for label, option in fields.items():
        ui.choose(f"{label} (Optional)", option)
    ui.tick("Confirm (Optional)")
    ui.press(dialog.get_by_role("button", name="Resume"), "/resume")
    dialog.wait_for(state="hidden")
    ui.leave()


def test_a_new_data_set_from_the_form_to_a_model_a_batch_its_approval_and_the_retraining(
    ui: PrefectUi, stack: Running, tmp_path: Path
) -> None:
    root = tmp_path / "fruit"
    run = _fill_in(ui, stack, root, folders(tmp_path / "pictures"))
    wait_for((root / "config.json").exists, "the run to begin the data set")
    ws = Workspace.open(root)
    assert ws.config().train.epochs == 0
    train_smaller(ws)
    stack.until(run, lambda s: s.over)
    assert (ws.name, ws.revisions(), len(models(ws))) == ("fruit", [1], 1)
    _look_at_the_run(ui, run, f"{tmp_path.name}/fruit")
    gallery = f"{stack.state['web_url']}/w/{ws.id}"
    assert list_batches(ws)
    waits = f"Batch {list_batches(ws)[0].id} waits: {gallery}/batches/{list_batches(ws)[0].id}"
    assert waits in (said := stack.prefect.state(run).message)
    wait_for(lambda: waits in stack.log(run), "its log to say so")
    assert "in use" in said
    assert "<h1>fruit</h1>" in httpx.get(f"{gallery}/", trust_env=False, timeout=PATIENCE_S).text

    wait_for(lambda: list_batches(ws) and run_id_of(list_batches(ws)[0]), "a batch that waits")
    batch = list_batches(ws)[0]
    review = FlowRun(str(run_id_of(batch)), "")
    stack.until(review, lambda s: s.waits)
    decide(ui, review, "approve", Undecided="suggested")
    wait_for(lambda: ended_right(ws, batch.id), "the approval and the retraining")
    assert (ws.revisions(), len(models(ws))) == ([1, 2], 2)
    stack.until(review, lambda s: s.over)


def _fill_in(ui: PrefectUi, stack: Running, root: Path, classes: list[dict[str, Any]]) -> FlowRun:
    ui.open_form(stack.prefect.deployment_id("pipeline/pipeline"))
    ui.fill("workspace", str(root))
    ui.page.get_by_role("tab", name="New data set").click()
    ui.fill("Name of the data set", root.name)
    for n, told in enumerate(classes):
        ui.add_item("Classes")
        ui.fill("Class", told["name"], n)
        ui.add_item("Folders (Optional)", n)
        ui.fill("Folders (Optional)", told["folders"][0], n)
    ui.fill("Epochs (Optional)", "0")
    ui.submit()
    (run,) = [r for r in stack.prefect.recent_runs() if r["parameters"].get("workspace") == str(root)]
    return FlowRun(run["id"], run["name"])


def _look_at_the_run(ui: PrefectUi, run: FlowRun, data_set: str) -> None:
    ui.open_run(run.id)
    ui.page.get_by_text(f"pipeline {data_set} 20").first.wait_for()
    ui.page.get_by_text("Completed", exact=True).first.wait_for()
    ui.page.get_by_role("tab", name="Artifacts").click()
    ui.page.get_by_text("Verdict on model").wait_for()
    ui.leave()


def test_what_is_sent_back_there_is_opened_again_and_rejected_there_which_changes_nothing(
    ui: PrefectUi, stack: Running, tmp_path: Path
) -> None:
    ws = waiting_workspace(tmp_path)
    before = ws.current_dataset().content_hash
    run, batch = stack.review(ws, all_images=True)
    assert batch.candidates().header.rows == ws.current_dataset().header.rows > batch.proposed > 0
    dialog = ui.open_resume(run.id)
    dialog.get_by_text(f"Open {batch.id} in the gallery").wait_for()
    assert dialog.locator("img").first.evaluate("image => image.naturalWidth") > 500
    assert dialog.locator("table").count() == 0  # hashes are in the artifact
    dialog.get_by_role("button", name="Resume").click()
    ui.page.get_by_text("'reviewer' is a required property").wait_for()
    assert load_batch(ws, batch.id).status == BatchStatus.OPEN
    assert stack.prefect.state(run).waits

    decide(ui, run, "send_back")
    stack.until(run, lambda s: s.over)
    assert load_batch(ws, batch.id).status == BatchStatus.SENT_BACK
    reopen(load_batch(ws, batch.id), who="ada")
    again = stack.reopened(batch, run.id)  # as `keepset review reopen` and the gallery ask for it
    stack.until(again, lambda s: s.waits)
    decide(ui, again, "reject")
    stack.until(again, lambda s: s.over)
    assert load_batch(ws, batch.id).status == BatchStatus.REJECTED
    assert (ws.revisions(), ws.current_dataset().content_hash, len(models(ws))) == ([1], before, 1)
    said = [(r["who"], r["what"]["decision"], r["what"]["via"]) for r in ws.audit_log() if r["action"] == "review"]
    assert said == [("Ada", "send_back", "prefect"), ("Ada", "reject", "prefect")]
