"""The history of a data set for people: who did what to which pictures and when, and what it did to the error.

The audit log has a row per step (opened, decided, applied, promoted). Here a decision and what came of it is one event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from keepset import manifests
from keepset.errors import KeepsetError
from keepset.files import read_json
from keepset.forecast import of_model
from keepset.forecast.words import beside
from keepset.models import ModelRecord, list_models
from keepset.models.columns import Columns
from keepset.review import Batch, list_batches
from keepset.review.auditing import by_a_person
from keepset.review.naming import batch_name, called
from keepset.review.revisions import Revision, revisions
from keepset.text import many, share
from keepset.workspace import Workspace

__all__ = ["Event", "Picture", "named", "timeline", "with_pictures"]

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Picture:
    """A picture that an event changed: its file's name, its class before, and after (None: out of the data set).

    ``restorable``: it still is as the event left it.
    """

    sha256: str
    name: str
    before: str
    after: str | None
    restorable: bool


@dataclass(frozen=True)
class Event:
    """``words`` begin with a verb; ``effect`` is what the model trained after it found. ``changed`` is how many pictures.

    ``quiet``: a step on the way, which changed nothing.
    """

    at: str
    who: str
    words: str
    note: str = ""
    effect: str = ""
    quiet: bool = False
    batch: str = ""
    revision: int = 0
    model: str = ""
    changed: int = 0
    pictures: tuple[Picture, ...] = ()


def timeline(ws: Workspace) -> list[Event]:
    """All events, the newest first, without their pictures."""
    log = ws.audit_log()
    applied = {r["what"].get("batch"): r for r in log if r["action"] == "clean"}
    applied |= {r["what"].get("id"): r for r in log if r["action"] == "certificate"}
    made, effects = revisions(ws), _effects(ws)
    decided = {r.revision for r in made if by_a_person(r.cause)}
    told = {m.id: _in_use(m) for m in list_models(ws) if m.dataset_revision not in decided}
    events = [e for r in log if (e := _event(r, applied, effects, told)) is not None]
    return sorted([*events, *_splits(ws, made)], key=lambda e: e.at, reverse=True)


def _event(
    row: Row, applied: Mapping[str, Row], effects: Mapping[int, tuple[str, str]], models: Mapping[str, str]
) -> Event | None:
    """None for a step that another event covers. ``models``: the sentence about each model that followed no decision."""
    what = row["what"]
    plain = Event(row["at"], row["who"], _step(row), row["why"], quiet=True, batch=what.get("batch", ""))
    match row["action"]:
        case "review" if what.get("decision") == "approve":
            return _decided(plain, what, applied.get(what["batch"]), effects)
        case "clean":
            return None
        case "restore" | "remove":
            effect, model = effects.get(what.get("revision", 0), ("", ""))
            removed = row["action"] == "remove"
            count = what.get("removed" if removed else "restored", 0)
            return replace(
                plain, words=f"{'took down' if removed else 'restored'} {many(count, 'picture')}", quiet=False, effect=effect,
                model=model, revision=what.get("revision", 0), changed=0 if removed else count,
            )  # fmt: skip
        case "takedown" if what.get("id") in applied:
            return None
        case "certificate" if what.get("revision"):
            return None
        case "promote":
            words, model = models.get(str(what.get("model_id"))), str(what.get("model_id"))
            return replace(plain, words=words, note="", quiet=False, model=model) if words else None
    return plain


def _step(row: Row) -> str:
    """What was done, to go on from a name. Of an action that is not known here, its facts by name."""
    what, write = row["what"], _STEPS.get(str(row["action"]))
    try:
        if write:
            return write(what)
    except (KeyError, TypeError):  # written by another version
        pass
    return ", ".join(f"{k.replace('_', ' ')}: {str(v)[:60]}" for k, v in what.items() if v not in (None, "", []))


def _exported(w: Row) -> str:
    what = f"model {w['model'][:8]}" if "model" in w else f"revision {w['revision']}"
    return f"exported {what} as {w['format']} to {w['to']}"


_STEPS: dict[str, Callable[[Row], str]] = {
    "open": lambda w: f"proposed {many(w['candidates'], 'picture')} for review",
    "review": lambda w: f"{'rejected' if w['decision'] == 'reject' else 'sent back'} {batch_name(w['batch'])}",
    "expire": lambda w: f"closed {batch_name(w['batch'])}: nobody decided in time ({w['marked']} marked)",
    "reopen": lambda w: f"reopened {batch_name(w['batch'])} until {w['deadline'][:16].replace('T', ' ')} UTC",
    "purge": lambda w: f"deleted the files of {many(w['images'], 'picture')} ({w['bytes'] / 1e6:.1f} MB) for good",
    "takedown": lambda w: f"began to take down {many(len(w['sha256']), 'picture')} by {w['by']}",
    "certificate": lambda w: f"took down {many(w['pictures'], 'picture')} by {w['by']}",
    "export": _exported,
}
"""Sentences by action in the audit log; ``_event`` writes those of approvals and revisions."""


def _decided(plain: Event, what: Row, done: Row | None, effects: Mapping[int, tuple[str, str]]) -> Event:
    facts: Row = {"deleted": what["delete"], "relabelled": what["relabel"], **(done["what"] if done else {})}
    acts = {verb: int(facts[verb]) for verb in ("deleted", "relabelled")}
    said = " and ".join(f"{verb} {many(n, 'picture')}" for verb, n in acts.items() if n)
    if not done:
        said = f"approved {batch_name(what['batch'])}: {said or 'no change'}, not applied yet"
    revision = int(facts.get("revision", 0)) if facts.get("changed", True) else 0
    effect, model = effects.get(revision, ("", ""))
    return replace(
        plain, words=said or f"looked at {many(what['keep'], 'picture')} and changed none", quiet=False, batch=what["batch"],
        revision=revision, changed=sum(acts.values()), effect=effect, model=model,
    )  # fmt: skip


def _in_use(record: ModelRecord) -> str:
    """A model that followed no decision: the first one, or one of new pictures or settings."""
    v = record.metrics.get("valid", {})
    right = f": right on {v['n'] - v['errors']} of {v['n']} held-out pictures" if v.get("n") else ""
    return f"put a new model in use{right}"


def _effects(ws: Workspace) -> dict[int, tuple[str, str]]:
    """By revision: the error before and after it, measured on the same pictures, and the model's id."""
    found = {}
    for model in list_models(ws):
        try:
            c = read_json(ws.models / model.id / "comparison.json")
        except (KeepsetError, FileNotFoundError):
            continue
        if c.get("before") and c.get("n"):
            before, after = (c[k] / c["n"] for k in ("errors_before", "errors_after"))
            words = f"error {share(before)} → {share(after)} on {c['n']} held-out pictures"
            kept = "" if c["promote"] else "; the previous model stays in use"
            found[model.dataset_revision] = (words + kept + _cross_checked(ws, model.id, c), model.id)
    return found


