"""iNaturalist: photos of research-grade observations of a taxon, paged by id (page numbers end at 10,000)."""

from __future__ import annotations

from collections.abc import Iterator

from keepset.scrape.found import Found
from keepset.scrape.license import code
from keepset.scrape.web import Web, dig, items
from keepset.sources import SOURCES

__all__ = ["search"]

_RULES = SOURCES["inaturalist"]


def search(query: str, web: Web) -> Iterator[Found]:
    url = web.base("inaturalist") + _RULES.path
    rank, last = 0, 0
    while True:
        answer = web.json(
            url, taxon_name=query, photos="true", quality_grade="research", order_by="id", order="asc",
            id_above=last, per_page=_RULES.most,
        )  # fmt: skip
        seen = items(answer, "results")
        for o in seen:
            for photo in items(o, "photos"):
                yield Found(
                    str(dig(photo, "url") or "").replace("/square.", "/large."), "inaturalist", query, rank,
                    dig(o, "taxon", "name"), dig(o, "user", "name") or dig(o, "user", "login"),
                    code(dig(photo, "license_code")) or "all-rights-reserved", None, dig(o, "uri"),
                    dig(photo, "original_dimensions", "width"), dig(photo, "original_dimensions", "height"),
                )  # fmt: skip
                rank += 1
        newest = max((i for o in seen if isinstance(i := dig(o, "id"), int)), default=0)
        if len(seen) < _RULES.most or newest <= last:
            return
        last = newest
