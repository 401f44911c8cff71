"""The searches: what a class of the run config may name under ``search``, and who asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from keepset.scrape import duckduckgo, gbif, inaturalist, openverse, wikimedia
from keepset.scrape.found import Found
from keepset.scrape.web import Web

__all__ = ["SEARCHES"]

SEARCHES: dict[str, Callable[[str, Web], Iterator[Found]]] = {
    "openverse": openverse.search,
    "wikimedia": wikimedia.search,
    "inaturalist": inaturalist.search,
    "gbif": gbif.search,
    "duckduckgo": duckduckgo.search,
}
