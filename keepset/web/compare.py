"""The page of a diff: what was added, removed or changed between two revisions, by whom, and where the models disagree."""

from __future__ import annotations

import functools

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keepset.errors import ConfigError
from keepset.history.diff import Kind, diff
from keepset.review import list_batches
from keepset.web.pages import number, page
from keepset.web.refusals import refusal
from keepset.workspace import Workspace

__all__ = ["routes"]

MOST = 300
"""Pictures shown under one decision, and of the predictions."""


def routes(ws: Workspace) -> list[Route]:
    return [Route("/diff", functools.partial(_compare, ws))]


def _compare(ws: Workspace, request: Request) -> Response:
    first, second = (number(request.query_params.get(name, "")) for name in ("from", "to"))
    try:
        found = diff(ws, first, second)
    except ConfigError as e:
        return refusal(request, 404, "no_revision", e.message, e.remedy)
    shas = {c.sha256 for c in found.changes} | {s.sha256 for s in found.said}
    thumbs = {s for s in shas if ws.thumb(s).exists()} if len(shas) <= MOST else shas
    return page(
        "diff.html", ws, d=found, decided=found.by_decision(), counts={k: len(found.of(k)) for k in Kind}, thumbs=thumbs,
        known={b.id for b in list_batches(ws)}, revisions=ws.revisions(), most=MOST,
        fixed=[s for s in found.said if s.verdict == "fixed"], broken=[s for s in found.said if s.verdict == "broken"],
        other=[s for s in found.said if s.verdict == "other"],
    )  # fmt: skip
