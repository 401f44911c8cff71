"""DuckDuckGo through the package ``ddgs`` (extra ``search``): no licences, and it breaks often."""

from __future__ import annotations

from collections.abc import Iterator

from keepset.errors import SourceError
from keepset.machine import extras
from keepset.scrape.found import Found
from keepset.scrape.web import Web, dig

__all__ = ["search"]


def search(query: str, web: Web) -> Iterator[Found]:
    extras.need("search")

    from ddgs import DDGS

    try:
        results = DDGS().images(query, max_results=web.config.scrape.max_per_class, backend="duckduckgo")
    except Exception as e:  # its errors have no common base that stays the same between versions
        raise SourceError(
            f"DuckDuckGo does not answer '{query}' ({type(e).__name__}).", "Try again later, or another source."
        ) from e
    for rank, r in enumerate(results):
        yield Found(
            dig(r, "image"), "duckduckgo", query, rank, dig(r, "title"), landing_page=dig(r, "url"),
            width=dig(r, "width"), height=dig(r, "height"), thumbnail=dig(r, "thumbnail"),
        )  # fmt: skip
