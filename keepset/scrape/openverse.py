"""Openverse: openly licensed pictures, each with its author. Anonymous use is tightly throttled (obey 429)."""

from __future__ import annotations

from collections.abc import Iterator

from keepset.scrape.found import Found
from keepset.scrape.license import code
from keepset.scrape.web import Web

__all__ = ["search"]

_PAGE = 20  # most that an anonymous request may ask for


def search(query: str, web: Web) -> Iterator[Found]:
    url = web.base("openverse", "https://api.openverse.org") + "/v1/images/"
    rank, page, pages = 0, 1, 1
    while page <= pages:
        answer = web.json(url, q=query, page=page, page_size=_PAGE)
        for r in answer.get("results") or ():
            yield Found(
                r.get("url") or "", "openverse", query, rank, r.get("title"), r.get("creator"),
                code(r.get("license"), r.get("license_version")), r.get("license_url"),
                r.get("foreign_landing_url"), r.get("width"), r.get("height"),
            )  # fmt: skip
            rank += 1
        page, pages = page + 1, int(answer.get("page_count") or 0)
