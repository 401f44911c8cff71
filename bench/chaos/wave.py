"""Some runs at once through one stack, and kills at random moments while they are on their way."""

from __future__ import annotations

import contextlib
import random
import time
from dataclasses import dataclass
from typing import Any

from bench.chaos.stack import PARTS, StackProgram
from bench.chaos.story import Story
from keepset.errors import OrchestratorError

__all__ = ["Wave"]

PATIENCE_S = 2400.0
POLL_S = 2.0


@dataclass
class Wave:
    """Runs at once. ``window_s``: how long they take to end, so kills drawn within it hit all phases."""

    stack: StackProgram
    stories: list[Story]
    dice: random.Random
    window_s: float
    lasted_s: float = 0.0
    """How long it took until the last run had ended."""

    def run(self, kills: int) -> list[dict[str, Any]]:
        """Begin the runs, kill, and wait for the end. A kill drawn for a moment after the end is not made."""
        begin = time.monotonic()
        for story in self.stories:
            self._begin(story)
        due = sorted(self.dice.uniform(1, self.window_s) for _ in range(kills))
        while time.monotonic() - begin < PATIENCE_S:
            if due and time.monotonic() - begin >= due[0] and self._on_the_way():
                took = self._kill()
                due = [moment + took for moment in due[1:]]
            self._watch()
            if all(s.ended() for s in self.stories):
                due.clear()
                self.lasted_s = self.lasted_s or time.monotonic() - begin
                if self._quiet():
                    break
            time.sleep(POLL_S)
        return [self._report(s, time.monotonic() - begin) for s in self.stories]

    def _begin(self, story: Story) -> None:
        """A server that has just come back, or is busy, is asked again, as a person would."""
        for _ in range(20):
            try:
                return story.begin(self.stack.prefect)
            except OrchestratorError:
                time.sleep(15)
        return story.begin(self.stack.prefect)

    def _on_the_way(self) -> bool:
        return any(s.phase() not in ("queue", "over") for s in self.stories)

    def _watch(self) -> None:
        for story in self.stories:
            with contextlib.suppress(OSError):
                story.approve()
                story.note()

    def _kill(self) -> float:
        """Kill a part; where it does not live just now, whatever flow run does, or the server. Seconds that it took:
        after everything was killed, the stack starts before the next kill.
        """
        begin = time.monotonic()
        (wanted,) = self.dice.choices(list(PARTS), list(PARTS.values()))
        for part in (wanted, "flow run", "prefect-server"):
            phases = [s.phase() for s in self.stories]
            if killed := self.stack.kill(part, self.dice):
                for story, phase in zip(self.stories, phases, strict=True):
                    story.suffer(killed, phase)
                break
        return time.monotonic() - begin

    def _quiet(self) -> bool:
        try:
            return all(s.quiet(self.stack.prefect) for s in self.stories)
        except OrchestratorError:
            return False

    def _report(self, story: Story, seconds: float) -> dict[str, Any]:
        try:
            quiet = story.quiet(self.stack.prefect)
        except OrchestratorError:
            quiet = False
        asked = story.web.counts(story.plot.prefix)
        return {
            "run": story.number, "kills": story.kills, "seconds": round(seconds),
            "faults": story.faults() + ([] if quiet else ["Prefect still had something to do"]),
            "finished_downloads": len(story.finished), "requests": sum(asked.values()), "pages": len(asked),
        }  # fmt: skip
