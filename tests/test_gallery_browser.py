"""A real Chromium clicks and types through a batch; what it decided is read from the disk."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Error as PlaywrightError

from keepset.reasons import Action
from keepset.review import BatchStatus, Mark, load_batch, mark, submit
from tests.review_fixtures import Case, case, make_case  # noqa: F401 - a fixture
from tests.web_fixtures import large_batch, served

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


def test_a_batch_by_keyboard(browser: Any, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # else it would be retrained here
    batch = case.open_batch()
    rows = batch.candidates().rows()
    labels = batch.record.labels
    page = browser.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda e: troubles.append(str(e)))
    with served(case.ws.root) as url:
        page.goto(f"{url}/batches/{batch.id}")
        page.wait_for_load_state("networkidle")
        _press(page, "x")
        assert batch.marks()[rows[0]["sha256"]].action == Action.DELETE
        _at_rank(page, 1)  # a decision moves on
        _press(page, "u")
        assert batch.marks() == {}
        _press(page, "U")
        assert batch.marks()[rows[0]["sha256"]].action == Action.DELETE
        page.keyboard.press("n")
        other = next(i for i, x in enumerate(labels) if x != rows[1]["label"])
        _press(page, str(other + 1))
        assert batch.marks()[rows[1]["sha256"]].label == labels[other]
        page.keyboard.press("ArrowLeft")
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
        page.wait_for_selector("#forecast .says")
        assert "36 pictures" in page.inner_text("#forecast .says") or "35 pictures" in page.inner_text(
            "#forecast .says"
        )
        page.fill("input[name=who]", "Ada")
        page.keyboard.press("Enter")  # approves nothing
        assert load_batch(case.ws, batch.id).approval() is None
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


def test_a_closed_batch_opens_at_its_top(browser: Any, case: Case) -> None:  # noqa: F811
    """What became of it is above the pictures: the page must not scroll past it to the tile that had the focus."""
    batch = case.open_batch()
    with served(case.ws.root) as url:
        page = browser.new_page(viewport={"width": 320, "height": 300})
        page.goto(f"{url}/batches/{batch.id}")
        page.wait_for_load_state("networkidle")
        for _ in range(len(batch.candidates().rows())):
            page.keyboard.press("ArrowRight")
        assert page.evaluate("scrollY") > 0
        submit(batch, "reject", who="ada")
        page.goto(f"{url}/batches/{batch.id}?notice=recorded")
        page.wait_for_load_state("networkidle")
        assert page.locator(".decision").is_visible()
        assert page.evaluate("scrollY") == 0
        page.close()


def test_a_stale_tab_overwrites_nothing(browser: Any, case: Case) -> None:  # noqa: F811
    batch = case.open_batch()
    sha = batch.candidates().rows()[0]["sha256"]
    with served(case.ws.root) as url:
        one, two = browser.new_page(), browser.new_page()
        for page in (one, two):
            page.goto(f"{url}/batches/{batch.id}")
            page.wait_for_load_state("networkidle")
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
        assert "Someone else changed this batch" in page.content()
        assert batch.marks()[second].action == Action.DELETE
        page.click("main a.button")
        page.click("button[value=submit]")
        page.click("#forecast a")
        assert page.locator("#forecast .says").is_visible()
        page.go_back()
        page.fill("input[name=who]", "Ada")
        page.click("button[value=send_back]")
        assert load_batch(case.ws, batch.id).status == BatchStatus.SENT_BACK
        page.click("text=Open it again")
        assert load_batch(case.ws, batch.id).status == BatchStatus.OPEN
    context.close()


def _at_rank(page: Any, rank: int) -> None:
    """Wait until this card has the focus; the page's policy forbids waiting inside of it."""
    until, seen = time.monotonic() + 30, None
    while seen != str(rank):
        assert time.monotonic() < until, f"at {seen}, not {rank}"
        with contextlib.suppress(PlaywrightError):  # the page is just being left
            seen = page.evaluate("document.activeElement.dataset.rank")
        time.sleep(0.05)


_KEY = """async (key) => {
  const card = document.activeElement.closest(".card"), before = card.dataset.action, begin = performance.now();
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
  while (card.dataset.action === before) await new Promise((r) => setTimeout(r, 1));
  await new Promise((r) => requestAnimationFrame(() => setTimeout(r)));
  return performance.now() - begin;
}"""
"""Milliseconds from a key to the mark painted."""