def _cross_checked(ws: Workspace, model_id: str, compared: Row) -> str:
    """Mistakes on all pictures, real beside forecast; empty for a comparison of an earlier version."""
    if not compared.get("columns"):
        return ""
    foreseen = of_model(ws, model_id, str(compared["before"]), make=False)
    return f"; {beside(Columns.from_json(compared['columns']), foreseen.columns if foreseen else None)}"


def _splits(ws: Workspace, made: Iterable[Revision]) -> Iterable[Event]:
    """Revisions that no person's decision made have no row in the audit log."""
    for r in (r for r in made if r.cause == "split"):
        at = datetime.fromtimestamp(ws.dataset(r.revision).stat().st_mtime, UTC).isoformat()
        yield Event(at, "keepset", f"took in {many(r.added, 'picture')}", revision=r.revision)


# -- their pictures --------------------------------------------------------------------------------


def with_pictures(ws: Workspace, events: Iterable[Event], most: int) -> list[Event]:
    """The events with up to ``most`` of the pictures that each changed."""
    batches = {b.id: b for b in list_batches(ws)}
    touched = {e: list(_touched(ws, e, batches))[:most] for e in events}
    names = named(ws, {s for shas in touched.values() for s in shas})
    return [replace(e, pictures=_pictures(ws, e, shas, names)) for e, shas in touched.items()]


def _touched(ws: Workspace, event: Event, batches: Mapping[str, Batch]) -> Iterable[str]:
    if not event.changed or not event.revision:
        return []
    if event.batch:
        approval = batches[event.batch].approval() if event.batch in batches else None
        return approval.changes() if approval else []
    return [str(s) for s in manifests.read_header(ws.dataset(event.revision)).extra.get("images", [])]


def _pictures(ws: Workspace, event: Event, shas: list[str], names: Mapping[str, str]) -> tuple[Picture, ...]:
    if not shas:
        return ()
    columns = ("sha256", "label", "active", "changed_in")
    before, after, now = (
        {r["sha256"]: r for r in manifests.picked(path, "dataset", columns, shas)}
        for path in (ws.dataset(event.revision - 1), ws.dataset(event.revision), ws.newest())
    )
    found = (
        Picture(
            s, names.get(s, s[:8]), before[s]["label"], after[s]["label"] if after[s]["active"] else None,
            restorable=bool(event.batch) and now[s]["changed_in"] == event.revision,
        )
        for s in shas if s in before and s in after and after[s]["changed_in"] == event.revision
    )  # fmt: skip
    return tuple(sorted(found, key=lambda p: (p.after or "", p.before, p.name)))


def named(ws: Workspace, shas: Iterable[str]) -> dict[str, str]:
    """The name of each picture's file, or the last part of its address."""
    try:
        rows = {r["sha256"]: r for r in manifests.picked(ws.images, "images", ("sha256", "url"), set(shas))}
        return {sha: called(sha, rows) for sha in rows}
    except KeepsetError:
        return {}
