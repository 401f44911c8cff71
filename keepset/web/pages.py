"""HTML pages from the templates, escaped."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.responses import HTMLResponse

from keepset.status import troubles
from keepset.web.prefix import base
from keepset.web.templating import templates
from keepset.workspace import Workspace

__all__ = ["page", "rendered"]


def page(name: str, ws: Workspace, code: int = 200, /, **facts: Any) -> HTMLResponse:
    """The template ``name`` of ``keepset/web/templates`` with ``ws`` and ``facts``."""
    return HTMLResponse(rendered(name, ws, **facts), code)


def rendered(name: str, ws: Workspace, /, **facts: Any) -> str:
    """The same as text; also of a part of a page."""
    return str(templates().get_template(name).render(ws=ws, base=base(), troubles=partial(troubles, ws), **facts))
