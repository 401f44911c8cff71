"""The history page: what was changed, by whom, what it brought; and the way back, for a batch or for single pictures."""

from __future__ import annotations

import functools
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from keepset.clean import restore
from keepset.errors import ReviewError
from keepset.history.timeline import timeline, with_pictures
from keepset.pipeline.followup import take_on
from keepset.review import list_batches
from keepset.web import followup
from keepset.web.marking import given_name
from keepset.web.pages import number, page
from keepset.workspace import Workspace

__all__ = ["routes"]

PER_PAGE = 40
"""Events per page."""
PICTURES = 48
"""Pictures shown of one event; a batch's page shows all."""


def routes(ws: Workspace) -> list[Route]:
    return [
        Route("/log", functools.partial(_history, ws)),
        Route("/restore", functools.partial(_restore, ws), methods=["POST"]),
    ]


def _history(ws: Workspace, request: Request, trouble: str = "", status: int = 200) -> Response:
    events = timeline(ws)
    begin = number(request.query_params.get("from", "")) or 0
    shown = with_pictures(ws, events[begin : begin + PER_PAGE], PICTURES)
    return page(
        "history.html", ws, status, events=shown, older=begin + PER_PAGE if begin + PER_PAGE < len(events) else 0,
        trouble=trouble, followup=followup.view(ws), who=given_name(request), known={b.id for b in list_batches(ws)},
        restored=request.query_params.get("restored", ""), revisions=len(ws.revisions()),
    )  # fmt: skip


async def _restore(ws: Workspace, request: Request) -> Response:
    form = await request.form(max_fields=1000)
    images = [str(v) for v in form.getlist("image")]
    given = {k: str(form.get(k) or "") for k in ("batch", "who", "what")}
    return await run_in_threadpool(_restored, ws, request, images, given)


def _restored(ws: Workspace, request: Request, images: list[str], given: dict[str, str]) -> Response:
    """``what``: "all" of the batch, or the ticked images."""
    try:
        if given["what"] != "all" and not images:
            raise ReviewError("No picture is ticked.", "Tick the ones to restore, or restore all of the batch.")
        what = given["batch"] if given["what"] == "all" else images
        done = restore(ws, what, who=given["who"])
    except ReviewError as e:
        return _history(ws, request, str(e), 400)
    take_on(ws)
    answer = RedirectResponse(f"/log?restored={int(done.summary['restored'])}", 303)
    answer.set_cookie("keepset_who", quote(given["who"][:100]), samesite="strict", max_age=31_536_000)
    return answer
