"""Wikimedia Commons through the MediaWiki API. It demands a contact in the User-Agent (``[scrape] contact``)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from keepset.errors import SourceError
from keepset.scrape.border import number
from keepset.scrape.found import Found
from keepset.scrape.license import code
from keepset.scrape.web import Web, dig, items
from keepset.sources import SOURCES, THUMBNAIL_WIDTHS

__all__ = ["search"]

_RULES = SOURCES["wikimedia"]
_WIDTH = max(w for w in THUMBNAIL_WIDTHS if w <= 1280)  # originals of tens of megabytes teach a classifier nothing more


def search(query: str, web: Web) -> Iterator[Found]:
    url = web.base("wikimedia") + _RULES.path
    rank = 0
    more: dict[str, Any] = {}
    while True:
        answer = web.json(
            url, action="query", format="json", formatversion=2, generator="search",
            gsrsearch=f"filetype:bitmap {query}", gsrnamespace=6, gsrlimit=_RULES.most, prop="imageinfo",
            iiprop="url|size|mime|sha1|extmetadata", iiurlwidth=_WIDTH, **more,
        )  # fmt: skip
        if "error" in answer:  # with HTTP 200
            info = dig(answer, "error", "info") or answer["error"]
            raise SourceError(f"Wikimedia Commons refuses the search '{query}': {info}.", "Try again later.")
        pages = items(answer, "query", "pages")
        for page in sorted(pages, key=lambda p: number(dig(p, "index")) or 0):
            for info in items(page, "imageinfo")[:1]:
                yield _found(info, query, rank)
                rank += 1
        before, more = more, answer.get("continue") or {}
        if not isinstance(more, dict) or more in ({}, before):
            return


def _found(info: Any, query: str, rank: int) -> Found:
    small = bool(dig(info, "thumburl")) and (number(dig(info, "width")) or 0) > _WIDTH
    kind = "thumb" if small else ""

    def said(key: str) -> str | None:
        return _text(dig(info, "extmetadata", key, "value"))

    return Found(
        dig(info, f"{kind}url"), "wikimedia", query, rank, said("ObjectName"), said("Artist"),
        code(said("LicenseShortName")), said("LicenseUrl"), dig(info, "descriptionurl"),
        dig(info, f"{kind}width"), dig(info, f"{kind}height"),
        None if small else dig(info, "sha1"),  # it is the original's
    )  # fmt: skip


def _text(value: Any) -> str | None:
    """Commons gives authors as HTML."""
    return html.unescape(re.sub(r"<[^>]*>", "", str(value or ""))).strip() or None
