"""GBIF: still images of occurrences, by taxon key (digits) or by text."""

from __future__ import annotations

from collections.abc import Iterator

from keepset.scrape.found import Found
from keepset.scrape.license import code
from keepset.scrape.web import Web

__all__ = ["search"]

_PAGE, _DEEPEST = 300, 100_000  # offset plus limit may not pass this


def search(query: str, web: Web) -> Iterator[Found]:
    url = web.base("gbif", "https://api.gbif.org") + "/v1/occurrence/search"
    which = {"taxonKey": query} if query.isdigit() else {"q": query}
    rank = offset = 0
    while offset + _PAGE <= _DEEPEST:
        answer = web.json(url, mediaType="StillImage", limit=_PAGE, offset=offset, **which)
        for o in answer.get("results") or ():
            for m in o.get("media") or ():
                if m.get("type", "StillImage") != "StillImage" or not m.get("identifier"):
                    continue
                link = m.get("license") or o.get("license")
                yield Found(
                    m["identifier"], "gbif", query, rank, m.get("title") or o.get("scientificName"),
                    m.get("creator") or m.get("rightsHolder"), code(link),
                    link if str(link or "").startswith("http") else None, m.get("references"),
                )  # fmt: skip
                rank += 1
        if answer.get("endOfRecords", True):
            return
        offset += _PAGE
