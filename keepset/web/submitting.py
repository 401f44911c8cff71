"""Deciding on a whole batch in the gallery: counts and guards first, then approve, reject, send back, or reopen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from keepset.errors import NeedsConfirmation, ReviewError, StaleBatch
from keepset.reasons import Action
from keepset.review import BatchStatus, load_batch, preview, reopen, submit
from keepset.web.cards import suggested
from keepset.web.marking import given_name, reviewer
from keepset.web.pages import page
from keepset.workspace import Workspace

__all__ = ["decide", "open_again", "show"]


def show(
    ws: Workspace, request: Request, trouble: str = "", status: int = 200, difference: Sequence[Any] = ()
) -> Response:
    """What an approval would do now, and what needs a tick; ``difference``: what changed since somebody looked."""
    batch = load_batch(ws, request.path_params["batch_id"])
    undecided = request.query_params.get("undecided", "keep")
    marks = batch.marks()
    counts = {str(a): sum(m.action == a for m in marks.values()) for a in Action}
    asked = suggested(batch, {}, marks)
    unasked = len(batch.on_request() - marks.keys())
    marked, all_done = (preview(batch, undecided=u) for u in ("keep", "suggested"))
    found = all_done.guards if undecided == "suggested" else marked.guards
    return page(
        "submit.html", ws, status, batch=batch, counts=counts, rest=asked.all + asked.left, unasked=unasked, suggested=asked, guards=found,
        all_guards=list(dict.fromkeys([*found, *all_done.guards])), undecided=undecided, trouble=trouble,
        difference=difference,
        preview=marked, all_done=all_done, open=batch.status == BatchStatus.OPEN, version=batch.version,
        who=given_name(request),
    )  # fmt: skip


async def decide(ws: Workspace, request: Request) -> Response:
    form = {str(k): str(v) for k, v in (await request.form()).items()}
    return await run_in_threadpool(_decide, ws, request, form)


def _decide(ws: Workspace, request: Request, form: dict[str, str]) -> Response:
    from keepset.pipeline.followup import hand_over

    batch = load_batch(ws, request.path_params["batch_id"])
    try:
        submit(
            batch, form.get("decision", ""), who=form.get("who", ""), note=form.get("note", ""),
            undecided=form.get("undecided", "keep"), confirm=form.get("confirm") == "yes",
            expected_version=int(form["version"]) if form.get("version", "").isdecimal() else None, via="gallery",
        )  # fmt: skip
    except NeedsConfirmation as e:
        return show(ws, request, str(e), 400)
    except StaleBatch as e:
        return show(ws, request, str(e), 409, e.difference)
    except ReviewError as e:
        return show(ws, request, str(e), 409)
    hand_over(ws, load_batch(ws, batch.id))
    answer = RedirectResponse(f"/batches/{batch.id}?notice=recorded", 303)
    answer.set_cookie("keepset_who", quote(form.get("who", "")[:100]), samesite="strict", max_age=31_536_000)
    return answer


def open_again(ws: Workspace, request: Request) -> Response:
    from keepset.orchestrator.waiting import notify_reopened

    batch = load_batch(ws, request.path_params["batch_id"])
    reopen(batch, who=reviewer(request))
    notify_reopened(ws, load_batch(ws, batch.id))
    return RedirectResponse(f"/batches/{batch.id}", 303)
