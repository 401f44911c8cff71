"""A real Chromium clicks and types through a batch; what it decided is read from the disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keepset.reasons import Action
from keepset.review import BatchStatus, Mark, list_batches, load_batch, mark, submit
from tests.browser_fixtures import Browser, at_rank, expect, press, saved
from tests.review_fixtures import Case, make_case
from tests.web_fixtures import large_batch, served

pytestmark = pytest.mark.browser


def test_a_batch_by_keyboard(browser: Browser, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # else it would be retrained here
    batch = case.open_batch()
    rows = batch.candidates().rows()
    labels = batch.labels
    with served(case.ws.root) as url, browser.page() as page:
        page.goto(f"{url}/batches/{batch.id}")
        press(page, "x")
        assert batch.marks()[rows[0]["sha256"]].action == Action.DELETE
        at_rank(page, 1)  # a decision moves on
        press(page, "u")
        assert batch.marks() == {}
        press(page, "U")
        assert batch.marks()[rows[0]["sha256"]].action == Action.DELETE
        page.keyboard.press("n")
        other = next(i for i, x in enumerate(labels) if x != rows[1]["label"])
        press(page, str(other + 1))
        assert batch.marks()[rows[1]["sha256"]].label == labels[other]
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("r")
        third = next(x for x in labels if x not in (rows[1]["label"], labels[other]))
        page.keyboard.type(third[:3])
        press(page, "Enter")
        assert batch.marks()[rows[1]["sha256"]].label == third
        page.keyboard.press("?")
        assert page.locator("#keys").is_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("a")
        press(page, "k")
        assert {m.action for m in batch.marks().values()} == {Action.KEEP}
        press(page, "u")
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
    approval = load_batch(case.ws, batch.id).approval()
    assert approval.who == "Ada"
    assert approval.via == "gallery"
    assert approval.decisions[rows[0]["sha256"]]["action"] == "delete"
    assert approval.decisions[rows[1]["sha256"]]["label"] == third


def test_a_closed_batch_opens_at_its_top(browser: Browser, case: Case) -> None:
    """What became of it is above the pictures: the page must not scroll past it to the tile that had the focus."""
    batch = case.open_batch()
    with served(case.ws.root) as url, browser.page(viewport={"width": 320, "height": 300}) as page:
        page.goto(f"{url}/batches/{batch.id}")
        for _ in range(len(batch.candidates().rows())):
            page.keyboard.press("ArrowRight")
        assert page.evaluate("scrollY") > 0
        submit(batch, "reject", who="ada")
        page.goto(f"{url}/batches/{batch.id}?notice=recorded")
        assert page.locator(".decision").is_visible()
        assert page.evaluate("scrollY") == 0


def test_a_stale_tab_overwrites_nothing(browser: Browser, case: Case) -> None:
    batch = case.open_batch()
    sha = batch.candidates().rows()[0]["sha256"]
    with served(case.ws.root) as url, browser.page() as one, browser.page() as two:
        for page in (one, two):
            page.goto(f"{url}/batches/{batch.id}")
            page.wait_for_load_state("networkidle")  # it asks for other people's marks when it is shown
        press(one, "x")
        press(two, "k")
        two.wait_for_selector("#stale[open]")
        assert "delete" in two.inner_text("#stale-list")
        assert batch.marks()[sha].action == Action.DELETE
        two.click("#stale button")
        press(two, "k")
        assert batch.marks()[sha].action == Action.KEEP


def test_without_javascript(browser: Browser, case: Case) -> None:
    batch = case.open_batch()
    first, second = (r["sha256"] for r in batch.candidates().rows()[:2])
    small = {"width": 390, "height": 800}
    with served(case.ws.root) as url, browser.page(java_script_enabled=False, viewport=small) as page:
        page.goto(f"{url}/batches/{batch.id}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.check(f"#c-{first} input[value=delete]")
        with saved(page):
            page.click("button[value=save]")
        assert batch.marks()[first].action == Action.DELETE
        mark(batch, [Mark(second, Action.DELETE)], who="Bob")
        page.check(f"#c-{second} input[value=keep]")
        with saved(page):
            page.click("button[value=save]")
        expect(page.get_by_text("Someone else changed this batch").first).to_be_visible()
        assert batch.marks()[second].action == Action.DELETE
        page.click("main a.button")
        page.click("button[value=submit]")
        page.click("#forecast a")
        assert page.locator("#forecast .says").is_visible()
        page.go_back()
        page.fill("input[name=who]", "Ada")
        with saved(page):
            page.click("button[value=send_back]")
        assert load_batch(case.ws, batch.id).status == BatchStatus.SENT_BACK
        with saved(page):
            page.click("text=Open it again")
        assert load_batch(case.ws, batch.id).status == BatchStatus.OPEN


def test_a_thousand_candidates_keep_their_place(browser: Browser, case: Case) -> None:
    """A page and an answer are no larger than with few (``bench/review/opening.py`` measures how quick they are)."""
    batch = large_batch(case, 1000)
    rows = batch.candidates().rows()
    mark(batch, [Mark(r["sha256"], Action.KEEP) for r in rows[200:800]], who="gallery")
    with served(batch.ws.root) as url, browser.page() as page:
        page.goto(f"{url}/batches/{batch.id}?sort=suspicion")
        assert page.locator(".card").count() < 200
        with page.expect_response(lambda r: r.request.method == "POST") as answer:
            page.keyboard.press("x")
        assert page.locator(".card").first.get_attribute("data-action") == "delete"
        assert len(answer.value.body()) < 2000

        for _ in range(2):
            page.keyboard.press("ArrowLeft")  # nothing before the first page
        for _ in range(120):
            page.keyboard.press("l")
        page.keyboard.press("x")  # meant for the next page, which is on its way: decides nothing here
        page.wait_for_url("**page=2")
        at_rank(page, 120)
        assert rows[119]["sha256"] not in batch.marks()
        page.keyboard.press("h")
        page.wait_for_url("**page=1")
        at_rank(page, 119)

        page.select_option("select[name=split]", "train")
        page.wait_for_url("**split=train**")
        at_rank(page, 119)
        assert page.locator(f"#c-{rows[1]['sha256']}").count() == 1

        page.goto(f"{url}/batches/{batch.id}?sort=suspicion&at=199")
        at_rank(page, 199)
        page.keyboard.press("n")  # over 600 that are marked
        page.wait_for_url("**next=*")
        at_rank(page, 800)


def test_full_view_and_typing_a_class(browser: Browser, case: Case) -> None:
    batch = large_batch(case, 6)
    shas = [r["sha256"] for r in batch.candidates().rows()]
    with served(batch.ws.root) as url, browser.page() as page:
        page.route("**/pictures/*?part=yes", lambda r: (page.wait_for_timeout(300), r.continue_()))  # keys come first
        page.goto(f"{url}/batches/{batch.id}")
        page.keyboard.press("l")
        page.keyboard.press(" ")
        assert page.locator("#full").is_visible()
        page.keyboard.press("l")
        assert shas[2] in page.locator("#full-picture").get_attribute("src")
        assert page.inner_text("#full-mark") == "Not decided"
        page.keyboard.press("?")
        assert page.locator("#keys").is_visible()
        page.keyboard.press("x")  # decides nothing on the picture below the help
        page.keyboard.press("Escape")
        assert page.locator("#keys").is_hidden()
        assert page.inner_text("#full-mark") == "Not decided"
        press(page, "x")
        assert shas[3] in page.locator("#full-picture").get_attribute("src")  # a decision moves on
        page.keyboard.press("h")
        assert page.inner_text("#full-mark") == "✕ Delete"
        page.keyboard.press("c")  # it has a copy
        sides = page.locator("#full-copies figure")
        sides.nth(1).wait_for()
        assert sides.count() == 2
        other = page.locator(f"#full-copies figure[data-sha='{shas[1]}']")
        with saved(page):
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
        expect(sides).to_have_count(0)
        page.click("#full-next")
        assert shas[3] in page.locator("#full-picture").get_attribute("src")
        with saved(page):
            page.click("#full-side [data-act=delete]")
        page.keyboard.press("h")
        assert page.inner_text("#full-mark") == "✕ Delete"
        press(page, "Enter")  # takes the suggestion; it does not press the button that had the focus
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
        at_rank(page, 2)
        assert batch.marks()[shas[1]].action == Action.KEEP


def test_several_are_selected_with_the_mouse_and_decided_as_one(browser: Browser, case: Case) -> None:
    batch = large_batch(case, 40)
    shas = [r["sha256"] for r in batch.candidates().rows()]
    with served(batch.ws.root) as url, browser.page(viewport={"width": 1400, "height": 900}) as page:
        page.goto(f"{url}/batches/{batch.id}?sort=suspicion")  # no tile gives way to another
        for _ in range(3):
            page.keyboard.press("ArrowDown")
            box, bar = page.locator(".card:focus").bounding_box(), page.locator(".bar").bounding_box()
            assert box["y"] + box["height"] <= bar["y"]  # the focused card is not under the bar
        cards = page.locator(".card")
        cards.nth(3).click(modifiers=["Control"])
        cards.nth(6).click(modifiers=["Shift"])
        cards.nth(5).click(modifiers=["Control"])
        assert page.inner_text("#chosen") == "3 selected"
        assert page.locator("#full").is_hidden()
        press(page, "x")
        assert {s for s, m in batch.marks().items() if m.action == Action.DELETE} == {shas[i] for i in (3, 4, 6)}
        assert page.inner_text("#chosen") == "Picture 8"
        press(page, "u")  # one step
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
        expect(page.locator("#full")).to_be_visible()


def test_fingers_select_and_sweep(browser: Browser, case: Case) -> None:
    batch = large_batch(case, 12)
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with served(batch.ws.root) as url, browser.page(**phone) as page:
        page.goto(f"{url}/batches/{batch.id}?sort=suspicion")
        fingers = page.context.new_cdp_session(page)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            at = [{"x": x, "y": y} for x, y in points]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

        box = page.locator(".card").nth(1).bounding_box()
        touch("touchStart", (box["x"] + 50, box["y"] + 50))
        page.locator("#chosen:has-text('1 selected')").wait_for()
        touch("touchEnd")
        page.locator(".card").nth(2).tap()
        expect(page.locator("#chosen")).to_have_text("2 selected")
        page.locator("#bar [data-act=delete]").tap()
        page.get_by_text("2 of 12 decided").wait_for()
        page.locator(".card").nth(4).tap()
        for start, end, place in ((300, 100, "Picture 6"), (100, 300, "Picture 5"), (200, 190, "Picture 5")):
            touch("touchStart", (start, 200))
            touch("touchMove", (end, 205))
            touch("touchEnd")
            page.locator(f"#full-place:has-text('{place}')").wait_for()


def test_a_decided_batch_can_be_looked_at_and_no_more(browser: Browser, case: Case) -> None:
    batch = case.open_batch()
    submit(batch, "reject", who="ann")
    with served(case.ws.root) as url, browser.page() as page:
        page.goto(f"{url}/batches/{batch.id}")
        for key in (*"lxk1asgmurn?i", "Escape", "Enter", "Backspace", " "):
            page.keyboard.press(key)
        page.locator("#full .about").wait_for()
        for key in (*"lxcf", "Escape"):
            page.keyboard.press(key)
    assert batch.marks() == {}


def test_all_suggestions_of_the_filter_are_taken_as_one_step(browser: Browser, case: Case) -> None:
    batch = large_batch(case, 150)  # more than a page
    rows = batch.candidates().rows()
    asked = rows[0]["suggestion"], rows[0]["suggested_label"]
    valid = {r["sha256"] for r in rows if r["split"] == "valid"}
    mark(batch, [Mark(rows[0]["sha256"], Action.KEEP)], who="ann")
    with served(batch.ws.root) as url, browser.page() as page:
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
        press(page, "u")
        assert set(batch.marks()) == {rows[0]["sha256"]}


def test_a_mark_that_cannot_be_saved_is_taken_back_and_said(browser: Browser, case: Case) -> None:
    """In the full view too; and a page with a decision that was refused is not left."""
    batch = case.open_batch()
    with served(case.ws.root) as url, browser.page() as page:
        page.goto(f"{url}/batches/{batch.id}")
        page.wait_for_load_state("networkidle")
        page.route("**/marks*", lambda route: (page.wait_for_timeout(300), route.abort()))
        page.keyboard.press("x")
        page.keyboard.press("Control+Enter")  # before the answer
        page.keyboard.press("k")
        expect(page.locator("#said")).to_contain_text("Not saved")
        expect(page.locator("body")).not_to_have_attribute("inert", "")
        for n in (0, 1):  # a slow k may come after the page is back, and is then refused too
            expect(page.locator(".card").nth(n)).to_have_attribute("data-action", "")
        page.keyboard.press(" ")
        page.keyboard.press("k")
        expect(page.locator("#full #said")).to_contain_text("Not saved")
        assert page.url == f"{url}/batches/{batch.id}"
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


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 320)])
def test_every_page_is_accessible_and_fits(browser: Browser, tmp_path: Path, scheme: str, width: int) -> None:
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
    small = list_batches(drawn.ws)[0]
    wrongly = {s: next(x for x in labels if x != drawn.truth[s]) for s in sorted(small.markable())}
    mark(small, [Mark(s, Action.RELABEL, label) for s, label in wrongly.items()], who="ann")
    size = {"width": width, "height": 844}
    with served(batch.ws.root) as url, browser.page(color_scheme=scheme, viewport=size, bypass_csp=True) as page:
        for path in (
            "/",
            "/log",
            "/nope",
            f"/pictures/{shas[2]}",
            f"/batches/{small.id}/forecast",
            *(f"/batches/{batch.id}{p}" for p in ("/submit", f"/pictures/{shas[2]}", "")),
        ):
            page.goto(url + path)
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
