"""GBIF: still images of occurrences, by taxon key (digits) or by text."""

from __future__ import annotations

from collections.abc import Iterator

from keepset.scrape.found import Found
from keepset.scrape.license import code
from keepset.scrape.web import Web, dig, items
from keepset.sources import SOURCES

__all__ = ["search"]

_RULES = SOURCES["gbif"]


def search(query: str, web: Web) -> Iterator[Found]:
    url = web.base("gbif") + _RULES.path
    which = {"taxonKey": query} if query.isdigit() else {"q": query}
    rank = offset = 0
    while offset + _RULES.most <= (_RULES.deepest or 0):
        answer = web.json(url, mediaType="StillImage", limit=_RULES.most, offset=offset, **which)
        for o in items(answer, "results"):
            for m in items(o, "media"):
                if dig(m, "type") not in (None, "StillImage") or not dig(m, "identifier"):
                    continue
                link = dig(m, "license") or dig(o, "license")
                yield Found(
                    dig(m, "identifier"), "gbif", query, rank, dig(m, "title") or dig(o, "scientificName"),
                    dig(m, "creator") or dig(m, "rightsHolder"), code(link),
                    link if str(link or "").startswith("http") else None, dig(m, "references"),
                )  # fmt: skip
                rank += 1
        if answer.get("endOfRecords", True):
            return
        offset += _RULES.most
