"""The web app of one workspace: the gallery, the reports, and, where it is installed, prediction."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from keepset.errors import KeepsetError, StaleBatch
from keepset.web import gallery
from keepset.web.security import Guard
from keepset.workspace import Workspace

__all__ = ["create_app"]

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def create_app(workspace: Path, *, token: str = "", hosts: frozenset[str] = _LOOPBACK) -> Starlette:
    """The app; ``hosts`` are the host names it answers to (empty: any, which needs a token)."""
    ws = Workspace.open(workspace)
    routes: list[BaseRoute] = [*gallery.routes(ws)]
    if importlib.util.find_spec("keepset.web.predict"):
        routes += importlib.import_module("keepset.web.predict").routes(ws.root)
    if not any(getattr(r, "path", "") == "/healthz" for r in routes):
        routes.append(Route("/healthz", _healthy))
    routes.append(Mount("/static", StaticFiles(packages=[("keepset.web", "static")])))
    handlers: Any = {KeepsetError: _refused, ClientDisconnect: _cut_off}
    guard = Middleware(Guard, token=token, hosts=hosts)
    return Starlette(routes=routes, middleware=[guard], exception_handlers=handlers)


def _healthy(_: Request) -> Response:
    return JSONResponse({"ok": True})


def _cut_off(_: Request, e: ClientDisconnect) -> Response:
    return PlainTextResponse("The body is too large.", 413)


def _refused(request: Request, e: KeepsetError) -> Response:
    """Trouble in words: JSON where JSON was asked for, else plain text."""
    status = 409 if isinstance(e, StaleBatch) else 404 if "no batch" in e.message.lower() else 400
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse(e.as_dict(), status)
    return PlainTextResponse(str(e), status)