def test_five_thousand_candidates_are_quick_and_keep_their_place(browser: Any, tmp_path: Path) -> None:
    """Bounds a hundred times above what an idle machine takes (docs/reviewing.md), for busy ones."""
    batch = large_batch(make_case(tmp_path), 5000)
    rows = batch.candidates().rows()
    mark(batch, [Mark(r["sha256"], Action.KEEP) for r in rows[200:4000]], who="gallery")
    with served(batch.ws.root) as url:
        page = browser.new_page()
        page.goto(f"{url}/batches/{batch.id}?sort=suspicion")
        page.wait_for_load_state("networkidle")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        assert paint < 10_000
        assert page.locator(".card").count() < 200
        with page.expect_response("**/marks?since=*") as answer:
            assert page.evaluate(_KEY, "x") < 1000
        assert len(answer.value.body()) < 2000

        for _ in range(2):
            page.keyboard.press("ArrowLeft")  # nothing before the first page
        for _ in range(120):
            page.keyboard.press("l")
        page.wait_for_url("**page=2")
        _at_rank(page, 120)
        page.keyboard.press("h")
        page.wait_for_url("**page=1")
        _at_rank(page, 119)

        page.select_option("select[name=split]", "train")
        page.wait_for_url("**split=train**")
        _at_rank(page, 119)
        assert "split=train" in page.url
        assert page.locator(f"#c-{rows[1]['sha256']}").count() == 1

        page.goto(f"{url}/batches/{batch.id}?sort=suspicion&at=199")
        _at_rank(page, 199)
        page.keyboard.press("n")  # over 3,800 that are marked
        page.wait_for_url("**next=*")
        _at_rank(page, 4000)
        page.close()


def test_full_view_and_typing_a_class(browser: Any, tmp_path: Path) -> None:
    batch = large_batch(make_case(tmp_path), 6)
    shas = [r["sha256"] for r in batch.candidates().rows()]
    with served(batch.ws.root) as url:
        page = browser.new_page()
        page.route("**/pictures/*?part=yes", lambda r: (page.wait_for_timeout(300), r.continue_()))  # keys come first
        page.goto(f"{url}/batches/{batch.id}")
        page.keyboard.press("l")
        page.keyboard.press(" ")
        assert page.locator("#full").is_visible()
        page.keyboard.press("l")
        assert shas[2] in page.locator("#full-picture").get_attribute("src")
        assert page.inner_text("#full-mark") == "Not decided"
        _press(page, "x")
        assert shas[3] in page.locator("#full-picture").get_attribute("src")  # a decision moves on
        page.keyboard.press("h")
        assert page.inner_text("#full-mark") == "✕ Delete"
        page.keyboard.press("c")  # it has a copy
        sides = page.locator("#full-copies figure")
        sides.nth(1).wait_for()
        assert sides.count() == 2
        other = page.locator(f"#full-copies figure[data-sha='{shas[1]}']")
        with page.expect_response("**/marks?*"):
            other.get_by_role("button", name="Keep").click()
        assert batch.marks()[shas[1]].action == Action.KEEP
        page.locator(f"#full-copies figure[data-sha='{shas[1]}'][data-action=keep]").wait_for()
        page.locator(f"#full-body .similar[data-sha='{shas[1]}']").click()
        assert shas[1] in page.locator("#full-picture").get_attribute("src")
        assert "go back" in page.inner_text("#full-peek")
        page.locator(f"#full-body .similar[data-sha='{shas[1]}']").click()
        assert shas[2] in page.locator("#full-picture").get_attribute("src")
        page.keyboard.press("f")
        page.locator("#full-copies figure:nth-child(2).on").wait_for()
        assert sides.nth(0).is_hidden()
        page.keyboard.press("f")
        assert sides.count() == 0
        page.click("#full-next")
        assert shas[3] in page.locator("#full-picture").get_attribute("src")
        page.click("#full-side [data-act=delete]")
        page.keyboard.press("h")
        assert page.inner_text("#full-mark") == "✕ Delete"
        page.keyboard.press("Enter")  # takes the suggestion; it does not press the button that had the focus
        page.keyboard.press("h")
        page.keyboard.press("h")
        assert shas[2] in page.locator("#full-picture").get_attribute("src")
        page.keyboard.press(" ")
        assert page.locator("#full").is_hidden()
        assert batch.marks()[shas[2]].action == Action.DELETE

        page.keyboard.press("r")
        page.keyboard.type("unicorn")
        page.keyboard.press("Enter")
        assert page.locator("#relabel").is_visible()
        assert "no class like 'unicorn'" in page.inner_text("#relabel-none")
        page.keyboard.press("Escape")
        assert batch.marks()[shas[2]].action == Action.DELETE

        page.goto(f"{url}/batches/{batch.id}/pictures/{shas[2]}")
        page.check(f"input[name='m:{shas[1]}'][value=keep]")
        page.click("button[value=save]")
        page.wait_for_url("**at=2")
        _at_rank(page, 2)
        assert batch.marks()[shas[1]].action == Action.KEEP
        page.close()


