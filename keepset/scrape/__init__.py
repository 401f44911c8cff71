"""The stage ``scrape``: from the config's sources to ``urls.parquet``. Adds only what is new."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from keepset import manifests
from keepset.config import ClassConfig, RunConfig
from keepset.errors import SourceError
from keepset.manifests import Header
from keepset.reasons import ItemStatus, UrlReason
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.workspace import Workspace

__all__ = ["Found", "scrape"]

VERSION = 1


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


def scrape(
    ws: Workspace, config: RunConfig, *, progress: Progress = SILENT, now: datetime | None = None
) -> StageResult:
    """Collect from every source of every class. Lines that are no URL are kept, with their reason."""
    with ws.lock("scrape"):
        old = manifests.read(ws.urls, "urls").rows() if ws.urls.exists() else []
        known = {r["url_id"]: r for r in old}
        progress.start("collecting URLs", None)
        rows = list(_rows(config, known, now or datetime.now(UTC), progress))
        added = [r for r in rows if r["url_id"] not in known]
        named = {r["url_id"] for r in rows}
        # What a source no longer names stays: its picture may be in the data set.
        kept = [r for r in old if r["url_id"] not in named and r["label"] in config.labels]
        table = manifests.table_from_rows("urls", rows + kept)
        fingerprint = manifests.fingerprint(
            "scrape",
            {"urls": manifests.content_hash("urls", table)},
            config.part("classes", "scrape"),
            VERSION,
        )
        if manifests.up_to_date(ws.urls, fingerprint):
            return StageResult(
                Stage.SCRAPE, False, f"up to date: {len(old)} lines, nothing new", _counts(old)
            )
        manifests.write(ws.urls, table, Header("urls", "scrape", fingerprint, {}, config.as_dict()))
    counts = _counts(rows + kept)
    message = f"{counts['ok']} URLs ({len(added)} new lines, {counts['rejected']} lines rejected)"
    return StageResult(Stage.SCRAPE, True, message, counts, {"urls": "manifests/urls.parquet"})


def _counts(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    found = list(rows)
    reasons: dict[str, int] = {}
    for r in found:
        if r.get("reason"):
            reasons[str(r["reason"])] = reasons.get(str(r["reason"]), 0) + 1
    ok = sum(r["status"] == ItemStatus.OK for r in found)
    return {"ok": ok, "rejected": len(found) - ok, **reasons}


def _rows(
    config: RunConfig, known: dict[str, dict[str, Any]], now: datetime, progress: Progress
) -> Iterator[dict[str, Any]]:
    taken: dict[str, str] = {}
    for c in config.classes:
        count = 0
        for found in _sources(c):
            url, reason, detail = _checked(found, c.name, taken)
            if reason is None and count >= config.scrape.max_per_class:
                reason, detail = UrlReason.OVER_CAP, f"the class has {count} URLs already"
            if reason is None:
                taken[url] = c.name
                count += 1
            status = ItemStatus.OK if reason is None else ItemStatus.REJECTED
            key = f"{c.name}\n{found.source}\n{found.query}\n{found.rank if reason else ''}\n{url}"
            url_id = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
            first = known.get(url_id, {}).get("discovered_at", now)
            facts = {k: v for k, v in asdict(found).items() if k != "url"}
            yield {
                "url_id": url_id, "url": url, "label": c.name, "status": str(status),
                "reason": reason and str(reason), "detail": detail, "discovered_at": first, **facts,
            }  # fmt: skip
            progress.advance()


def _sources(c: ClassConfig) -> Iterator[Found]:
    from keepset.scrape.folders import read_folder
    from keepset.scrape.lists import read_list

    if c.pages or c.search:
        raise SourceError(
            f"The class '{c.name}' names {'pages' if c.pages else 'a search'}, which this version cannot collect yet.",
            "Put the URLs into a list file, or use a folder.",
        )
    for path in c.lists:
        yield from read_list(path)
    for path in c.folders:
        yield from read_folder(path)


def _checked(found: Found, label: str, taken: dict[str, str]) -> tuple[str, UrlReason | None, str | None]:
    raw = found.url.strip()
    if found.source == "folder":
        return raw, None, None
    if raw.lower().startswith("data:"):
        return raw[:200], UrlReason.DATA_URI, "pictures inside the list itself are not taken"
    scheme, sep, rest = raw.partition("://")
    if not sep or not rest or any(ch.isspace() for ch in raw):
        return raw[:2000], UrlReason.NOT_A_URL, None
    if scheme.lower() not in ("http", "https"):
        return raw[:2000], UrlReason.SCHEME, f"{scheme}: only http and https are fetched"
    if raw in taken:
        if taken[raw] == label:
            return raw, UrlReason.DUPLICATE, "named before in this class"
        return raw, UrlReason.OTHER_CLASS, f"the class '{taken[raw]}' has it"
    return raw, None, None
