"""The one border between sources and ``urls.parquet``: whatever a source yields becomes a row, taken or with a reason."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from keepset.blocklist import BlockList, masked
from keepset.config import RunConfig
from keepset.download.target import BadUrl, Target
from keepset.reasons import LOCAL_SOURCES, ItemStatus, UrlReason
from keepset.scrape.found import Found
from keepset.scrape.known import Known
from keepset.scrape.license import code, taken
from keepset.sources import smaller_form
from keepset.tables.cells import address_in
from keepset.text import label_of, one_line, without_surrogates

__all__ = ["SCRUBBED", "Border", "address", "number", "words"]

Verdict = tuple[UrlReason | None, str | None]
SCRUBBED = ("title", "creator", "license_url", "landing_page", "sha1", "thumbnail")
"""What a row of something that was taken down no longer says."""
_LONGEST_URL, _LONGEST_RAW, _LONGEST_TEXT = 8000, 2000, 2000
_MOST = 2**31 - 1


class Border:
    """Checks what the sources of one run yield, against each other and against what is known from before."""

    def __init__(self, config: RunConfig, known: Known, now: datetime) -> None:
        self.config, self.known, self.now = config, known, now
        self.blocked = BlockList.of(known.ws)
        self.excluded = {c.name: _pattern(c.exclude) for c in config.classes if c.exclude}
        self.room = {c.name: config.scrape.max_per_class - known.count(c.name) for c in config.classes}

    def has_room(self, label: str) -> bool:
        """Whether the class may have more URLs."""
        return self.room[label] > 0

    def row(self, found: Found, label: str) -> dict[str, Any] | None:
        """The row of urls.parquet, or None if it is there already. ``label`` "" goes with a reason only."""
        url, reason, detail = address(found)
        facts = _facts(found)
        if self.blocked.refuses(url, facts["creator"], code(facts["license"])):
            url, reason, detail = masked(url), UrlReason.TAKEN_DOWN, None
            facts |= dict.fromkeys(SCRUBBED)
        if reason is None:
            reason, detail = self._refused(url, label, found.source, facts)
        number, accepted = self.known.accepted_id(label, found.source, facts["query"], url)
        if reason is None and not accepted and not self.has_room(label):
            most = self.config.scrape.max_per_class
            reason, detail = UrlReason.OVER_CAP, f"the class has {most} URLs already"
        if reason is None:
            facts["thumbnail"] = self._thumbnail(url, found) if found.source not in LOCAL_SOURCES else None
            self.known.taken.add(url, label)
            self.room[label] -= not accepted
        row = {
            "url": url, "label": label, "status": str(ItemStatus.REJECTED if reason else ItemStatus.OK),
            "reason": reason and str(reason), "detail": detail, "discovered_at": self.now, **facts,
        }  # fmt: skip
        return self.known.name(row, number)

    def _thumbnail(self, url: str, found: Found) -> str | None:
        """Where a smaller form of the picture is: on its own host, if that is known to have one, else where the source says."""
        offered = words(found.thumbnail)
        thumbnail = smaller_form(url) or (None if offered is None or _web(offered)[0] else offered)
        return None if thumbnail in (None, url) or self.blocked.refuses(thumbnail) else thumbnail

    def _refused(self, url: str, label: str, source: str, facts: dict[str, Any]) -> Verdict:
        if source not in LOCAL_SOURCES:
            if not taken(facts["license"], self.config.scrape.licenses):
                return UrlReason.LICENSE, f"its licence: {facts['license'] or 'not given'}"
            pattern = self.excluded.get(label)
            if pattern and (word := pattern.search(f"{facts['title'] or ''} {unquote(url)}")):
                return UrlReason.EXCLUDED, f"it holds '{word[0]}'"
        other = self.known.taken.label(url)
        if other is None:
            return None, None
        if other == label:
            return UrlReason.DUPLICATE, "already in this class"
        return UrlReason.OTHER_CLASS, f"already in the class '{other}'"


def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Whole words of scripts that have capitals, parts of a word of those that mostly write no spaces."""
    plain = sorted((label_of(w) for w in words), key=len, reverse=True)
    whole = "|".join(re.escape(w) for w in plain if w.lower() != w.upper())
    part = "|".join(re.escape(w) for w in plain if w.lower() == w.upper())
    return re.compile("|".join(filter(None, (whole and rf"(?<![^\W_])(?:{whole})s?(?![^\W_])", part))), re.IGNORECASE)


def address(found: Found) -> tuple[str, UrlReason | None, str | None]:
    """The address as it will be asked for, or the raw text and why it is not taken."""
    raw = without_surrogates(found.url).strip() if isinstance(found.url, str) else words(found.url) or ""
    if found.reason is not None:
        return raw[:_LONGEST_RAW], found.reason, one_line(found.detail or "") or None
    if found.source in LOCAL_SOURCES:
        outside = None if raw.startswith("file:") else "it lies outside the table's folder"
        return (raw[:_LONGEST_RAW], UrlReason.OUTSIDE, outside) if outside else (raw, None, None)
    if raw[:200].lower().lstrip("\"'<").startswith("data:"):
        return raw[:200], UrlReason.DATA_URI, "pictures inside the list itself are not taken"
    url = address_in(raw) if found.source == "list" else raw
    reason, detail = _web(url)
    return (url if reason is None else url[:_LONGEST_RAW]), reason, detail


def _web(url: str) -> Verdict:
    scheme, sep, rest = url.partition("://")
    if not sep or not rest:
        return UrlReason.NOT_A_URL, None
    if len(url) > _LONGEST_URL:
        return UrlReason.NOT_A_URL, f"{len(url)} characters are more than servers take"
    if " " in url or not url.isprintable():
        odd = next(c for c in url if c == " " or not c.isprintable())
        what = "a space" if odd == " " else f"the character U+{ord(odd):04X}"
        return UrlReason.NOT_A_URL, f"it holds {what}"
    if scheme.lower() not in ("http", "https"):
        return UrlReason.SCHEME, f"{scheme[:50]}: only http and https are fetched"
    try:
        Target.parse(url)
    except BadUrl as e:  # such as http://[
        return UrlReason.NOT_A_URL, one_line(str(e))
    return None, None


def _facts(found: Found) -> dict[str, Any]:
    sha1 = (words(found.sha1) or "").lower()
    return {
        "source": found.source, "query": None if found.query is None else without_surrogates(str(found.query)),
        "rank": min(max(found.rank, 0), _MOST), "title": words(found.title), "creator": words(found.creator),
        "license": words(found.license), "license_url": words(found.license_url),
        "landing_page": words(found.landing_page), "width": number(found.width), "height": number(found.height),
        "sha1": sha1 if re.fullmatch(r"[0-9a-f]{40}", sha1) else None,
    }  # fmt: skip


def words(value: Any) -> str | None:
    """A source's text on one line, whatever type it came as; several texts are joined. None if it says nothing."""
    if isinstance(value, list | tuple):
        return one_line(", ".join(filter(None, map(words, value[:20]))))[:_LONGEST_TEXT] or None
    if value is None or isinstance(value, bool | dict) or value != value:
        return None
    return one_line(str(value))[:_LONGEST_TEXT] or None


def number(value: Any) -> int | None:
    """Pixels as a source claims them (640, "640", 640.0); None for anything else."""
    found = re.fullmatch(r"\s*([0-9]{1,10})(\.0*)?\s*", str(value)) if not isinstance(value, bool) else None
    return int(found[1]) if found and 0 < int(found[1]) <= _MOST else None
