"""The pages of a batch, and pictures. State is read from the workspace at every request, so any number of processes agree."""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keepset.review import BatchStatus, load_batch, stop_rule
from keepset.web import followup, marking, submitting, viewing
from keepset.web.cards import FEW, SIZES, facts, page_of, suggested, tile_size, values_of
from keepset.web.pages import page
from keepset.web.pictures import picture, thumb
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
        Route(f"{batch}/form", bound(marking.save_form), methods=["POST"]),
        Route(f"{batch}/submit", bound(submitting.show), methods=["GET"]),
        Route(f"{batch}/submit", bound(submitting.decide), methods=["POST"]),
        Route(f"{batch}/reopen", bound(submitting.open_again), methods=["POST"]),
        Route("/thumbs/{name}", bound(thumb)),
        Route("/pictures/{name}.jpg", bound(picture)),
    ]


def _batch(ws: Workspace, request: Request) -> Response:
    batch = load_batch(ws, request.path_params["batch_id"])
    marks = batch.marks()
    shown = page_of(batch, request.query_params, marks)
    status, approval = batch.status, batch.approval()
    back = urlencode({**shown.filters, "page": shown.number})
    asked = suggested(batch, shown.filters, marks)
    found: dict[str, Any] = {
        "batch": batch, "status": str(status), "open": status == BatchStatus.OPEN, "marks": marks, "shown": shown,
        "back": back, "filters": urlencode(shown.filters), "total": len(batch.rows()), "suggested": asked,
        "size": tile_size(request.cookies.get("keepset_tiles", "")), "sizes": SIZES, "images": facts(batch, shown.rows),
        "labels": batch.record.labels, "few": FEW, "reasons": sorted(batch.record.counts),
        "splits": values_of(batch, "split"), "advice": stop_rule(ws),
        "notice": request.query_params.get("notice", ""), "approval": approval,
        "decided": approval.decisions if approval else {},
        "followup": followup.view(ws), "progress": batch.progress(), "version": batch.version, "events": batch.events()[-200:][::-1],
    }  # fmt: skip
    return page("batch.html", ws, **found)
