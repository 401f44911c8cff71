"""All like this, stacks, and an order that learns, in a real Chromium: what was decided is read from the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keepset.reasons import Action
from keepset.review import Mark, mark
from keepset.review.ordering import Sort, like, ordered, stacks_of
from tests.browser_fixtures import Browser, expect, press, saved
from tests.processes import wait_for
from tests.test_gallery_browser import _troubles
from tests.test_review_similar import Scene, make_scene
from tests.web_fixtures import served

pytestmark = pytest.mark.browser
SEEN = "() => [...document.querySelectorAll('.card')].map((c) => Number(c.dataset.rank))"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("alike"), 400)


@pytest.fixture(scope="module")
def url(scene: Scene) -> Iterator[str]:
    with served(scene.batch.ws.root) as address:
        yield f"{address}/batches/{scene.batch.id}"


@pytest.fixture
def page(browser: Browser, scene: Scene) -> Iterator[Any]:
    """A page of 1400 x 900 that must not report an error; every mark is taken away afterwards."""
    with browser.page(viewport={"width": 1400, "height": 900}) as page:
        yield page
    mark(scene.batch, [Mark(s, None) for s in scene.batch.marks()], who="tests")


def test_all_like_this_by_keys(page: Any, scene: Scene, url: str) -> None:
    """Select by the slider, leave one out, delete the rest in one step, undo it, and go back."""
    page.goto(url)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")  # rank 2 is junk
    page.keyboard.press("m")
    page.wait_for_url("**like=*")
    order, how = like(scene.batch, [scene.shas[2]])
    assert page.evaluate(SEEN) == order[:240].tolist()
    page.locator("#likeness:focus").wait_for()
    chosen = [int(r) for r in order[: int((np.round(how, 3) >= 0.35).sum())]]
    assert page.inner_text("#chosen") == f"{len(chosen)} selected"
    page.keyboard.press("ArrowRight")
    chosen = [int(r) for r in order[: int((np.round(how, 3) >= 0.34).sum())]]
    assert page.inner_text("#chosen") == f"{len(chosen)} selected"
    page.locator(f"#c-{scene.shas[chosen[-1]]}").click(modifiers=["Control"])
    press(page, "x")
    assert {s for s, m in scene.batch.marks().items() if m.action == Action.DELETE} == {
        scene.shas[r] for r in chosen[:-1]
    }
    press(page, "u")
    assert scene.batch.marks() == {}
    page.keyboard.press("Escape")
    page.wait_for_url("**at=*")


def test_the_slider_changes_nothing_but_the_selection(page: Any, scene: Scene, url: str) -> None:
    page.goto(f"{url}?like={scene.shas[2]},{scene.shas[7]}&show=undecided")
    page.locator("#likeness:focus").wait_for()
    before, counts, asked = page.evaluate(SEEN), [], []
    page.on("request", lambda r: asked.append(r.url))
    for _ in range(6):
        page.keyboard.press("ArrowRight")
        counts.append(page.locator(".card.selected").count())
    assert counts == sorted(counts)
    assert counts[-1] > counts[0] >= 2
    assert page.evaluate(SEEN) == before
    assert [u for u in asked if "/thumbs/" not in u and "/pictures/" not in u] == []


def test_a_stack_opens_closes_and_goes_in_one_click(page: Any, scene: Scene, url: str) -> None:
    stack = stacks_of(scene.batch)[0]
    page.goto(f"{url}?sort=alike")
    head = page.locator(".pile").first
    assert f"{len(stack.ranks)} alike: graphic" in head.inner_text()
    shown = page.locator(".card:visible")
    closed = shown.count()
    head.get_by_role("button", name="more").click()
    assert shown.count() == closed + len(stack.ranks) - 5
    head.get_by_role("button", name="Close").click()
    assert shown.count() == closed
    with saved(page):
        head.get_by_role("button", name="Delete all").click()
    assert set(scene.batch.marks()) == {scene.shas[r] for r in stack.ranks}
    press(page, "u")
    assert scene.batch.marks() == {}


def test_arrows_open_a_stack_and_g_selects_it(page: Any, scene: Scene, url: str) -> None:
    stack = stacks_of(scene.batch)[0]
    page.goto(f"{url}?sort=alike")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.rank") == str(stack.ranks[6])
    assert page.locator(".card.folded").count() == 0 or page.locator(".card:focus").is_visible()
    page.keyboard.press("g")
    assert page.inner_text("#chosen") == f"{len(stack.ranks)} selected"


def test_marks_bring_likely_trouble_below_the_screen_and_move_nothing_on_it(page: Any, scene: Scene, url: str) -> None:
    page.goto(url)
    before = page.evaluate(SEEN)
    assert before == list(range(120))
    visible = _visible(page)
    assert 30 < visible < 110
    after = _learned(page, scene, 10, visible)
    assert len(set(after)) == 120
    assert scene.junk[after[visible:]].mean() > 2 * scene.junk[before[visible:]].mean()
    press(page, "u")

    page.goto(f"{url}?sort=suspicion")  # the switch
    assert page.evaluate(SEEN) == before


def _visible(page: Any) -> int:
    """The number of tiles on the screen; those below it may give way to others."""
    tops = "[...document.querySelectorAll('.card')].map((c) => c.getBoundingClientRect().top < innerHeight)"
    return sum(page.evaluate(tops))


def _learned(page: Any, scene: Scene, n: int, visible: int) -> list[int]:
    """Decide the first ``n`` rightly; the ranks on the page when the tiles below its first ``visible`` have followed."""
    stay = page.evaluate(SEEN)[:visible]
    for rank in range(n):
        press(page, "x" if scene.junk[rank] else "k")
    learned = [r for r in ordered(scene.batch, scene.batch.marks(), Sort.LEARNED).tolist() if r not in stay]
    wanted = stay + learned[: 120 - visible]
    wait_for(lambda: page.evaluate(SEEN) == wanted, "the tiles below the screen to follow the marks")
    return wanted


def test_a_tile_that_came_later_can_be_decided(page: Any, scene: Scene, url: str) -> None:
    page.goto(url)
    _learned(page, scene, 5, _visible(page))
    last = page.locator(".card").last
    sha = last.get_attribute("data-sha")
    last.scroll_into_view_if_needed()
    last.click(modifiers=["Control"])
    press(page, "x")
    assert scene.batch.marks()[sha].action == Action.DELETE
    expect(page.locator(f"#c-{sha}")).to_have_attribute("data-action", "delete")


def test_without_javascript_like_and_sort_are_plain_pages(browser: Browser, scene: Scene, url: str) -> None:
    with browser.page(java_script_enabled=False, viewport={"width": 390, "height": 800}) as page:
        page.goto(f"{url}?sort=alike")
        assert page.evaluate(SEEN)[: len(stacks_of(scene.batch)[0].ranks)] == list(stacks_of(scene.batch)[0].ranks)
        page.goto(url)
        page.locator(f"#c-{scene.shas[2]} a.alike").click()
        page.wait_for_url("**like=*")
        assert page.evaluate(SEEN) == like(scene.batch, [scene.shas[2]])[0][:240].tolist()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.check(f"#c-{scene.shas[2]} input[value=delete]")
        with saved(page):
            page.click("button[value=save]")
        assert scene.batch.marks()[scene.shas[2]].action == Action.DELETE
        assert "like=" in page.url
    mark(scene.batch, [Mark(scene.shas[2], None)], who="tests")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 320)])
def test_axe_finds_nothing(browser: Browser, tmp_path: Path, scheme: str, width: int) -> None:
    few = make_scene(tmp_path, 40)
    size = {"width": width, "height": 844}
    with served(few.batch.ws.root) as url, browser.page(color_scheme=scheme, viewport=size, bypass_csp=True) as page:
        for query in ("sort=alike", "sort=source", f"like={few.shas[2]},{few.shas[7]}&show=undecided"):
            page.goto(f"{url}/batches/{few.batch.id}?{query}")
            assert _troubles(page) == [], query