def test_several_are_selected_with_the_mouse_and_decided_as_one(browser: Any, tmp_path: Path) -> None:
    batch = large_batch(make_case(tmp_path), 40)
    shas = [r["sha256"] for r in batch.candidates().rows()]
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    with served(batch.ws.root) as url:
        page.goto(f"{url}/batches/{batch.id}")
        page.wait_for_load_state("networkidle")
        cards = page.locator(".card")
        cards.nth(3).click(modifiers=["Control"])
        cards.nth(6).click(modifiers=["Shift"])
        cards.nth(5).click(modifiers=["Control"])
        assert page.inner_text("#chosen") == "3 selected"
        assert page.locator("#full").is_hidden()
        _press(page, "x")
        assert {s for s, m in batch.marks().items() if m.action == Action.DELETE} == {shas[i] for i in (3, 4, 6)}
        assert page.inner_text("#chosen") == "Picture 8"
        _press(page, "u")  # one step
        assert batch.marks() == {}

        a, b = cards.nth(9).bounding_box(), cards.nth(18).bounding_box()
        page.mouse.move(a["x"] + 60, a["y"] + 60)
        page.mouse.down()
        page.mouse.move(b["x"] + 60, b["y"] + 60, steps=3)
        page.mouse.up()
        assert page.locator("#full").is_hidden()
        assert page.inner_text("#chosen") == "4 selected"  # 9, 10, 17, 18: eight in a row
        page.click("#bar [data-act=keep]")
        page.get_by_text("4 of 40 decided").wait_for()
        cards.nth(20).hover()
        cards.nth(20).locator(".tick").click()
        assert page.inner_text("#chosen") == "1 selected"
        page.keyboard.press("Escape")
        cards.nth(20).click()
        assert page.locator("#full").is_visible()
        page.close()


def test_fingers_select_and_sweep(browser: Any, tmp_path: Path) -> None:
    batch = large_batch(make_case(tmp_path), 12)
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    with served(batch.ws.root) as url:
        page = context.new_page()
        page.goto(f"{url}/batches/{batch.id}?sort=suspicion")
        page.wait_for_load_state("networkidle")
        fingers = context.new_cdp_session(page)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            at = [{"x": x, "y": y} for x, y in points]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

        box = page.locator(".card").nth(1).bounding_box()
        touch("touchStart", (box["x"] + 50, box["y"] + 50))
        page.locator("#chosen:has-text('1 selected')").wait_for()
        touch("touchEnd")
        page.locator(".card").nth(2).tap()
        assert page.inner_text("#chosen") == "2 selected"
        page.locator("#bar [data-act=delete]").tap()
        page.get_by_text("2 of 12 decided").wait_for()
        page.locator(".card").nth(4).tap()
        for start, end, place in ((300, 100, "Picture 6"), (100, 300, "Picture 5"), (200, 190, "Picture 5")):
            touch("touchStart", (start, 200))
            touch("touchMove", (end, 205))
            touch("touchEnd")
            page.locator(f"#full-place:has-text('{place}')").wait_for()
    context.close()


def test_a_decided_batch_can_be_looked_at_and_no_more(browser: Any, case: Case) -> None:  # noqa: F811
    batch = case.open_batch()
    submit(batch, "reject", who="ann")
    page = browser.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda e: troubles.append(str(e)))
    with served(case.ws.root) as url:
        page.goto(f"{url}/batches/{batch.id}")
        page.wait_for_load_state("networkidle")
        for key in (*"lxk1asgmurn?i", "Escape", "Enter", "Backspace", " "):
            page.keyboard.press(key)
        page.locator("#full .about").wait_for()
        for key in (*"lxcf", "Escape"):
            page.keyboard.press(key)
        page.close()
    assert troubles == []
    assert batch.marks() == {}


