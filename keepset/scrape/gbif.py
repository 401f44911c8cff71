"""GBIF: still images of occurrences, by taxon key (digits) or by text."""

from __future__ import annotations

from collections.abc import Iterator

from keepset.scrape.found import Found
from keepset.scrape.license import code
from keepset.scrape.web import Web, dig, items

__all__ = ["search"]

_PAGE, _DEEPEST = 300, 100_000  # offset plus limit may not pass this


def search(query: str, web: Web) -> Iterator[Found]:
    url = web.base("gbif", "https://api.gbif.org") + "/v1/occurrence/search"
    which = {"taxonKey": query} if query.isdigit() else {"q": query}
    rank = offset = 0
    while offset + _PAGE <= _DEEPEST:
        answer = web.json(url, mediaType="StillImage", limit=_PAGE, offset=offset, **which)
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
        offset += _PAGE
