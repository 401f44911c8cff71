"""The templates of ``keepset/web/templates``: everything is escaped."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from keepset.review.naming import batch_name
from keepset.text import certainty, file_name, share, span

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["templates"]


@functools.cache
def templates() -> Environment:
    from jinja2 import Environment, PackageLoader

    env = Environment(loader=PackageLoader("keepset.web"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    env.filters |= {
        "batch": batch_name,
        "link": _safe_link,
        "file": file_name,
        "day": _day,
        "share": share,
        "span": span,
        "percent": certainty,
    }
    return env


def _safe_link(url: str | None) -> str:
    """Only http and https become links; anything else stays text."""
    return url if url and urlsplit(url).scheme in ("http", "https") else ""


def _day(at: str) -> str:
    """``3 May 2026, 14:05`` (UTC) of an ISO time."""
    when = datetime.fromisoformat(at).astimezone(UTC)
    return f"{when.day} {when:%B %Y, %H:%M}"