def test_all_suggestions_of_the_filter_are_taken_as_one_step(browser: Any, tmp_path: Path) -> None:
    batch = large_batch(make_case(tmp_path), 150)  # more than a page
    rows = batch.candidates().rows()
    asked = rows[0]["suggestion"], rows[0]["suggested_label"]
    valid = {r["sha256"] for r in rows if r["split"] == "valid"}
    mark(batch, [Mark(rows[0]["sha256"], Action.KEEP)], who="ann")
    context = browser.new_context()
    with served(batch.ws.root) as url:
        page = context.new_page()
        page.goto(f"{url}/batches/{batch.id}?split=valid")
        assert page.inner_text("#take-what") == f"Take all {len(valid) - 1} suggestions"
        assert page.inner_text("#take-how") == f"{asked[0]} {len(valid) - 1}; leaves 0 for you"
        page.click("#take")
        page.get_by_text(f"Took {len(valid) - 1} suggestions").wait_for()
        marks = batch.marks()
        assert set(marks) == valid
        assert marks[rows[0]["sha256"]].who == "ann"
        assert {(m.action, m.label) for m in marks.values() if m.who != "ann"} == {asked}
        assert page.locator("#take").is_hidden()
        _press(page, "u")
        assert set(batch.marks()) == {rows[0]["sha256"]}
    context.close()


def test_a_mark_that_cannot_be_saved_is_taken_back_and_said(browser: Any, case: Case) -> None:  # noqa: F811
    batch = case.open_batch()
    with served(case.ws.root) as url:
        page = browser.new_page()
        page.goto(f"{url}/batches/{batch.id}")
        page.wait_for_load_state("networkidle")
        page.route("**/marks*", lambda route: route.abort())
        page.keyboard.press("x")
        page.get_by_text("Not saved").wait_for()
        assert page.locator(".card").first.get_attribute("data-action") == ""
        page.close()
    assert batch.marks() == {}


_AXE = """async () => (await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}))
  .violations.map((v) => `${v.id}: ${v.nodes[0].html.slice(0, 100)}`)
  .concat(document.documentElement.scrollWidth > innerWidth ? ["wider than the window"] : [])"""


def _troubles(page: Any) -> list[str]:
    """What axe-core finds (WCAG 2.2 AA and its best practices), and whether the page scrolls sideways."""
    axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
    found: list[str] = page.evaluate(_AXE)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 320])
def test_every_page_is_accessible_and_fits(browser: Any, tmp_path: Path, scheme: str, width: int) -> None:
    """With a long name of the data set, and class names that are long, right-to-left and an emoji."""
    labels = ("apple_of_the_northern_orchards_of_2026_abc", "\u05d3\u05d1 \u05e9\u05d7\u05d5\u05e8", "\U0001f9f8 boat")
    drawn = make_case(tmp_path, labels=labels)
    (card := drawn.ws.root / "keepset.json").write_text(
        json.dumps(json.loads(card.read_text()) | {"name": "bears_hillside_of_the_northern_valley_2026"})
    )
    batch = large_batch(drawn, 8)
    shas = [r["sha256"] for r in batch.candidates().rows()]
    marks = [Mark(shas[0], Action.DELETE), Mark(shas[1], Action.KEEP), Mark(shas[3], Action.RELABEL, labels[1])]
    mark(batch, marks, who="ann")
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 844}, bypass_csp=True)
    with served(batch.ws.root) as url:
        page = context.new_page()
        for path in (
            "/",
            "/log",
            "/nope",
            f"/pictures/{shas[2]}",
            *(f"/batches/{batch.id}{p}" for p in ("/submit", f"/pictures/{shas[2]}", "")),
        ):
            page.goto(url + path)
            page.wait_for_load_state("networkidle")
            assert _troubles(page) == [], path
        page.locator(".tick").nth(4).dispatch_event("click")
        assert _troubles(page) == [], "a selection"
        for key in "r?":
            page.keyboard.press(key)
            assert _troubles(page) == [], key
            page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        page.locator(f"#c-{shas[2]} .pic").click()
        page.locator("#full .about").wait_for()
        assert _troubles(page) == [], "the full view"
        page.keyboard.press("c")
        page.locator("#full-copies figure").nth(1).wait_for()
        assert _troubles(page) == [], "copies"
    context.close()


def test_the_focused_card_is_not_under_the_bar(browser: Any, tmp_path: Path) -> None:
    batch = large_batch(make_case(tmp_path), 40)
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    with served(batch.ws.root) as url:
        page.goto(f"{url}/batches/{batch.id}")
        page.wait_for_load_state("networkidle")
        for _ in range(3):
            page.keyboard.press("ArrowDown")
            box, bar = page.locator(".card:focus").bounding_box(), page.locator(".bar").bounding_box()
            assert box["y"] + box["height"] <= bar["y"]
