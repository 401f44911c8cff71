"""HTML pages from the templates in ``keepset/web/templates``: everything is escaped."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse

from keepset.review.naming import batch_name
from keepset.status import troubles
from keepset.text import certainty, file_name, share, span
from keepset.web.prefix import base
from keepset.workspace import Workspace

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["number", "page", "rendered", "templates"]


def page(name: str, ws: Workspace, code: int = 200, /, **facts: Any) -> HTMLResponse:
    """The template ``name`` with ``ws`` and ``facts``."""
    return HTMLResponse(rendered(name, ws, **facts), code)


def rendered(name: str, ws: Workspace, /, **facts: Any) -> str:
    """The same as text; also of a part of a page."""
    known = {"ws": ws, "base": base(), "troubles": functools.partial(troubles, ws)}
    return str(templates().get_template(name).render(known | facts))


def number(text: str) -> int | None:
    """The whole number in a form or an address; None if it is none, or longer than nine digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


@functools.cache
def templates() -> Environment:
    from jinja2 import Environment, PackageLoader

    env = Environment(loader=PackageLoader("keepset.web"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    env.filters |= {"batch": batch_name, "link": _safe_link, "file": file_name, "day": _day}
    env.filters |= {"share": share, "span": span, "percent": certainty}
    return env


def _safe_link(url: str | None) -> str:
    """Only http and https become links; anything else stays text."""
    return url if url and urlsplit(url).scheme in ("http", "https") else ""


def _day(at: str) -> str:
    """``3 May 2026, 14:05 UTC`` of an ISO time."""
    when = datetime.fromisoformat(at).astimezone(UTC)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"
