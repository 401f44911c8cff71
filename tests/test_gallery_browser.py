"""A real Chromium clicks and types through a batch; what it decided is read from the disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from keepset.reasons import Action
from keepset.review import BatchStatus, Mark, load_batch, mark
from tests.review_fixtures import Case, case  # noqa: F401 - a fixture
from tests.web_fixtures import served

pytestmark = pytest.mark.browser
_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=chromium, args=_ARGS)
        yield b
        b.close()


def _press(page: Any, key: str) -> None:
    """Press a key that saves, and wait until it is saved."""
    with page.expect_response(lambda r: r.request.method == "POST"):
        page.keyboard.press(key)


def test_a_batch_by_keyboard(browser: Any, case: Case) -> None:  # noqa: F811
    batch = case.open_batch()
    rows = batch.candidates().rows()
    labels = batch.record.labels
    page = browser.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda e: troubles.append(str(e)))
    with served(case.ws.root) as url:
        page.goto(f"{url}/batches/{batch.id}")
        page.wait_for_load_state("networkidle")
        page.keyboard.press("ArrowRight")
        _press(page, "x")
        assert batch.marks()[rows[0]["sha256"]].action == Action.DELETE
        _press(page, "u")
        assert batch.marks() == {}
        _press(page, "U")
        assert batch.marks()[rows[0]["sha256"]].action == Action.DELETE
        page.keyboard.press("n")
        other = next(i for i, x in enumerate(labels) if x != rows[1]["label"])
        _press(page, str(other + 1))
        assert batch.marks()[rows[1]["sha256"]].label == labels[other]
        page.keyboard.press("r")
        third = next(x for x in labels if x not in (rows[1]["label"], labels[other]))
        page.keyboard.type(third[:3])
        _press(page, "Enter")
        assert batch.marks()[rows[1]["sha256"]].label == third
        page.keyboard.press("?")
        assert page.locator("#keys").is_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("a")
        _press(page, "k")
        assert {m.action for m in batch.marks().values()} == {Action.KEEP}
        _press(page, "u")
        page.keyboard.press("Control+Enter")
        page.wait_for_url("**/submit")
        page.fill("input[name=who]", "Ada")
        if page.locator("input[name=confirm]").count():
            page.check("input[name=confirm]")
        page.click("button[value=approve]")
        page.wait_for_url("**notice=*")
        page.close()
    approval = load_batch(case.ws, batch.id).approval()
    assert approval is not None
    assert approval.who == "Ada"
    assert approval.via == "gallery"
    assert approval.decisions[rows[0]["sha256"]]["action"] == "delete"
    assert approval.decisions[rows[1]["sha256"]]["label"] == third
    assert troubles == []


def test_a_stale_tab_overwrites_nothing(browser: Any, case: Case) -> None:  # noqa: F811
    batch = case.open_batch()
    sha = batch.candidates().rows()[0]["sha256"]
    with served(case.ws.root) as url:
        one, two = browser.new_page(), browser.new_page()
        for page in (one, two):
            page.goto(f"{url}/batches/{batch.id}")
            page.wait_for_load_state("networkidle")
            page.keyboard.press("ArrowRight")
        _press(one, "x")
        _press(two, "k")
        two.wait_for_selector("#stale[open]")
        assert "delete" in two.inner_text("#stale-list")
        assert batch.marks()[sha].action == Action.DELETE
        two.click("#stale button")
        _press(two, "k")
        assert batch.marks()[sha].action == Action.KEEP
        one.close()
        two.close()


def test_without_javascript(browser: Any, case: Case) -> None:  # noqa: F811
    batch = case.open_batch()
    first, second = (r["sha256"] for r in batch.candidates().rows()[:2])
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800})
    with served(case.ws.root) as url:
        page = context.new_page()
        page.goto(f"{url}/batches/{batch.id}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.check(f"#c-{first} input[value=delete]")
        page.click("button[value=save]")
        assert batch.marks()[first].action == Action.DELETE
        mark(batch, [Mark(second, Action.DELETE)], who="Bob")
        page.check(f"#c-{second} input[value=keep]")
        page.click("button[value=save]")
        assert "Somebody else was here" in page.content()
        assert batch.marks()[second].action == Action.DELETE
        page.click("main a.button")
        page.click("button[value=submit]")
        page.fill("input[name=who]", "Ada")
        page.click("button[value=send_back]")
        assert load_batch(case.ws, batch.id).status == BatchStatus.SENT_BACK
        page.click("text=Open it again")
        assert load_batch(case.ws, batch.id).status == BatchStatus.OPEN
    context.close()
