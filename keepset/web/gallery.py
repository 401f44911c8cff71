"""The pages of a batch, and pictures. State is read from the workspace at every request, so any number of processes agree."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keepset.review import Batch, BatchStatus, errors_left, load_batch
from keepset.review.ordering import ALIKE as LIKELY
from keepset.review.ordering import Sort
from keepset.web import followup, marking, submitting, viewing
from keepset.web.cards import FEW, LIKE_PAGE, PAGE, SIZES, Page, facts, page_of, suggested, tile_size, values_of
from keepset.web.pages import page
from keepset.web.pictures import picture, thumb
from keepset.web.refusals import refusal
from keepset.workspace import Workspace

__all__ = ["routes"]


def routes(ws: Workspace) -> list[Route]:
    def bound(function: Any) -> Any:
        return functools.partial(function, ws)

    batch = "/batches/{batch_id}"
    return [
        Route(batch, bound(_batch)),
        Route(f"{batch}/pictures/{{sha}}", bound(viewing.show)),
        Route(f"{batch}/marks", bound(marking.read_marks), methods=["GET"]),
        Route(f"{batch}/marks", bound(marking.save_marks), methods=["POST"]),
        Route(f"{batch}/undo", bound(marking.undo_step), methods=["POST"]),
        Route(f"{batch}/redo", bound(marking.redo_step), methods=["POST"]),
        Route(f"{batch}/suggestions", bound(marking.take_suggestions), methods=["POST"]),
        Route(f"{batch}/more", bound(_more), methods=["POST"]),
        Route(f"{batch}/form", bound(marking.save_form), methods=["POST"]),
        Route(f"{batch}/submit", bound(submitting.show), methods=["GET"]),
        Route(f"{batch}/submit", bound(submitting.decide), methods=["POST"]),
        Route(f"{batch}/forecast", bound(submitting.foreseen)),
        Route(f"{batch}/reopen", bound(submitting.open_again), methods=["POST"]),
        Route("/thumbs/{name}", bound(thumb)),
        Route("/pictures/{name}.jpg", bound(picture)),
    ]


SORTS = (
    ("", "Learned order"), (Sort.SUSPICION, "Most suspicious"), (Sort.ALIKE, "Look-alikes"),
    (Sort.CLASS, "By class"), (Sort.SOURCE, "By source"),
)  # fmt: skip


def _tiles(batch: Batch, shown: Page) -> dict[str, Any]:
    """What the tiles of a page are made from."""
    approval = batch.approval()
    return {
        "batch": batch, "shown": shown, "marks": batch.marks(), "images": facts(batch, shown.rows), "approval": approval,
        "decided": approval.decisions if approval else {}, "open": batch.status == BatchStatus.OPEN,
        "labels": batch.labels, "few": FEW,
    }  # fmt: skip


def _batch(ws: Workspace, request: Request) -> Response:
    batch = load_batch(ws, request.path_params["batch_id"])
    marks = batch.marks()
    shown = page_of(batch, request.query_params, marks)
    status = batch.status
    back = urlencode({**shown.filters, "page": shown.number})
    asked = suggested(batch, shown.filters, marks)
    before = {k: v for k, v in shown.filters.items() if k not in ("like", "show")}
    found: dict[str, Any] = _tiles(batch, shown) | {
        "status": str(status), "back": back, "filters": urlencode(shown.filters), "total": len(batch.rows()), "suggested": asked,
        "size": tile_size(request.cookies.get("keepset_tiles", "")), "sizes": SIZES, "reasons": sorted(batch.record.counts),
        "splits": values_of(batch, "split"), "left": errors_left(ws), "open_looks": len(batch.drawn() - marks.keys()), "notice": request.query_params.get("notice", ""),
        "sorts": SORTS, "learns": shown.sort == Sort.LEARNED and not shown.examples, "likely": LIKELY,
        "before": urlencode(before | {"at": shown.rows[0]["rank"] if shown.rows else 0}),
        "followup": followup.view(ws), "progress": batch.progress(), "version": batch.version, "events": batch.events()[-200:][::-1],
    }  # fmt: skip
    return page("batch.html", ws, **found)


async def _more(ws: Workspace, request: Request) -> Response:
    """Tiles of undecided pictures in their order as of now, as HTML: as many as asked for (``count``), without those that
    the page has on the screen (``kept``)."""
    try:
        body = await request.json()
        kept, count = [str(s) for s in body["kept"]][:LIKE_PAGE], min(max(0, int(body["count"])), PAGE)
    except (ValueError, KeyError, TypeError, OverflowError) as e:
        return refusal(request, 400, "bad_request", f"Not a question for more pictures: {e}")

    def answer() -> Response:
        batch = load_batch(ws, request.path_params["batch_id"])
        query = {**request.query_params, "show": "undecided", "page": "1"}
        shown = page_of(batch, query, batch.marks(), kept)
        shown = replace(shown, rows=shown.rows[:count])
        return page("tiles.html", ws, **_tiles(batch, shown))

    return await run_in_threadpool(answer)
