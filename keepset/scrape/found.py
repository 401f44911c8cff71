"""What every source yields: the one thing that the stage and its sources share."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Found"]


@dataclass(frozen=True)
class Found:
    """One line of a source, before it is checked. ``url`` is the raw text; ``query`` says where it stood."""

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
