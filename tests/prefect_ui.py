"""Prefect's UI in a real Chromium, as a person uses it: log in, fill in a form, look at a run."""

from __future__ import annotations

import time
from typing import Any

from keepset.orchestrator import login_file
from tests.stack_fixtures import PATIENCE_S, Running

__all__ = ["PrefectUi"]


class PrefectUi:
    """One page, logged in. ``page`` is Playwright's."""

    def __init__(self, page: Any, stack: Running) -> None:
        self.page, self.url = page, f"{stack.state['ui_url']}/v2"
        page.goto(self.url)
        page.fill("input", login_file(stack.ws.root).read_text(encoding="utf-8").strip())
        page.keyboard.press("Enter")
        page.wait_for_url("**/dashboard**")

    def open_form(self, deployment_id: str) -> None:
        """*Deployments → ... → Run → Custom run*."""
        self.page.goto(f"{self.url}/deployments/deployment/{deployment_id}/run")
        self.page.get_by_role("heading", name="Parameters").wait_for()

    def submit(self) -> None:
        """*Submit*: the form closes once the server has taken it."""
        self.press(self.page.get_by_role("button", name="Submit"), "/create_flow_run")
        self.page.wait_for_url(lambda url: not url.partition("?")[0].endswith("/run"))
        self.leave()

    def press(self, button: Any, path: str) -> None:
        """Press ``button``, and once more where the server was too busy, as a person does who reads so.

        Prefect's SQLite refuses one of two transactions that read before they wrote (503); the UI does not ask again.
        """
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with self.page.expect_response(lambda r: r.request.method == "POST" and r.url.endswith(path)) as asked:
                button.click()
            if asked.value.status != 503:
                assert asked.value.ok, f"{path} answered {asked.value.status}: {asked.value.text()}"
                return
            assert time.monotonic() < deadline, f"{path} answers 503 for {PATIENCE_S:.0f} s"

    def open_run(self, run_id: str) -> None:
        self.page.goto(f"{self.url}/runs/flow-run/{run_id}")

    def leave(self) -> None:
        """A run's page draws its timeline all the while, half a core of it without a GPU."""
        self.page.goto("about:blank")

    def open_resume(self, run_id: str) -> Any:
        """*Runs → ... → ⋮ → Resume*: the dialog."""
        self.open_run(run_id)
        self.page.get_by_text("Suspended").first.wait_for()
        self.page.get_by_role("button", name="Open menu").first.click()
        self.page.get_by_role("menuitem", name="Resume").click()
        dialog = self.page.get_by_role("dialog", name="Resume Flow Run")
        dialog.get_by_label("Reviewer").wait_for()
        return dialog

    def box(self, label: str, nth: int = 0) -> Any:
        """The field of that label: the ``nth`` of its name, buttons included."""
        found = self.page.locator(f"label:text-is('{label}')").nth(nth)
        return found.locator("xpath=ancestor::div[fieldset][1]")

    def fill(self, label: str, text: str, nth: int = 0) -> None:
        self.box(label, nth).locator("textarea, input").fill(text)

    def choose(self, label: str, option: str) -> None:
        self.box(label).locator("fieldset button").first.click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def tick(self, label: str) -> None:
        self.box(label).locator("fieldset button").first.click()

    def add_item(self, label: str, nth: int = 0) -> None:
        """*Add item* of the list of that label."""
        self.box(label, nth).get_by_role("button", name="Add item").last.click()
