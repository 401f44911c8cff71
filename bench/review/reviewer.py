"""A simulated reviewer in a real Chromium: it knows the truth, sees only what the page shows, and its keys and clicks are counted.

Every key, click and choice from a list is one action, a click with a key held too. Looking and scrolling cost nothing; the same
holds for the peers (``controls.py``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import TimeoutError as PlaywrightTimeout

from keepset.review import Batch

__all__ = ["Reviewer", "best_run"]

_SEEN = """() => [...document.querySelectorAll(".card")].map((c) => [c.dataset.sha, c.dataset.action])"""
_HEADS = """() => [...document.querySelectorAll(".pile.stack")].map((p) => p.dataset.shas.split(" "))"""
LEAST_GAIN = 1.2
"""Bad pictures per action that a selection must bring; else the reviewer decides picture by picture."""
STACK_KEPT = 5
"""A stack of so many right pictures is worth the click that keeps them: it teaches."""


@dataclass
class Reviewer:
    """``truth`` says what to do with a picture: an action and, to relabel, the class; what it does not name is kept."""

    page: Any
    url: str
    batch: Batch
    truth: dict[str, tuple[str, str | None]]
    actions: list[str] = field(default_factory=list)
    curve: list[tuple[int, int]] = field(default_factory=list)
    """After each step: actions so far, bad pictures deleted so far."""

    def _did(self, *what: str) -> None:
        self.actions += what

    def _saved(self, act: Any) -> None:
        """Act, and wait until it is saved and, in the order that learns, until the page has followed."""
        learns = self.page.evaluate("document.querySelector('[data-batch]').dataset.learns")
        with contextlib.suppress(PlaywrightTimeout):
            wanted = "/more" if learns else "/marks"
            with self.page.expect_response(lambda r: r.request.method == "POST" and wanted in r.url, timeout=4000):
                act()
        self.page.wait_for_timeout(100)
        deleted = sum(str(m.action) == "delete" for m in self.batch.marks().values())
        self.curve.append((len(self.actions), deleted))

    # -- picture by picture ------------------------------------------------------------------------

    def one_by_one(self, count: int) -> None:
        """Decide the first ``count`` undecided pictures by a key each: x, k, or the digit of the class."""
        self.page.goto(self.url)
        self.page.wait_for_load_state("networkidle")
        for _ in range(count):
            before = self.batch.marks().keys()
            sha = self.page.evaluate("document.activeElement.dataset.sha")
            if sha is None or sha in before:
                self._did("n")
                self.page.keyboard.press("n")
                sha = self.page.evaluate("document.activeElement.dataset.sha")
            key = self._key(sha)
            self._did(key)
            self._saved(lambda key=key: self.page.keyboard.press(key))

    def _key(self, sha: str) -> str:
        action, label = self.truth.get(sha, ("keep", None))
        if label is not None:
            return str(self.batch.labels.index(label) + 1)
        return {"keep": "k", "delete": "x"}[action]

    # -- many at once ------------------------------------------------------------------------------

    def bad(self, sha: str) -> bool:
        return self.truth.get(sha, ("keep", None))[0] == "delete"

    def clear_junk(self, most: int) -> None:
        """Delete what is bad with at most ``most`` actions: stacks, then runs in the order that learns."""
        self._stacks(most)
        self._sort("")
        while len(self.actions) < most and self._a_run(most):
            pass

    def _sort(self, value: str) -> None:
        self._did(f"sort {value or 'learned'}")
        self.page.goto(f"{self.url}?sort={value}" if value else self.url)
        self.page.wait_for_load_state("networkidle")

    def _stacks(self, most: int) -> None:
        self._sort("alike")
        heads = self.page.evaluate(_HEADS)
        order = sorted(range(len(heads)), key=lambda i: -sum(map(self.bad, heads[i])))
        for i in order:
            shas = heads[i]
            wrong = [s for s in shas if not self.bad(s)]
            pile = self.page.locator(".pile.stack").nth(i)
            if not wrong:
                self._did("delete stack")
                self._saved(pile.locator("[data-pile=delete]").click)
            elif len(wrong) == len(shas) and len(shas) >= STACK_KEPT:
                self._did("keep stack")
                self._saved(pile.locator("[data-pile=keep]").click)
            elif (len(shas) - len(wrong)) / (len(wrong) + 3) >= LEAST_GAIN and len(self.actions) + len(
                wrong
            ) + 3 <= most:
                self._without(pile, wrong)

    def _without(self, pile: Any, wrong: Sequence[str]) -> None:
        """Open a stack, select it, take out what is right, delete the rest."""
        fold = pile.locator("[data-pile=fold]")
        if fold.is_visible():
            self._did("open stack")
            fold.click()
        self._did("select stack")
        pile.locator("[data-pile=select]").click()
        self._toggle(wrong)
        self._did("x")
        self._saved(lambda: self.page.keyboard.press("x"))

    def _toggle(self, shas: Sequence[str]) -> None:
        for sha in shas:
            self._did("ctrl-click")
            self.page.locator(f"#c-{sha}").click(modifiers=["Control"])

    def _a_run(self, most: int) -> bool:
        """Delete the run of pictures that brings most; False if none is worth it."""
        seen = [sha for sha, action in self.page.evaluate(_SEEN) if not action]
        flags = [self.bad(s) for s in seen]
        begin, end = best_run(flags)
        wrong = [s for s, is_bad in zip(seen[begin:end], flags[begin:end], strict=True) if not is_bad]
        gain, cost = end - begin - len(wrong), len(wrong) + 3
        if gain == 0 or len(self.actions) >= most:
            return False
        if gain < LEAST_GAIN * cost:
            return self._scattered([s for s in seen if self.bad(s)][: most - len(self.actions) - 1])
        self._did("ctrl-click", "shift-click")
        self.page.locator(f"#c-{seen[begin]}").click(modifiers=["Control"])
        self.page.locator(f"#c-{seen[end - 1]}").click(modifiers=["Shift"])
        self._toggle(wrong)
        self._did("x")
        self._saved(lambda: self.page.keyboard.press("x"))
        self._next()
        return True

    def _scattered(self, shas: Sequence[str]) -> bool:
        """Delete pictures that stand apart: a click each, then one key."""
        if not shas:
            return False
        self._toggle(shas)
        self._did("x")
        self._saved(lambda: self.page.keyboard.press("x"))
        self._next()
        return True

    def _next(self) -> None:
        self._did("n")
        self.page.keyboard.press("n")
        self.page.wait_for_timeout(700)  # until it has left for another page, if it does
        self.page.wait_for_load_state("networkidle")


def best_run(flags: Sequence[bool]) -> tuple[int, int]:
    """The slice in which bad pictures outnumber the right ones most: each right one costs an action to take out."""
    best, begin, total, found = 0, 0, 0, (0, 0)
    for i, is_bad in enumerate(flags):
        if total <= 0:
            begin, total = i, 0
        total += 1 if is_bad else -1
        if total > best:
            best, found = total, (begin, i + 1)
    return found
