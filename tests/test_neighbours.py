"""One gallery for all data sets that a stack works on: its own at /, the others below /w/<id>/."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from keepset.orchestrator.neighbours import MARK, gallery_of, handle, neighbours, note_neighbour
from keepset.reasons import Action
from keepset.workspace import Workspace
from tests.browser_fixtures import Browser, press
from tests.review_fixtures import Case, make_case
from tests.web_fixtures import asking, served


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The workspace of the stack, as a process of that stack sees it."""
    ws = Workspace.create(tmp_path / "own", "own")
    monkeypatch.setenv(MARK, str(ws.root))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    return ws


@pytest.mark.browser
def test_a_data_set_begun_elsewhere_is_reviewed_in_the_gallery_of_its_stack(
    own: Workspace, case: Case, browser: Browser
) -> None:
    note_neighbour(case.ws)
    note_neighbour(own)
    assert {k: w.root for k, w in neighbours(own.root).items()} == {case.ws.id: case.ws.root}
    batch = case.open_batch()
    below = f"/w/{case.ws.id}"
    with served(own.root) as url, browser.page() as page:
        page.goto(url)
        page.click(f"text={case.ws.name}")
        page.click(".hero a.big")
        page.wait_for_url(f"{url}{below}/batches/{batch.id}**")
        page.keyboard.press("ArrowRight")
        press(page, "x")
        assert [m.action for m in batch.marks().values()] == [Action.DELETE]
        page.keyboard.press("Control+Enter")
        page.wait_for_url(f"{url}{below}/batches/{batch.id}/submit")
        page.fill("input[name=who]", "Ada")
        page.check("input[name=confirm]") if page.locator("input[name=confirm]").count() else None
        page.click("button[value=approve]")
        page.wait_for_url(f"{url}{below}/batches/{batch.id}?notice=recorded")
        page.click("text=All data sets")
        page.wait_for_url(f"{url}/")
    approval = batch.approval()
    assert approval.who == "Ada"


def test_its_links_stay_below_its_prefix_and_its_guard_is_the_same(own: Workspace, case: Case) -> None:
    note_neighbour(case.ws)
    batch, below = case.open_batch(), f"/w/{case.ws.id}"
    with asking(own.root, token="secret") as c:
        assert c.get(below + "/").status_code == 401
        login = c.get(f"{below}/?token=secret")
        assert login.headers["location"] == below + "/"
        for path in ("/", f"/batches/{batch.id}", f"/batches/{batch.id}/submit", "/log", "/predict"):
            page = c.get(below + path).text
            links = set(re.findall(r'(?:href|src|action)="(/[^"]*)"', page))
            assert links
            outside = {x for x in links if not x.startswith((below + "/", "/static/"))}
            assert outside == {"/"}  # the way back to all data sets
        sha = batch.candidates().rows()[0]["sha256"]
        assert c.get(f"{below}/thumbs/{sha}.jpg").status_code == 200
        assert c.get(f"/thumbs/{sha}.jpg").status_code == 404
        assert c.post(f"{below}/batches/{batch.id}/undo", headers={"origin": "http://evil.example"}).status_code == 403
        assert c.get(f"/w/{'0' * 16}/").status_code == 404
        assert c.get(f"/w/{own.id}/").status_code == 404


def test_a_short_name_tells_data_sets_apart(tmp_path: Path) -> None:
    for i, (name, short) in enumerate({"Größe: Bären!": "grosse-baren", "熊": "data-set", "x" * 90: "x" * 40}.items()):
        ws = Workspace.create(tmp_path / str(i), name)
        assert handle(ws) == f"{short}-{ws.id[:4]}"


def test_links_lead_to_the_gallery_that_runs(own: Workspace, tmp_path: Path) -> None:
    other = make_case(tmp_path / "x", per_class=2, flips=0).ws
    assert gallery_of(other) == gallery_of(own) == ""
    (own.root / "stack.json").write_text(json.dumps({"web_url": "http://127.0.0.1:1"}))
    assert gallery_of(own) == "http://127.0.0.1:1"
    assert gallery_of(other) == f"http://127.0.0.1:1/w/{other.id}"
    note_neighbour(other)
    (other.root / "keepset.json").unlink()  # gone since
    assert neighbours(own.root) == {}
