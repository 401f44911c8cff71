"""One shape for what is refused: words for people, ``{"error", "message", "remedy"}`` for programs."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

__all__ = ["refusal", "wants_json"]


def wants_json(request: Request) -> bool:
    path, accept = request.url.path, request.headers.get("accept", "")
    return path.startswith("/api/") or path == "/openapi.json" or "application/json" in accept


def refusal(
    request: Request,
    status: int,
    error: str,
    message: str,
    remedy: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """``error`` is a stable code; ``message`` and ``remedy`` are for people."""
    if wants_json(request):
        return JSONResponse({"error": error, "message": message, "remedy": remedy}, status, headers=headers)
    return PlainTextResponse(f"{message}\n{remedy}" if remedy else message, status, headers=headers)
