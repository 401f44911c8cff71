"""The page of one picture: what it is, what the model in use says of it, and where it can be decided on or restored."""

from __future__ import annotations

import functools
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keepset import manifests
from keepset.errors import KeepsetError
from keepset.history.timeline import named
from keepset.history.trace import trace
from keepset.review import BatchStatus, list_batches
from keepset.web.marking import given_name
from keepset.web.pages import page
from keepset.web.pictures import known
from keepset.web.refusals import refusal
from keepset.workspace import Workspace

__all__ = ["routes"]

_IMAGE = ("sha256", "width", "height", "bytes", "format", "url", "landing_page", "license", "creator")
_ROW = ("sha256", "label", "given_label", "split", "active", "dup_of", "dup_kind", "changed_in", "changed_by")
_SAID = ("sha256", "predicted", "model_probs")


def routes(ws: Workspace) -> list[Route]:
    return [Route("/pictures/{sha}", functools.partial(_show, ws))]


def _show(ws: Workspace, request: Request) -> Response:
    sha = request.path_params["sha"]
    if not known(ws, sha):
        return refusal(request, 404, "no_picture", "There is no such picture in this data set.")
    data = _row(ws, "dataset", sha)
    by, traced = str(data.get("changed_by") or ""), "trace" in request.query_params
    restorable = bool(data.get("changed_in")) and by.startswith("b")
    return page(
        "picture.html", ws, sha=sha, name=named(ws, [sha]).get(sha, sha[:8]), image=_row(ws, "images", sha), data=data,
        said=_said(ws, sha), waits=_waits(ws, sha), restorable=restorable, by=by, who=given_name(request),
        traced=[s for t in trace(ws, sha) for s in t.told() if s[0] != "picture"] if traced else None,
    )  # fmt: skip


def _row(ws: Workspace, schema: str, sha: str) -> dict[str, Any]:
    path, columns = (ws.images, _IMAGE) if schema == "images" else (ws.newest(), _ROW)
    try:
        return next(manifests.picked(path, schema, columns, [sha]), {})
    except KeepsetError:
        return {}


def _said(ws: Workspace, sha: str) -> dict[str, Any]:
    """What the model in use said of it, and how sure it was; empty if it has not seen it."""
    if not (model := ws.promoted()):
        return {}
    try:
        path = ws.models / model / "predictions.parquet"
        row = next(manifests.picked(path, "predictions", _SAID, [sha]), None)
    except KeepsetError:
        return {}
    return {"label": row["predicted"], "probability": max(row["model_probs"])} if row else {}


def _waits(ws: Workspace, sha: str) -> dict[str, Any]:
    """The open batch that holds it, and its place there."""
    for batch in list_batches(ws)[::-1]:
        if batch.status == BatchStatus.OPEN and sha in batch.markable():
            table = batch.candidates().table
            ranks = dict(zip(table["sha256"].to_pylist(), table["rank"].to_pylist(), strict=True))
            return {"batch": batch.id, "rank": ranks.get(sha, 0)}
    return {}
