"""What of a place may be shown to everybody: no paths of this machine, no passwords, no signatures, no other schemes."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit, urlunsplit

from keepset.reasons import LOCAL_SOURCES

__all__ = ["shown_place", "shown_url", "web_link"]

_SECRET = re.compile(
    r"(^|[-_.])(sig|signature|token|secret|password|key|auth|credential|hmac|expires|policy)([-_.]|$)", re.I
)
"""Parameters of signed URLs (S3, GCS, Azure, CloudFront and the like): whoever has them may read what is private."""


def web_link(url: str | None) -> str | None:
    """``url`` if it is a web address, whatever the source wrote; else None."""
    return url if url and url.lower().startswith(("http://", "https://")) else None


def shown_url(url: str | None) -> str:
    """A picture's address to publish: without user and password, and without a query that signs it.

    Of a local file only its name.
    """
    if not url:
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme == "file":
        return unquote(parts.path).rpartition("/")[2]
    signed = any(_SECRET.search(pair.partition("=")[0]) for pair in parts.query.split("&"))
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "" if signed else parts.query, ""))


def shown_place(source: str, query: str) -> str:
    """The place a source looked at: of a local folder its name only."""
    if source in LOCAL_SOURCES:
        return query.rstrip("/").rpartition("/")[2]
    return shown_url(query) if source == "page" else query
