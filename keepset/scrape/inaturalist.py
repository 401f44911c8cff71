"""iNaturalist: photos of research-grade observations of a taxon, paged by id (page numbers end at 10,000)."""

from __future__ import annotations

from collections.abc import Iterator

from keepset.scrape.found import Found
from keepset.scrape.license import code
from keepset.scrape.web import Web

__all__ = ["search"]

_PAGE = 200


def search(query: str, web: Web) -> Iterator[Found]:
    url = web.base("inaturalist", "https://api.inaturalist.org") + "/v1/observations"
    rank, last = 0, 0
    while True:
        answer = web.json(
            url, taxon_name=query, photos="true", quality_grade="research", order_by="id", order="asc",
            id_above=last, per_page=_PAGE,
        )  # fmt: skip
        seen = answer.get("results") or []
        for o in seen:
            user = o.get("user") or {}
            for photo in o.get("photos") or ():
                size = photo.get("original_dimensions") or {}
                yield Found(
                    (photo.get("url") or "").replace("/square.", "/large."), "inaturalist", query, rank,
                    (o.get("taxon") or {}).get("name"), user.get("name") or user.get("login"),
                    code(photo.get("license_code")) or "all-rights-reserved", None, o.get("uri"),
                    size.get("width"), size.get("height"),
                )  # fmt: skip
                rank += 1
        if len(seen) < _PAGE or seen[-1]["id"] <= last:
            return
        last = seen[-1]["id"]
