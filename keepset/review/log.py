"""The decision log of a batch: what a line is, and what the lines add up to.

A line is ``{"at", "who", "kind", ...}``: ``mark`` carries ``marks``; ``undo`` and ``redo`` carry ``of``, the
number of the mark line that they take out or put back; ``reopen`` carries the new ``deadline``. The state is
the mark lines that are not undone, in their order. So taking back one's own line never takes back what
somebody else said of the same image later.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepset.files import append_line, parsed_row, read_lines
from keepset.reasons import Action

__all__ = ["Mark", "MarkState", "append", "fold", "last_standing", "last_to_touch", "last_undone", "read", "words"]


@dataclass(frozen=True)
class Mark:
    """What a reviewer says of one image. ``label`` goes with relabel; no action takes a mark away."""

    sha256: str
    action: Action | None
    label: str | None = None


@dataclass(frozen=True)
class MarkState:
    """A mark that stands: who set it, and when (ISO 8601, UTC)."""

    action: Action
    label: str | None
    who: str
    at: str


def words(m: Mark | MarkState) -> str | None:
    """``relabel to teddys``; None for a mark that takes one away."""
    return f"{m.action} to {m.label}" if m.label else m.action and str(m.action)


def read(path: Path) -> list[dict[str, Any]]:
    """All lines in order. A line torn by a power cut counts as a line, and says nothing."""
    return [_parsed(line) for line in read_lines(path)]


def _parsed(line: str) -> dict[str, Any]:
    event = parsed_row(line)
    return event if event is not None and "kind" in event else {"kind": "torn", "who": "", "at": ""}


def append(path: Path, event: dict[str, Any]) -> None:
    """Append one event, synced. The caller holds the batch's lock."""
    append_line(path, json.dumps(event, sort_keys=True))


def fold(events: Sequence[dict[str, Any]]) -> dict[str, MarkState]:
    """The marks that stand after these events, by sha256."""
    state: dict[str, MarkState] = {}
    gone = _undone(events)
    for i, event in enumerate(events):
        if event["kind"] != "mark" or i in gone:
            continue
        for m in event["marks"]:
            if m["action"] is None:
                state.pop(m["sha256"], None)
            else:
                state[m["sha256"]] = MarkState(Action(m["action"]), m["label"], event["who"], event["at"])
    return state


def last_to_touch(events: Sequence[dict[str, Any]], sha: str) -> str:
    """Who last marked this image, or took back or put back a mark on it; empty if nobody did."""
    for event in reversed(events):
        line = events[event["of"]] if event["kind"] in ("undo", "redo") else event
        if any(m["sha256"] == sha for m in line.get("marks", ())):
            return str(event["who"])
    return ""


def last_standing(events: Sequence[dict[str, Any]], who: str) -> int | None:
    """Number of this person's last mark line that is not undone."""
    gone = _undone(events)
    mine = (i for i, e in enumerate(events) if e["kind"] == "mark" and e["who"] == who and i not in gone)
    return max(mine, default=None)


def last_undone(events: Sequence[dict[str, Any]], who: str) -> int | None:
    """The mark line that this person's last undo took out, unless they marked something since."""
    stack: list[int] = []
    for event in events:
        if event["who"] != who:
            continue
        if event["kind"] == "undo":
            stack.append(event["of"])
        elif event["kind"] == "redo" and stack:
            stack.pop()
        elif event["kind"] == "mark":
            stack.clear()
    return stack[-1] if stack else None


def _undone(events: Sequence[dict[str, Any]]) -> set[int]:
    gone: set[int] = set()
    for event in events:
        if event["kind"] == "undo":
            gone.add(event["of"])
        elif event["kind"] == "redo":
            gone.discard(event["of"])
    return gone
