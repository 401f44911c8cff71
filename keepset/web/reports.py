"""A model's report within the gallery: the same file, with a way back, and its pictures linked to the gallery's."""

from __future__ import annotations

import functools
import re
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from keepset.models import list_models
from keepset.web.prefix import base
from keepset.web.refusals import refusal
from keepset.workspace import Workspace

__all__ = ["routes", "wrapped"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_PICTURE = re.compile(r'<img [^>]*data-sha256="([0-9a-f]{64})"[^>]*>')
_OPEN = re.compile(r'<span data-open="([0-9a-f]{64})"></span>')
_GO = re.compile(r"<code data-go>keepset (web|review|train|predict)\b[^<]*</code>")
"""The command of the report's next step, if a page of the gallery does the same; `keepset run` needs more sources first."""
_STYLE = (
    "<style>.back{display:block;margin:0 0 1rem;padding:.55rem 1.2rem;border-bottom:1px solid color-mix(in srgb,currentColor 20%,transparent);"
    "font:15px/1.5 system-ui,sans-serif}.back a{color:inherit}a.zoom{display:block}a.zoom:focus-visible{outline:3px solid}"
    ".go{padding:.5rem 1.1rem;border-radius:8px;background:var(--s1);color:var(--bg);font-weight:600;text-decoration:none}"
    "@media print{.back{display:none}}</style>"
)


def routes(ws: Workspace) -> list[Route]:
    return [Route("/reports/{model_id}", functools.partial(_report, ws))]


def _report(ws: Workspace, request: Request) -> Response:
    model_id = request.path_params["model_id"]
    if model_id not in {m.id for m in list_models(ws)}:
        return refusal(request, 404, "no_model", "There is no such model.", "The home page lists all reports.")
    path = ws.reports / model_id / "report.html"
    if not path.exists():
        return refusal(request, 404, "no_report", "This model has no report yet.", "Run `keepset interpret`.")
    html = wrapped(path.read_text(encoding="utf-8"), ws.name, base())
    return HTMLResponse(html, headers={"content-security-policy": POLICY})


def wrapped(report: str, name: str, at: str) -> str:
    """``at`` is what comes before the gallery's paths. A file of another make is only given the way back."""
    back = f'<header class="back"><a href="{at}/">← {escape(name)}</a></header>'
    report = report.replace("</head>", f"{_STYLE}</head>", 1).replace("<body>", f"<body>{back}", 1)
    report = _GO.sub(lambda m: _button(m[1], at), report, count=1)
    report = _OPEN.sub(lambda m: f'<a href="{at}/pictures/{m[1]}">Open in the gallery</a>', report)
    return _PICTURE.sub(lambda m: f'<a class="zoom" href="{at}/pictures/{m[1]}">{m[0]}</a>', report)


def _button(command: str, at: str) -> str:
    page, words = ("/predict", "Predict pictures") if command == "predict" else ("/", "Open the gallery")
    return f'<a class="go" href="{at}{page}">{words}</a>'
