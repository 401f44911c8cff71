"""Marking single images in an open batch: mark, undo, redo, and what changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from keepset.errors import ReviewError, StaleBatch
from keepset.reasons import Action
from keepset.review import log
from keepset.review.batch import Batch, BatchStatus
from keepset.review.log import Mark, MarkState, words
from keepset.review.naming import needs_name

__all__ = ["changes_since", "lock_of", "mark", "must_be_open", "redo", "undo"]


def mark(batch: Batch, marks: Sequence[Mark], *, who: str, expected_version: int | None = None) -> int:
    """Save marks as one step that can be undone as one; return the new version.

    With ``expected_version`` (the version the caller last saw), an image that somebody has changed to
    something else since raises ``StaleBatch`` with the difference, and nothing is written. Other people's
    marks on other images are no conflict. Raises ``ReviewError`` if the batch is not open, an image is
    not in it, or a label is unknown.
    """
    labels = batch.labels
    asked = [_checked(batch, m, labels) for m in marks]
    if not asked:
        return batch.version
    with batch.ws.lock(lock_of(batch)):
        must_be_open(batch)
        events = batch.events()
        if expected_version is not None:
            _refuse_stale(events, expected_version, asked)
        plain = [{"sha256": m.sha256, "action": m.action, "label": m.label} for m in asked]
        _append(batch, who, {"kind": "mark", "marks": plain})
        return len(events) + 1


def undo(batch: Batch, *, who: str) -> int:
    """Take back this person's last step; return the new version. ``ReviewError`` if there is none."""
    return _turned(batch, who, "undo", log.last_standing, "has marked nothing in {} that could be taken back")


def redo(batch: Batch, *, who: str) -> int:
    """Put back what this person's last undo took away; return the new version."""
    return _turned(batch, who, "redo", log.last_undone, "has taken back nothing in {} that could be put back")


def _turned(batch: Batch, who: str, kind: str, step: Callable[[Sequence[Any], str], int | None], none: str) -> int:
    with batch.ws.lock(lock_of(batch)):
        must_be_open(batch)
        events = batch.events()
        of = step(events, who)
        if of is None:
            raise ReviewError(f"{who} {none.format(batch.id)}.")
        _append(batch, who, {"kind": kind, "of": of})
        return len(events) + 1


def changes_since(batch: Batch, version: int) -> dict[str, MarkState | None]:
    """The marks that differ from those at ``version``, as they stand now; None: no longer marked."""
    events = batch.events()
    return _changed(events, version)


def lock_of(batch: Batch) -> str:
    return f"batch-{batch.id}"


def must_be_open(batch: Batch) -> None:
    """Raise ``ReviewError`` naming the remedy, unless the batch is open."""
    status = batch.status
    if status == BatchStatus.OPEN:
        return
    remedy = {
        BatchStatus.EXPIRED: f"`keepset review reopen {batch.id}` opens it again.",
        BatchStatus.SENT_BACK: f"`keepset review reopen {batch.id}` opens it again.",
        BatchStatus.APPLIED: f"`keepset restore --batch {batch.id}` undoes it by a new revision.",
    }.get(status, "A decision on a batch is final; the next batch is another chance.")
    approval = batch.approval()
    by = f" by {approval.who} at {approval.at[:16]}" if approval else ""
    raise ReviewError(f"{batch.id} is not open: it is {status}{by}.", remedy)


def _checked(batch: Batch, m: Mark, labels: Sequence[str]) -> Mark:
    if m.sha256 not in batch.markable():
        raise ReviewError(
            f"The image {m.sha256[:12]!r} is not in {batch.id}.", "Mark only images that the batch shows."
        )
    action = None if m.action is None else Action(m.action)
    if action == Action.RELABEL and m.label not in labels:
        raise ReviewError(f"{m.label!r} is not a class of this data set.", f"The classes are: {', '.join(labels)}.")
    return Mark(m.sha256, action, m.label if action == Action.RELABEL else None)


def _append(batch: Batch, who: str, event: dict[str, Any]) -> None:
    needs_name(who)
    head = {"at": batch.clock().isoformat(), "who": who}
    log.append(batch.folder / "decisions.jsonl", head | event)


def _changed(events: Sequence[dict[str, Any]], version: int) -> dict[str, MarkState | None]:
    before, now = log.fold(events[:version]), log.fold(events)
    return {s: now.get(s) for s in sorted(before.keys() | now.keys()) if before.get(s) != now.get(s)}


def _refuse_stale(events: Sequence[dict[str, Any]], version: int, asked: Sequence[Mark]) -> None:
    changed = _changed(events, version)
    mine = {m.sha256: m for m in asked if m.sha256 in changed}
    clash = difference(events, {s: changed[s] for s, m in mine.items() if not _same(m, changed[s])}, mine)
    if clash:
        raise StaleBatch(
            f"Somebody else has marked {len(clash)} of these images meanwhile; nothing was written.",
            "Look at the difference, then decide again.",
            clash,
        )


def difference(
    events: Sequence[dict[str, Any]], changed: dict[str, MarkState | None], mine: dict[str, Mark]
) -> list[dict[str, Any]]:
    """Rows ``{"sha256", "mine", "theirs", "who"}`` for people, from what changed."""
    return [
        {
            "sha256": sha,
            "mine": words(mine[sha]) if sha in mine else None,
            "theirs": words(state) if state else None,
            "who": state.who if state else log.last_to_touch(events, sha),
        }
        for sha, state in changed.items()
    ]


def _same(m: Mark, state: MarkState | None) -> bool:
    return (m.action, m.label) == ((state.action, state.label) if state else (None, None))
