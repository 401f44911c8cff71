"""Saving marks: from the keys (JSON, only what changed comes back) and from the page's one form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from keepset.errors import StaleBatch
from keepset.reasons import Action
from keepset.review import Batch, Mark, MarkState, changes_since, load_batch, mark, redo, undo
from keepset.settings import settings
from keepset.web.cards import marks_suggested, suggested
from keepset.web.pages import number, page
from keepset.web.refusals import refusal, wants_json
from keepset.workspace import Workspace

__all__ = [
    "given_name", "read_marks", "redo_step", "reviewer", "save_form", "save_marks", "take_suggestions", "undo_step",
]  # fmt: skip


def reviewer(request: Request) -> str:
    """The reviewer's name; nothing depends on it but the log."""
    return given_name(request) or "gallery"


def given_name(request: Request) -> str:
    """The name that was given once, remembered by a cookie; else the login name of whoever runs the gallery, or nothing."""
    return unquote(request.cookies.get("keepset_who", "")).strip()[:100] or settings().reviewer


def read_marks(ws: Workspace, request: Request) -> Response:
    """What changed since the version ``since``, or all marks."""
    return JSONResponse(_state(load_batch(ws, request.path_params["batch_id"]), request))


def _state(batch: Batch, request: Request, since: int | None = None) -> dict[str, Any]:
    """The version, the marks that changed since another one (null: taken away), counts of all, and what taking all
    suggestions would do to the pictures that fit the filters of the address. The other version is the address's."""
    if since is None:
        since = number(request.query_params.get("since", "")) or 0
    p = batch.progress()
    counts = {
        "total": p.total, "marked": p.marked, "found": p.found, "keep": p.kept, "delete": p.deleted,
        "relabel": p.relabelled, "undecided": p.undecided,
    }  # fmt: skip
    changed = changes_since(batch, since)
    left = suggested(batch, request.query_params, batch.marks())
    return {
        "version": batch.version, "status": str(batch.status), "counts": counts, "suggested": asdict(left),
        "changed": {sha: _plain(m) for sha, m in changed.items()},
    }  # fmt: skip


def _plain(m: MarkState | None) -> dict[str, Any] | None:
    return None if m is None else {"action": str(m.action), "label": m.label, "who": m.who}


async def save_marks(ws: Workspace, request: Request) -> Response:
    try:
        body = await request.json()
        found = [_from_json(m) for m in body["marks"]]
        version = None if body.get("version") is None else int(body["version"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as e:
        words = {"error": "BadRequest", "message": f"Not a list of marks: {e}", "remedy": ""}
        return JSONResponse(words, 400)

    def save() -> dict[str, Any]:
        batch = load_batch(ws, request.path_params["batch_id"])
        mark(batch, found, who=reviewer(request), expected_version=version)
        return _state(batch, request, version)

    return JSONResponse(await run_in_threadpool(save))


def _from_json(m: dict[str, Any]) -> Mark:
    action = None if m["action"] is None else Action(m["action"])
    return Mark(str(m["sha256"]), action, str(m["label"]) if m.get("label") else None)


def undo_step(ws: Workspace, request: Request) -> Response:
    return _step(ws, request, undo)


def redo_step(ws: Workspace, request: Request) -> Response:
    return _step(ws, request, redo)


def _step(ws: Workspace, request: Request, function: Any) -> Response:
    batch = load_batch(ws, request.path_params["batch_id"])
    function(batch, who=reviewer(request))
    return _answer(batch, request)


def take_suggestions(ws: Workspace, request: Request) -> Response:
    """Mark every undecided picture that fits the filters as suggested, except those to keep; one step to undo."""
    batch = load_batch(ws, request.path_params["batch_id"])
    seen = batch.version  # read first: a mark that somebody sets meanwhile is not written over
    found = marks_suggested(batch, request.query_params, batch.marks())
    mark(batch, found, who=reviewer(request), expected_version=seen)
    return _answer(batch, request)


def _answer(batch: Batch, request: Request) -> Response:
    if wants_json(request):
        return JSONResponse(_state(batch, request))
    kept = urlencode([(k, v) for k, v in request.query_params.items() if k != "since"])
    return RedirectResponse(f"/batches/{batch.id}" + (f"?{kept}" if kept else ""), 303)


# -- without JavaScript ----------------------------------------------------------------------------


async def save_form(ws: Workspace, request: Request) -> Response:
    """The page's one form: a radio group per picture, and what is written beside "other class"."""
    form = await request.form(max_fields=20_000)
    given = {str(k): str(v) for k, v in form.items()}

    def save() -> Response:
        batch = load_batch(ws, request.path_params["batch_id"])
        try:
            found = [_from_form(k[2:], v, given) for k, v in given.items() if k.startswith("m:") and v]
            version = int(given["version"])
        except (ValueError, KeyError):
            return refusal(request, 400, "bad_form", "This form is not complete.", "Go back and load the page again.")
        standing = {s: (str(m.action), m.label) for s, m in batch.marks().items()}
        new = [m for m in found if standing.get(m.sha256) != (str(m.action), m.label)]
        if new:
            try:
                mark(batch, new, who=reviewer(request), expected_version=version)
            except StaleBatch as e:
                return page("stale.html", ws, 409, batch=batch, trouble=e)
        return RedirectResponse(_onwards(batch, given), 303)

    return await run_in_threadpool(save)


def _from_form(sha: str, value: str, given: Mapping[str, str]) -> Mark:
    if value.startswith("relabel:"):
        return Mark(sha, Action.RELABEL, value.removeprefix("relabel:") or given.get(f"to:{sha}", "").strip())
    return Mark(sha, Action(value), None)


def _onwards(batch: Batch, given: Mapping[str, str]) -> str:
    """To the submit page, or back to the same filters and page."""
    if given.get("then") == "submit":
        return f"/batches/{batch.id}/submit"
    back = urlencode(parse_qsl(given.get("back", ""))[:10])
    return f"/batches/{batch.id}" + (f"?{back}" if back else "")
