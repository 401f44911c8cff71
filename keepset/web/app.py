"""The web app of one workspace: the gallery, the reports, and prediction."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from keepset.errors import KeepsetError, OrchestratorError, StaleBatch
from keepset.web import compare, gallery, heat, history, home, onepicture, reports
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
    site = PredictionSite(ws, local=bool(hosts))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await run_in_threadpool(site.service.close)

    static = Mount("/static", StaticFiles(packages=[("keepset.web", "static")]))
    rooms = (home, gallery, heat, onepicture, history, compare, reports)
    routes: list[BaseRoute] = [*(r for room in rooms for r in room.routes(ws)), *site.routes(), static]
    handlers: Any = {KeepsetError: _refused, ClientDisconnect: _cut_off, HTTPException: _http, Exception: _broken}
    guard = Middleware(Guard, token=token, hosts=hosts)
    app = Starlette(routes=routes, middleware=[guard], exception_handlers=handlers, lifespan=lifespan)
    app.state.close = site.service.close
    return app


def create_gallery(workspace: Path, *, token: str = "", hosts: frozenset[str] = _LOOPBACK) -> Workspaces:
    """The app of one workspace, and below ``/w/<id>/`` those of the others that its stack works on."""
    return Workspaces(workspace, functools.partial(create_app, token=token, hosts=hosts))


def _cut_off(request: Request, e: ClientDisconnect) -> Response:
    return refusal(request, 413, "too_large", "The body is too large.")


def _http(request: Request, e: HTTPException) -> Response:
    """No such page, or no such method there."""
    code = HTTPStatus(e.status_code).name.lower()
    words = "There is no such page." if e.status_code == 404 else e.detail
    return refusal(request, e.status_code, code, words, headers=e.headers)


def _broken(request: Request, e: Exception) -> Response:
    """A fault of ours: the server writes the traceback to its terminal, or to ``logs/web.log`` of a stack."""
    return refusal(
        request, 500, "internal", "The gallery has a fault.", "Nothing is lost. The terminal where it runs says more."
    )


def _refused(request: Request, e: KeepsetError) -> Response:
    """Trouble in words."""
    status = 409 if isinstance(e, StaleBatch) else 503 if isinstance(e, OrchestratorError) else 400
    status = 404 if "no batch" in e.message.lower() else status
    if wants_json(request):
        return JSONResponse(e.as_dict(), status)
    return refusal(request, status, type(e).__name__, e.message, e.remedy)
