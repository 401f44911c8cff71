"""The rules of the sources that Keepset searches, as data: what they answer, how deep, how fast, and to whom.

They change: ``CHECKED`` says when they were last compared with what the sources publish (``rules``), and
``keepset doctor --sources`` asks each source today. The tests' servers refuse what these rules say the real ones refuse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = [
    "CHECKED", "IN_FLIGHT", "PER_SECOND", "SOURCES", "THUMBNAIL_WIDTHS", "WIKIDATA", "SourceRules", "asked_of", "hint", "smaller_form",
]  # fmt: skip

CHECKED = "2026-11"


@dataclass(frozen=True)
class SourceRules:
    """``home`` and ``path``: where its API is. ``most``: results per request; ``deepest``: results of one search, in all.

    ``longest``: characters of a search text. ``gap_s``: seconds between two requests. ``contact``: whether the User-Agent
    must say whom to write to. ``probe``: a small question, for ``keepset doctor``.
    """

    home: str
    path: str
    probe: str
    most: int
    deepest: int | None
    longest: int
    gap_s: float
    contact: bool
    rules: str


SOURCES: dict[str, SourceRules] = {
    "openverse": SourceRules(
        "https://api.openverse.org", "/v1/images/", "q=bear&page_size=1",
        20, 240, 200, 3.0, False, "https://api.openverse.org/v1/",
    ),
    "wikimedia": SourceRules(
        "https://commons.wikimedia.org", "/w/api.php", "action=query&format=json&meta=siteinfo",
        50, 10_000, 300, 1.0, True, "https://www.mediawiki.org/wiki/Wikimedia_APIs/Access_policy",
    ),
    "inaturalist": SourceRules(
        "https://api.inaturalist.org", "/v1/observations", "taxon_name=Ursus&photos=true&per_page=1",
        200, None, 200, 1.0, False, "https://www.inaturalist.org/pages/api+recommended+practices",
    ),
    "gbif": SourceRules(
        "https://api.gbif.org", "/v1/occurrence/search", "q=bear&mediaType=StillImage&limit=1",
        300, 100_000, 500, 0.5, False, "https://techdocs.gbif.org/en/openapi/v1/occurrence",
    ),
    "duckduckgo": SourceRules(
        "https://duckduckgo.com", "/", "q=bear", 100, None, 500, 1.0, False, "https://duckduckgo.com/duckduckgo-help-pages/",
    ),
}  # fmt: skip
"""Openverse without a login: 20 requests a minute, 200 a day, 20 results each; more is HTTP 401. GBIF: offset plus limit."""

WIKIDATA = SourceRules(
    "https://www.wikidata.org", "/w/api.php", "action=query&format=json&meta=siteinfo",
    50, None, 250, 1.0, True, "https://www.wikidata.org/wiki/Wikidata:Data_access",
)  # fmt: skip
"""Not a source of pictures: it knows the names of things in other languages."""

THUMBNAIL_WIDTHS = (20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840)
"""Widths in which Wikimedia serves thumbnails; any other one is refused (https://www.mediawiki.org/wiki/Common_thumbnail_sizes)."""

_WIKIMEDIA = "upload.wikimedia.org"
_FAMILY = {"thumb.wikimedia.org": _WIKIMEDIA}
IN_FLIGHT = {_WIKIMEDIA: 2}
"""Requests in flight that a host's own rules allow (https://wikitech.wikimedia.org/wiki/Robot_policy)."""
PER_SECOND = {"api.openverse.org": 2.5}
"""Requests per second that a host's own rules allow: Openverse gives 150 thumbnails a minute without a login."""
_THUMBNAIL = re.compile(r"https?://(?:upload|thumb)\.wikimedia\.org/.*/(\d+)px-[^/]*", re.I)


def asked_of(host: str) -> str:
    """Whose limits hold for ``host``: originals and thumbnails of Wikimedia are one operator's."""
    return _FAMILY.get(host, host)


_SMALLER = (
    (r"(https?://(?:upload|thumb)\.wikimedia\.org/.*/thumb/.*/)(?:9\d\d|\d{4,})(px-[^/]*)", r"\g<1>330\2"),
    (
        r"(https?://upload\.wikimedia\.org/wikipedia/commons/)(\w/\w\w/)([^/?#]+\.(?:jpe?g|png|gif))",
        r"\1thumb/\2\3/330px-\3",
    ),
    (r"(https?://(?:live|farm\d+)\.staticflickr\.com/\d+/\d+_[0-9a-f]+_)[zcb](\.jpg)", r"\1n\2"),
    (
        r"(https?://(?:static\.inaturalist\.org|inaturalist-open-data\.s3\.amazonaws\.com)/photos/\d+/)(?:large|original)(\.\w+)",
        r"\1small\2",
    ),
)
"""Addresses of pictures of 640 pixels and more, and those of the same pictures in 240 to 330 pixels, by the rules of their
hosts: https://www.mediawiki.org/wiki/Common_thumbnail_sizes, https://www.flickr.com/services/api/misc.urls.html,
https://github.com/inaturalist/inaturalist-open-data."""


_HAVE_SMALLER = re.compile(
    r"https?://(?:(?:upload|thumb)\.wikimedia|(?:live|farm\d+)\.staticflickr|static\.inaturalist|inaturalist-open-data)\.",
    re.I,
)


def smaller_form(url: str) -> str | None:
    """The address of a small form of the picture on the same host, if the host is known to have one."""
    if len(url) > 2000 or not _HAVE_SMALLER.match(url):
        return None
    return next((found.expand(to) for pattern, to in _SMALLER if (found := re.fullmatch(pattern, url, re.I))), None)


def hint(url: str, status: int) -> str:
    """What to do about a refusal that the host's rules explain; else empty."""
    found = _THUMBNAIL.match(url)
    if status not in (400, 429) or not found or int(found[1]) in THUMBNAIL_WIDTHS:
        return ""
    wide = next((w for w in THUMBNAIL_WIDTHS if w >= int(found[1])), THUMBNAIL_WIDTHS[-1])
    return f"Wikimedia serves thumbnails of certain widths only: write {wide}px instead of {found[1]}px"
