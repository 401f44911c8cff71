"""Openverse: openly licensed pictures, each with its author. Anonymous use is tightly throttled (obey 429)."""

from __future__ import annotations

from collections.abc import Iterator

from keepset.scrape.border import number
from keepset.scrape.found import Found
from keepset.scrape.license import code
from keepset.scrape.web import Web, dig, items

__all__ = ["search"]

_PAGE = 20  # most that an anonymous request may ask for


def search(query: str, web: Web) -> Iterator[Found]:
    url = web.base("openverse", "https://api.openverse.org") + "/v1/images/"
    rank, page, pages = 0, 1, 1
    while page <= pages:
        answer = web.json(url, q=query, page=page, page_size=_PAGE)
        for r in items(answer, "results"):
            yield Found(
                dig(r, "url"), "openverse", query, rank, dig(r, "title"), dig(r, "creator"),
                code(dig(r, "license"), dig(r, "license_version")), dig(r, "license_url"),
                dig(r, "foreign_landing_url"), dig(r, "width"), dig(r, "height"),
            )  # fmt: skip
            rank += 1
        pages = (number(answer.get("page_count")) or 0) if items(answer, "results") else 0
        page += 1
