"""One shape for what is refused: a page for people, ``{"error", "message", "remedy"}`` for programs, else plain text."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from keepset.web.pages import templates
from keepset.web.prefix import base

__all__ = ["refusal", "wants_json"]

_TITLES = {
    400: "That did not work", 401: "Please log in", 403: "Not allowed", 404: "Not found", 409: "Someone else was faster",
    413: "Too large", 500: "Something went wrong", 503: "Not available now",
}  # fmt: skip


def wants_json(request: Request) -> bool:
    path, accept = request.url.path, request.headers.get("accept", "")
    return path.startswith("/api/") or path == "/openapi.json" or "application/json" in accept


def refusal(
    request: Request, status: int, error: str, message: str, remedy: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """``error`` is a stable code; ``message`` and ``remedy`` are for people."""
    if wants_json(request):
        return JSONResponse({"error": error, "message": message, "remedy": remedy}, status, headers=headers)
    if "text/html" in request.headers.get("accept", ""):
        title = _TITLES.get(status) or HTTPStatus(status).phrase
        shown = templates().get_template("refusal.html")
        html = shown.render(base=base(), title=title, status=status, message=message, remedy=remedy)
        return HTMLResponse(html, status, headers=headers)
    return PlainTextResponse(f"{message}\n{remedy}" if remedy else message, status, headers=headers)
