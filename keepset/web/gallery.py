"""The pages of a batch, and pictures. State is read from the workspace at every request, so any number of processes agree."""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keepset.review import BatchStatus, load_batch, stop_rule
from keepset.web import followup, marking, submitting
from keepset.web.cards import facts, group_of, page_of, rows
from keepset.web.pages import page
from keepset.web.pictures import picture, thumb
from keepset.web.refusals import refusal
from keepset.workspace import Workspace

__all__ = ["routes"]

FEW = 8
"""Up to so many classes each has a button on every card; beyond, the class is typed."""


def routes(ws: Workspace) -> list[Route]:
    def bound(function: Any) -> Any:
        return functools.partial(function, ws)

    batch = "/batches/{batch_id}"
    return [
        Route(batch, bound(_batch)),
        Route(f"{batch}/compare/{{sha}}", bound(_compare)),
        Route(f"{batch}/marks", bound(marking.read_marks), methods=["GET"]),
        Route(f"{batch}/marks", bound(marking.save_marks), methods=["POST"]),
        Route(f"{batch}/undo", bound(marking.undo_step), methods=["POST"]),
        Route(f"{batch}/redo", bound(marking.redo_step), methods=["POST"]),
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
    found: dict[str, Any] = {
        "batch": batch, "status": str(status), "open": status == BatchStatus.OPEN, "marks": marks, "shown": shown,
        "back": back, "filters": urlencode(shown.filters), "total": len(rows(batch)), "images": facts(batch),
        "labels": batch.record.labels, "few": FEW, "reasons": sorted(batch.record.counts),
        "splits": sorted({r["split"] for r in rows(batch)}), "advice": stop_rule(ws),
        "notice": request.query_params.get("notice", ""), "approval": approval,
        "decided": approval.decisions if approval else {},
        "followup": followup.view(ws), "progress": batch.progress(), "version": batch.version, "events": batch.events()[-200:][::-1],
    }  # fmt: skip
    return page("batch.html", ws, **found)


def _compare(ws: Workspace, request: Request) -> Response:
    """The members of one duplicate group side by side; what differs stands out."""
    batch = load_batch(ws, request.path_params["batch_id"])
    members = group_of(batch, request.path_params["sha"])
    if len(members) < 2:
        return refusal(request, 404, "no_copies", "This picture has no copy in the batch.")
    return page(
        "compare.html", ws, batch=batch, sha=request.path_params["sha"], members=members, images=facts(batch),
        candidates={r["sha256"]: r for r in rows(batch)}, marks=batch.marks(), version=batch.version,
        open=batch.status == BatchStatus.OPEN, labels=batch.record.labels, few=FEW,
    )  # fmt: skip
