"""A real Chromium that waits as long as a busy machine needs, and what tests of several pages do in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, Response, expect, sync_playwright

from tests.processes import PATIENCE_S

__all__ = ["Browser", "at_rank", "expect", "press", "saved"]

# drawing the timeline of a Prefect run without a GPU would take a core
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-3d-apis", "--disable-background-networking"]
expect.set_options(timeout=PATIENCE_S * 1000)


@dataclass(frozen=True)
class Browser:
    """Contexts and pages whose every wait has ``PATIENCE_S``; pages add the errors of their scripts to ``troubles``."""

    chromium: Chromium
    troubles: list[str]

    @classmethod
    @contextlib.contextmanager
    def launched(cls, executable: str) -> Iterator[Browser]:
        with sync_playwright() as p:
            chromium = p.chromium.launch(executable_path=executable, args=_ARGUMENTS)
            yield cls(chromium, [])
            chromium.close()

    def new_context(self, **options: Any) -> BrowserContext:
        context = self.chromium.new_context(**options)
        context.set_default_timeout(PATIENCE_S * 1000)
        context.on("weberror", lambda e: self.troubles.append(str(e.error)))
        return context

    @contextlib.contextmanager
    def page(self, **options: Any) -> Iterator[Page]:
        """A page of its own context, closed at the end; no script on it may have failed."""
        context = self.new_context(**options)
        page = context.new_page()
        yield page
        page.unroute_all(behavior="wait")  # an answer that a test holds back is given before the page goes
        context.close()
        assert not self.troubles


def _saves(answer: Response) -> bool:
    """Whether a decision was saved by this; tiles that give way to others are asked for by POST as well."""
    return answer.request.method == "POST" and not answer.url.partition("?")[0].endswith("/more")


@contextlib.contextmanager
def saved(page: Page) -> Iterator[None]:
    """Wait for the answer to what is decided within."""
    with page.expect_response(_saves):
        yield


def press(page: Page, key: str) -> None:
    """Press a key that saves, and wait until it is saved."""
    with saved(page):
        page.keyboard.press(key)


def at_rank(page: Page, rank: int) -> None:
    """Wait until this card has the focus, on whatever page."""
    expect(page.locator(".card:focus")).to_have_attribute("data-rank", str(rank))
