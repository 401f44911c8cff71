"""HTML pages from the templates, escaped."""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.responses import HTMLResponse

from keepset.status import stack_troubles
from keepset.web.prefix import base
from keepset.workspace import Workspace

__all__ = ["page", "rendered"]


def page(name: str, ws: Workspace, code: int = 200, /, **facts: Any) -> HTMLResponse:
    """The template ``name`` of ``keepset/web/templates`` with ``ws`` and ``facts``."""
    return HTMLResponse(rendered(name, ws, **facts), code)


def rendered(name: str, ws: Workspace, /, **facts: Any) -> str:
    """The same as text; also of a part of a page."""
    return str(
        _templates().get_template(name).render(ws=ws, base=base(), troubles=stack_troubles(ws), **facts)
    )


@functools.cache
def _templates() -> Any:
    from jinja2 import Environment, PackageLoader

    env = Environment(
        loader=PackageLoader("keepset.web"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    env.filters["link"] = _safe_link
    env.filters["file"] = _file_name
    return env


def _safe_link(url: str | None) -> str:
    """Only http and https become links; anything else stays text."""
    return url if url and urlsplit(url).scheme in ("http", "https") else ""


def _file_name(url: str | None) -> str:
    """A picture's file with its folder, such as ``black/00000047.jpg``; "" for what is no address of a file."""
    if not url or urlsplit(url).scheme not in ("http", "https", "file"):
        return ""
    return unquote("/".join(urlsplit(url).path.strip("/").split("/")[-2:]))
