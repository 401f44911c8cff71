"""The stage ``scrape``: from the config's sources to ``urls.parquet``. Adds only what is new."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

from keepset import manifests
from keepset.config import ClassConfig, RunConfig
from keepset.errors import SourceError
from keepset.manifests import Header
from keepset.reasons import ItemStatus, UrlReason
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.workspace import Workspace

if TYPE_CHECKING:
    from keepset.scrape.web import Web

__all__ = ["SEARCHES", "Found", "scrape"]

VERSION = 1
SEARCHES = ("openverse", "wikimedia", "inaturalist", "gbif", "duckduckgo")


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
        with _web(ws, config) as web:
            rows = list(_rows(config, known, now or datetime.now(UTC), progress, web))
        added = [r for r in rows if r["url_id"] not in known]
        named = {r["url_id"] for r in rows}
        # What a source no longer names stays: its picture may be in the data set.
        kept = [r for r in old if r["url_id"] not in named and r["label"] in config.labels]
        # Known rows keep their places, so that a source which is silent today changes nothing further down.
        place = {r["url_id"]: i for i, r in enumerate(old)}
        table = manifests.table_from_rows(
            "urls", sorted(rows + kept, key=lambda r: place.get(r["url_id"], len(place)))
        )
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


@contextlib.contextmanager
def _web(ws: Workspace, config: RunConfig) -> Iterator[Web | None]:
    if not any(c.pages or c.search for c in config.classes):
        yield None
        return
    from keepset.scrape.web import Web

    with Web(config, ws.journal / "parts") as web:
        yield web


def _license_taken(found: Found, config: RunConfig) -> bool:
    from keepset.scrape.license import taken

    return taken(found.license, config.scrape.licenses)


def _counts(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    found = list(rows)
    reasons: dict[str, int] = {}
    for r in found:
        if r.get("reason"):
            reasons[str(r["reason"])] = reasons.get(str(r["reason"]), 0) + 1
    ok = sum(r["status"] == ItemStatus.OK for r in found)
    return {"ok": ok, "rejected": len(found) - ok, **reasons}


def _rows(
    config: RunConfig, known: dict[str, dict[str, Any]], now: datetime, progress: Progress, web: Web | None
) -> Iterator[dict[str, Any]]:
    taken: dict[str, str] = {}
    for c in config.classes:
        count = 0
        answered = {(r["source"], r["query"]) for r in known.values() if r["label"] == c.name}
        told = _Told(progress, frozenset(answered))
        for found in _sources(c, web, lambda: count < config.scrape.max_per_class, told):  # noqa: B023
            url, reason, detail = _checked(found, c.name, taken)
            if reason is None and found.source != "folder" and not _license_taken(found, config):
                reason, detail = UrlReason.LICENSE, f"its licence: {found.license or 'not given'}"
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


def _sources(c: ClassConfig, web: Web | None, room: Callable[[], bool], told: _Told) -> Iterator[Found]:
    """Files first, then the web, which is asked only while the class has ``room``."""
    from keepset.scrape.folders import read_folder
    from keepset.scrape.lists import read_list

    for path in c.lists:
        yield from read_list(path)
    for path in c.folders:
        yield from read_folder(path)
    if web is None:
        return
    from keepset.scrape.page import read_page

    for page in c.pages:
        yield from _while(room, read_page(page, web), told, ("page", page))
    for source, query in c.search.items():
        yield from _while(room, _search(source, query, web), told, (source, query))


def _search(source: str, query: str, web: Web) -> Iterator[Found]:
    if source not in SEARCHES:
        raise SourceError(f"There is no source '{source}'.", f"Known are: {', '.join(SEARCHES)}.")
    found: Iterator[Found] = import_module(f"keepset.scrape.{source}").search(query, web)
    return found


def _while(
    room: Callable[[], bool], answers: Iterator[Found], told: _Told, place: tuple[str, str]
) -> Iterator[Found]:
    """A source that fails half-way, or failed only today, loses nothing that is known: it is told, and left."""
    some = place in told.known
    while room():
        try:
            found = next(answers, None)
        except SourceError as e:
            if not some:
                raise
            told.progress.note(f"{place[0]} '{place[1]}' was left early: {e}")
            return
        if found is None:
            return
        some = True
        yield found


@dataclass(frozen=True)
class _Told:
    """Whom to tell, and which (source, query) has answered before."""

    progress: Progress
    known: frozenset[tuple[str, str]]


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
