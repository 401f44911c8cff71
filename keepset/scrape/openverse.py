"""Openverse: openly licensed pictures, each with its author. Anonymous use is tightly throttled (obey 429)."""

from __future__ import annotations

from collections.abc import Iterator

from keepset.scrape.border import number
from keepset.scrape.found import Found
from keepset.scrape.license import code
from keepset.scrape.web import Web, dig, items
from keepset.sources import SOURCES

__all__ = ["search"]

_RULES = SOURCES["openverse"]


def search(query: str, web: Web) -> Iterator[Found]:
    url = web.base("openverse") + _RULES.path
    rank, page, pages = 0, 1, 1
    while page <= min(pages, (_RULES.deepest or 0) // _RULES.most):
        answer = web.json(url, q=query, page=page, page_size=_RULES.most)
        for r in items(answer, "results"):
            yield Found(
                dig(r, "url"), "openverse", query, rank, dig(r, "title"), dig(r, "creator"),
                code(dig(r, "license"), dig(r, "license_version")), dig(r, "license_url"),
                dig(r, "foreign_landing_url"), dig(r, "width"), dig(r, "height"),
                thumbnail=dig(r, "thumbnail"),
            )  # fmt: skip
            rank += 1
        pages = (number(answer.get("page_count")) or 0) if items(answer, "results") else 0
        page += 1
