"""Wikimedia Commons through the MediaWiki API. It demands a contact in the User-Agent (``[scrape] contact``)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from keepset.errors import SourceError
from keepset.scrape.found import Found
from keepset.scrape.license import code
from keepset.scrape.web import Web

__all__ = ["search"]

_WIDTH = 1280  # originals of tens of megabytes teach a classifier nothing more


def search(query: str, web: Web) -> Iterator[Found]:
    url = web.base("wikimedia", "https://commons.wikimedia.org") + "/w/api.php"
    rank = 0
    more: dict[str, Any] = {}
    while True:
        answer = web.json(
            url, action="query", format="json", formatversion=2, generator="search",
            gsrsearch=f"filetype:bitmap {query}", gsrnamespace=6, gsrlimit=50, prop="imageinfo",
            iiprop="url|size|mime|sha1|extmetadata", iiurlwidth=_WIDTH, **more,
        )  # fmt: skip
        if "error" in answer:  # with HTTP 200
            info = answer["error"].get("info", answer["error"])
            raise SourceError(f"Wikimedia Commons refuses the search '{query}': {info}.", "Try again later.")
        pages = (answer.get("query") or {}).get("pages") or []
        for page in sorted(pages, key=lambda p: p.get("index", 0)):
            if page.get("imageinfo"):
                yield _found(page["imageinfo"][0], query, rank)
                rank += 1
        more = answer.get("continue") or {}
        if not more:
            return


def _found(info: dict[str, Any], query: str, rank: int) -> Found:
    meta = {k: _text(v.get("value")) for k, v in (info.get("extmetadata") or {}).items()}
    small = bool(info.get("thumburl")) and (info.get("width") or 0) > _WIDTH
    kind = "thumb" if small else ""
    return Found(
        info.get(f"{kind}url") or "", "wikimedia", query, rank, meta.get("ObjectName"), meta.get("Artist"),
        code(meta.get("LicenseShortName")), meta.get("LicenseUrl"), info.get("descriptionurl"),
        info.get(f"{kind}width"), info.get(f"{kind}height"),
        None if small else info.get("sha1"),  # it is the original's
    )  # fmt: skip


def _text(value: Any) -> str | None:
    """Commons gives authors as HTML."""
    return html.unescape(re.sub(r"<[^>]*>", "", str(value or ""))).strip() or None
