"""A real Chromium drops, pastes, chooses and names pictures; without its script the form does the same."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser_fixtures import Browser, expect
from tests.predict_fixtures import Served
from tests.processes import wait_for
from tests.web_fixtures import served

pytestmark = pytest.mark.browser

_GIVE = """([kind, data, name]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
  const options = { bubbles: true, cancelable: true };
  document.body.dispatchEvent(
    kind === "drop" ? new DragEvent("drop", { ...options, dataTransfer: transfer })
      : new ClipboardEvent("paste", { ...options, clipboardData: transfer }));
}"""


@pytest.fixture(scope="module")
def address(template_case: Served) -> Iterator[str]:
    with served(template_case.ws.root) as url:
        yield f"{url}/predict"


def _done(page: Any, n: int) -> list[str]:
    page.locator(".answer:not(.waiting)").nth(n - 1).wait_for()
    return [str(t) for t in page.locator(".answer:not(.waiting)").all_inner_texts()]


def test_drop_paste_choose_and_name(browser: Browser, address: str, template_case: Served, tmp_path: Path) -> None:
    picture = base64.b64encode(template_case.pictures[0]).decode()
    labels = template_case.config.labels
    (tmp_path / "fine.jpg").write_bytes(template_case.pictures[1])
    (tmp_path / "<b>evil.jpg").write_bytes(b"no picture")
    page = browser.new_context().new_page()
    page.on("console", lambda m: "Content Security" in m.text and browser.troubles.append(m.text))
    page.goto(address)
    page.evaluate(_GIVE, ["drop", picture, "dropped.jpg"])
    assert "dropped.jpg" in _done(page, 1)[0]
    page.evaluate(_GIVE, ["paste", picture, "pasted.jpg"])
    assert "pasted.jpg" in _done(page, 2)[0]
    page.set_input_files("#files", [tmp_path / "fine.jpg", tmp_path / "<b>evil.jpg"])
    found = _done(page, 4)
    assert "fine.jpg" in found[0]
    assert any(label in found[0] for label in labels)
    assert "<b>evil.jpg" in found[1]
    assert "This is not a picture that can be read." in found[1]
    page.fill("#url", "http://10.0.0.1/a.jpg")
    page.keyboard.press("Enter")
    assert "This address is not public" in _done(page, 5)[0]
    sample = page.locator(".sample").first
    sample.click()
    assert str(sample.get_attribute("data-name")) in _done(page, 6)[0]
    expect(page.locator("#status")).to_have_text("6 of 6 done.")
    shown = page.locator(".answer > img[src^='data:image/webp;']")
    expect(shown).to_have_count(4)
    drawn = "all => all.every((e) => e.naturalWidth)"
    wait_for(lambda: shown.evaluate_all(drawn), "the pictures to be drawn")
    best = page.locator(".answer:not(.failed) tr").first
    share = float(best.locator(".share").inner_text().split()[0]) / 100
    filled, track = (best.locator(x).bounding_box()["width"] for x in (".fill", ".track"))
    assert filled / track == pytest.approx(share, abs=0.01)
    alike = page.locator(".similar").last.locator("li")
    expect(alike).to_have_count(3)
    assert alike.first.inner_text() in labels
    wait_for(lambda: alike.locator("img").evaluate_all(drawn), "the similar pictures to be drawn")
    page.click("#clear")
    expect(page.locator(".answer")).to_have_count(0)
    assert (page.inner_text("#status"), page.is_visible("#clear")) == ("", False)
    page.set_input_files("#files", tmp_path / "fine.jpg")
    assert "fine.jpg" in _done(page, 1)[0]
    expect(page.locator("#status")).to_have_text("1 of 1 done.")
    page.context.close()
    assert browser.troubles == []


def test_without_javascript_on_a_phone(browser: Browser, address: str, template_case: Served, tmp_path: Path) -> None:
    names = []
    for i in range(2):
        names.append(tmp_path / f"{i}.jpg")
        names[-1].write_bytes(template_case.pictures[i])
    context = browser.new_context(
        java_script_enabled=False, viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    page.goto(address)
    assert page.locator("#camera").get_attribute("capture") == "environment"
    assert not page.locator(".js-only").is_visible()  # nothing to drop on without the script
    page.set_input_files("#files", names)
    page.click("button.main")
    assert len(_done(page, 2)) == 2
    page.locator(".sample").first.click()
    assert "sample" in _done(page, 1)[0]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("nav >> text=Home")
    page.click("nav >> text=Predict")
    page.click("button.main")  # with nothing chosen
    assert "no picture" in _done(page, 1)[0]
    context.close()


def test_a_screen_reader_hears_labels_and_news(
    browser: Browser, address: str, template_case: Served, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(template_case.pictures[0])
    page = browser.new_context().new_page()
    page.goto(address)
    for name in ("Choose pictures", "or the address of one"):
        assert page.get_by_label(name).count() == 1
    page.get_by_label("Choose pictures").set_input_files(tmp_path / "a.jpg")
    _done(page, 1)
    assert page.get_by_role("status").inner_text() == "1 of 1 done."
    assert page.get_by_role("list", name="Answers").get_by_role("heading").count() == 1
    assert page.get_by_role("rowheader").count() == len(template_case.config.labels)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")
    page.context.close()


def test_a_busy_server_is_asked_again(browser: Browser, address: str, template_case: Served, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(template_case.pictures[0])
    page = browser.new_context().new_page()
    page.goto(address)
    refused: list[int] = []

    def first_busy(route: Any) -> None:
        if not refused and route.request.method == "POST":
            refused.append(503)
            route.fulfill(status=503, headers={"retry-after": "0"}, body="busy")
        else:
            route.continue_()

    page.route("**/predict", first_busy)
    page.set_input_files("#files", tmp_path / "a.jpg")
    assert "a.jpg" in _done(page, 1)[0]
    assert "failed" not in str(page.locator(".answer").first.get_attribute("class"))
    assert refused == [503]
    page.context.close()
