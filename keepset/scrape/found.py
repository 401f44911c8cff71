"""What every source yields: the one thing that the stage and its sources share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keepset.reasons import UrlReason

__all__ = ["Found", "Note"]

Note = Callable[[str], object]
"""Takes a sentence for the person who runs the stage."""


@dataclass(frozen=True)
class Found:
    """One line of a source, before it is checked. ``url`` is the raw text; ``query`` is the place it came from.

    Values may be of any type: ``keepset.scrape.border`` makes a row of whatever a server or file wrote. ``reason`` and
    ``detail``: why the source itself does not take the line.
    """

    url: str
    source: str
    query: str | None
    rank: int
    title: str | None = None
    creator: str | None = None
    license: str | None = None
    license_url: str | None = None
    landing_page: str | None = None
    width: int | None = None
    height: int | None = None
    sha1: str | None = None
    thumbnail: str | None = None
    reason: UrlReason | None = None
    detail: str | None = None
