"""The gallery's pages. State is read from the workspace at every request, so any number of processes agree."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from keepset.models import list_models
from keepset.orchestrator.neighbours import neighbours
from keepset.review import Batch, BatchStatus, list_batches, load_batch, stop_rule
from keepset.review.ordering import Sort
from keepset.review.stacks import ALIKE as LIKELY
from keepset.status.history import revisions, sentence
from keepset.text import many
from keepset.web import followup, marking, submitting
from keepset.web.cards import (
    LIKE_PAGE,
    PAGE,
    SIZES,
    Page,
    facts,
    group_of,
    page_of,
    suggested,
    tile_size,
    values_of,
)
from keepset.web.pages import page
from keepset.web.pictures import picture, thumb
from keepset.web.prefix import base
from keepset.workspace import Workspace

__all__ = ["routes"]

REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
FEW = 9
"""Up to so many classes each has a button and a digit; beyond, the class is typed."""


def routes(ws: Workspace) -> list[Route]:
    def bound(function: Any) -> Any:
        return functools.partial(function, ws)

    batch = "/batches/{batch_id}"
    return [
        Route("/", bound(_home)),
        Route(batch, bound(_batch)),
        Route(f"{batch}/compare/{{sha}}", bound(_compare)),
        Route(f"{batch}/marks", bound(marking.read_marks), methods=["GET"]),
        Route(f"{batch}/marks", bound(marking.save_marks), methods=["POST"]),
        Route(f"{batch}/undo", bound(marking.undo_step), methods=["POST"]),
        Route(f"{batch}/redo", bound(marking.redo_step), methods=["POST"]),
        Route(f"{batch}/suggestions", bound(marking.take_suggestions), methods=["POST"]),
        Route(f"{batch}/more", bound(_more), methods=["POST"]),
        Route(f"{batch}/form", bound(marking.save_form), methods=["POST"]),
        Route(f"{batch}/submit", bound(submitting.show), methods=["GET"]),
        Route(f"{batch}/submit", bound(submitting.decide), methods=["POST"]),
        Route(f"{batch}/reopen", bound(submitting.open_again), methods=["POST"]),
        Route("/thumbs/{name}", bound(thumb)),
        Route("/pictures/{name}", bound(picture)),
        Route("/reports/{model_id}", bound(_report)),
        Route("/log", bound(_log)),
        Route("/followup", bound(followup.show), methods=["GET"]),
        Route("/followup", bound(followup.begin), methods=["POST"]),
    ]


def _home(ws: Workspace, request: Request) -> Response:
    reports = [m for m in list_models(ws) if (ws.reports / m.id / "report.html").exists()]
    return page(
        "home.html", ws, batches=[(b, _outcome(b)) for b in list_batches(ws)[::-1]], models=reports[::-1], promoted=ws.promoted(),
        advice=stop_rule(ws), followup=followup.view(ws), others={} if base() else neighbours(ws.root),
    )  # fmt: skip


def _outcome(batch: Batch) -> str:
    """What is left to decide in an open batch, or what was decided."""
    approval, p = batch.approval(), batch.progress()
    if approval is None:
        return f"{p.undecided} of {many(p.total, 'picture')} to decide"
    if approval.decision != "approve":
        return f"{many(p.total, 'picture')}, nothing changed"
    acts = [str(d["action"]) for d in approval.decisions.values()]
    left = p.total - len(acts)
    said = f"deleted {acts.count('delete')}, relabelled {acts.count('relabel')}, kept {acts.count('keep')}"
    return f"{said}{f', {left} not decided' if left > 0 else ''}"


SORTS = (
    ("", "Learned from your marks"), (Sort.SUSPICION, "Most suspicious"), (Sort.ALIKE, "Stacks of look-alikes"),
    (Sort.CLASS, "By class"), (Sort.SOURCE, "By source"),
)  # fmt: skip


def _tiles(batch: Batch, shown: Page) -> dict[str, Any]:
    """What the tiles of a page are made from."""
    approval = batch.approval()
    return {
        "batch": batch, "shown": shown, "marks": batch.marks(), "images": facts(batch, shown.rows), "approval": approval,
        "decided": approval.decisions if approval else {}, "open": batch.status == BatchStatus.OPEN,
        "labels": batch.record.labels, "few": FEW,
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
        "splits": values_of(batch, "split"), "advice": stop_rule(ws), "notice": request.query_params.get("notice", ""),
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
    except (ValueError, KeyError, TypeError) as e:
        return PlainTextResponse(f"Not a question for more pictures: {e}", 400)

    def answer() -> Response:
        batch = load_batch(ws, request.path_params["batch_id"])
        query = {**request.query_params, "show": "undecided", "page": "1"}
        shown = page_of(batch, query, batch.marks(), kept)
        shown = replace(shown, rows=shown.rows[:count])
        return page("tiles.html", ws, **_tiles(batch, shown))

    return await run_in_threadpool(answer)


def _compare(ws: Workspace, request: Request) -> Response:
    """The members of one duplicate group side by side; what differs stands out."""
    batch = load_batch(ws, request.path_params["batch_id"])
    sha, candidates = request.path_params["sha"], batch.rows()
    members = group_of(batch, sha)
    if len(members) < 2:
        return PlainTextResponse("This image has no copy in the batch.", 404)
    return page(
        "compare.html", ws, batch=batch, sha=sha, members=members, images=facts(batch, [candidates[sha]]),
        candidates=candidates, marks=batch.marks(), version=batch.version,
        open=batch.status == BatchStatus.OPEN, labels=batch.record.labels, few=FEW,
    )  # fmt: skip


def _log(ws: Workspace, request: Request) -> Response:
    rows = [r | {"words": sentence(r)} for r in ws.audit_log()[-500:][::-1]]
    return page("log.html", ws, rows=rows, revisions=revisions(ws)[::-1])


def _report(ws: Workspace, request: Request) -> Response:
    model_id = request.path_params["model_id"]
    if model_id not in {m.id for m in list_models(ws)}:
        return PlainTextResponse("There is no such model.", 404)
    path = ws.reports / model_id / "report.html"
    if not path.exists():
        return PlainTextResponse("This model has no report yet: run `keepset interpret`.", 404)
    return FileResponse(path, headers={"content-security-policy": REPORT_POLICY})
