"""The web app of one workspace: the gallery, the reports, and prediction."""

from __future__ import annotations

import functools
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from keepset.errors import KeepsetError, StaleBatch
from keepset.orchestrator.neighbours import neighbours
from keepset.web import gallery
from keepset.web.predict import PredictionSite
from keepset.web.prefix import Workspaces
from keepset.web.refusals import refusal, wants_json
from keepset.web.security import Guard
from keepset.workspace import Workspace

__all__ = ["create_app", "create_gallery"]

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def create_app(workspace: Path, *, token: str = "", hosts: frozenset[str] = _LOOPBACK) -> Starlette:
    """The app of one workspace; ``hosts`` are the host names it answers to (empty: any, which needs a token)."""
    ws = Workspace.open(workspace)
    site = PredictionSite(ws)
    static = Mount("/static", StaticFiles(packages=[("keepset.web", "static")]))
    routes: list[BaseRoute] = [*gallery.routes(ws), *site.routes(), static]
    handlers: Any = {KeepsetError: _refused, ClientDisconnect: _cut_off, HTTPException: _http}
    guard = Middleware(Guard, token=token, hosts=hosts)
    app = Starlette(routes=routes, middleware=[guard], exception_handlers=handlers, lifespan=site.lifespan)
    app.state.site = site
    return app


def create_gallery(workspace: Path, *, token: str = "", hosts: frozenset[str] = _LOOPBACK) -> Workspaces:
    """The app of one workspace, and below ``/w/<id>/`` those of the others that its stack works on."""
    make = functools.partial(create_app, token=token, hosts=hosts)
    return Workspaces(
        make(workspace),
        lambda: neighbours(workspace),
        lambda ws: make(ws.root),
        lambda app: app.state.site.service.close(),
    )


def _cut_off(request: Request, e: ClientDisconnect) -> Response:
    return refusal(request, 413, "too_large", "The body is too large.")


def _http(request: Request, e: HTTPException) -> Response:
    """No such page, or no such method there."""
    code = HTTPStatus(e.status_code).name.lower()
    return refusal(request, e.status_code, code, e.detail, headers=e.headers)


def _refused(request: Request, e: KeepsetError) -> Response:
    """Trouble in words: JSON where JSON was asked for, else plain text."""
    status = 409 if isinstance(e, StaleBatch) else 404 if "no batch" in e.message.lower() else 400
    if wants_json(request):
        return JSONResponse(e.as_dict(), status)
    return PlainTextResponse(str(e), status)
