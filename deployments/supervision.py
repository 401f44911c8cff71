"""Looking after the parts of a stack: ended ones are started again, and each one's health is written down.

One thread starts the parts and lives as long as they do. The look for work left lying has a thread of its own, so that
a server or a bucket that hangs delays no restart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from deployments.parts import Part
from keepset.cli import output
from keepset.errors import OrchestratorError

__all__ = ["Supervision"]

LOOK_S = 4.0
HANGS_S = 300.0
"""The look for work left lying takes seconds; after this it is reported."""


class Supervision:
    """``tend`` is called about once a second by the thread that started the parts.

    ``reconcile`` looks for work left lying every ``every_s`` seconds and returns what it did; ``publish`` is told the health of all parts when it
    has changed.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        environment: Callable[[], Mapping[str, str]],
        reconcile: Callable[[], list[str]],
        publish: Callable[[Mapping[str, Mapping[str, Any]]], None],
        every_s: float = 20.0,
    ) -> None:
        self.parts, self.environment, self.reconcile, self.publish = parts, environment, reconcile, publish
        self.every_s = every_s
        self.stop = threading.Event()
        self.looks_at, self.began, self.trouble = 0.0, 0.0, ""
        self.health: dict[str, dict[str, Any]] = {}
        self.looker = threading.Thread(target=self._look_around, name="reconcile", daemon=True)

    def tend(self) -> None:
        """Start ended parts again, ask each part whether it works, publish what has changed. Raises nothing."""
        for part in self.parts:
            self._guarded(f"Starting {part.name} again", partial(self._keep_alive, part))
        if time.monotonic() >= self.looks_at:
            for part in self.parts:
                self._guarded(f"Asking {part.name}", part.look)
            self.looks_at = time.monotonic() + LOOK_S
        self._guarded("Writing stack.json", self.tell)

    def _keep_alive(self, part: Part) -> None:
        part.keep_alive(self.environment())

    def _guarded(self, what: str, do: Callable[[], Any]) -> None:
        try:
            do()
        except Exception as e:  # whatever it is (no memory, no processes left), the watch goes on
            output.say(f"  {what} failed: {type(e).__name__}: {e}")

    def tell(self) -> None:
        """Publish the health if it has changed, and say what has gone wrong or come right."""
        found = {p.name: p.health() for p in self.parts} | {"upkeep": self._upkeep()}
        if found == self.health:
            return
        for name, now in found.items():
            before = self.health.get(name, {}).get("words", "")
            if now["words"] != before:
                output.say(f"  {now['words'] or f'{name} works again'}")
        self.health = found
        self.publish(found)

    def _upkeep(self) -> dict[str, Any]:
        hangs = bool(self.began) and time.monotonic() - self.began > HANGS_S
        words = f"The look for work left lying has hung for {HANGS_S / 60:.0f} min." if hangs else self.trouble
        return {"pid": None, "state": "silent" if words else "ok", "words": words}

    def _look_around(self) -> None:
        wait = min(5.0, self.every_s)
        while not self.stop.wait(wait):
            wait, self.began = self.every_s, time.monotonic()
            try:
                for line in self.reconcile():
                    output.say(f"  {line}")
                self.trouble = ""
            except OrchestratorError:
                pass  # the server is away, which its own health tells; looked at again soon
            except Exception as e:  # whatever it is, it must not end the looks to come
                self.trouble = f"The look for work left lying failed: {type(e).__name__}: {e}"
            self.began = 0.0
