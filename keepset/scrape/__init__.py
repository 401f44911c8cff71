"""The stage ``scrape``: from the config's sources to ``urls.parquet``. Adds only what is new."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from keepset import manifests
from keepset.config import ClassConfig, RunConfig
from keepset.errors import SourceError
from keepset.manifests import Header
from keepset.reasons import ItemStatus, UrlReason
from keepset.scrape.found import Found
from keepset.scrape.local import LOCAL
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.storage import StoredPath
from keepset.workspace import Workspace

if TYPE_CHECKING:
    from keepset.scrape.known import Known
    from keepset.scrape.web import Web

__all__ = ["SEARCHES", "scrape"]

VERSION = 1
_PIECE = 4096  # rows that are tables of dicts at one time
SEARCHES = ("openverse", "wikimedia", "inaturalist", "gbif", "duckduckgo")


def scrape(
    ws: Workspace, config: RunConfig, *, progress: Progress = SILENT, now: datetime | None = None
) -> StageResult:
    """Collect from every source of every class. Lines that are no URL are kept, with their reason."""
    from keepset.scrape.known import Known

    with ws.lock("scrape", note=progress.note):
        known = Known.of(ws)
        progress.start("collecting URLs", None)
        fresh = ws.journal / "fresh-urls.parquet"
        try:
            with _web(ws, config) as web, manifests.writing(fresh, "urls") as found:
                rows = _rows(config, known, now or datetime.now(UTC), progress, web)
                while piece := list(islice(rows, _PIECE)):
                    found.add(piece)
                found.commit(Header("urls", "scrape", "", {}))
            with manifests.writing(ws.urls, "urls") as out:
                counts = known.combine(fresh, config, out)
                fingerprint = manifests.fingerprint(
                    "scrape", {"urls": out.content_hash()}, config.part("classes", "scrape"), VERSION
                )
                if manifests.up_to_date(ws.urls, fingerprint):
                    message = f"up to date: {out.rows} lines, nothing new"
                    return StageResult(Stage.SCRAPE, False, message, counts)
                out.commit(Header("urls", "scrape", fingerprint, {}, config.as_dict()))
        finally:
            added = manifests.read_header(fresh).rows if fresh.exists() else 0
            fresh.unlink(missing_ok=True)
    message = f"{counts['ok']} URLs ({added} new lines, {counts['rejected']} lines rejected)"
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


def _rows(
    config: RunConfig, known: Known, now: datetime, progress: Progress, web: Web | None
) -> Iterator[dict[str, Any]]:
    """The rows that are new; ``known`` learns which of its own were named again."""
    for c in config.classes:
        room = config.scrape.max_per_class - known.count(c.name)
        told = _Told(progress, known)

        def has_room() -> bool:
            return room > 0  # noqa: B023 - asked within this turn of the loop

        for found in _sources(c, web, has_room, told):
            progress.advance()
            url, reason, detail = _checked(found)
            if reason is None and found.source not in LOCAL and not _license_taken(found, config):
                reason, detail = UrlReason.LICENSE, f"its licence: {found.license or 'not given'}"
            if reason is None and (other := known.taken.label(url)) is not None:
                reason, detail = _duplicate(other, c.name)
            number, accepted = known.accepted_id(c.name, found.source, found.query, url)
            if reason is None and not accepted and room <= 0:
                reason, detail = (
                    UrlReason.OVER_CAP,
                    f"the class has {config.scrape.max_per_class} URLs already",
                )
            if reason is None:
                known.taken.add(url, c.name)
                room -= not accepted
            facts = {k: v for k, v in vars(found).items() if k != "url"}
            row = {
                "url": url, "label": c.name, "status": str(ItemStatus.REJECTED if reason else ItemStatus.OK),
                "reason": reason and str(reason), "detail": detail, "discovered_at": now, **facts,
            }  # fmt: skip
            if (new := known.name(row, number)) is not None:
                yield new


def _duplicate(other: str, label: str) -> tuple[UrlReason, str]:
    if other == label:
        return UrlReason.DUPLICATE, "named before in this class"
    return UrlReason.OTHER_CLASS, f"the class '{other}' has it"


def _sources(c: ClassConfig, web: Web | None, room: Callable[[], bool], told: _Told) -> Iterator[Found]:
    """Files first, then the web, which is asked only while the class has ``room``."""
    from keepset.scrape.folders import read_folder
    from keepset.scrape.lists import read_list
    from keepset.scrape.tables import read_table

    for path in c.lists:
        yield from read_list(path)
        told.known.read_whole(c.name, "list", Path(path).name)
    if c.urls:
        yield from (Found(url, "list", "run config", rank) for rank, url in enumerate(c.urls))
        told.known.read_whole(c.name, "list", "run config")
    for path in c.folders:
        yield from read_folder(path)
        told.known.read_whole(c.name, "folder", path)
    for path in c.tables:
        yield from read_table(path, c.name)
        told.known.read_whole(c.name, "table", path)
    root = told.known.ws.root
    if not isinstance(root, StoredPath) and (root / "inbox").is_dir():
        from keepset.inbox import read_inbox

        yield from read_inbox(told.known.ws, c.name)
    if web is None:
        return
    from keepset.scrape.page import read_page

    for page in c.pages:
        yield from _while(room, read_page(page, web), told, (c.name, "page", page))
    for source, query in c.search.items():
        yield from _while(room, _search(source, query, web), told, (c.name, source, query))


def _search(source: str, query: str, web: Web) -> Iterator[Found]:
    if source not in SEARCHES:
        raise SourceError(f"There is no source '{source}'.", f"Known are: {', '.join(SEARCHES)}.")
    found: Iterator[Found] = import_module(f"keepset.scrape.{source}").search(query, web)
    return found


def _while(
    room: Callable[[], bool], answers: Iterator[Found], told: _Told, place: tuple[str, str, str]
) -> Iterator[Found]:
    """A source that fails half-way, or failed only today, loses nothing that is known: it is told, and left."""
    some = place in told.known.places
    while room():
        try:
            found = next(answers, None)
        except SourceError as e:
            if not some:
                raise
            told.progress.note(f"{place[1]} '{place[2]}' was left early: {e}")
            return
        if found is None:
            told.known.read_whole(*place)
            return
        some = True
        yield found


@dataclass(frozen=True)
class _Told:
    """Whom to tell, and what is known from before."""

    progress: Progress
    known: Known


def _checked(found: Found) -> tuple[str, UrlReason | None, str | None]:
    raw = found.url.strip()
    if found.source in LOCAL:
        outside = None if raw.startswith("file:") else "it lies outside the table's folder"
        return raw, UrlReason.NOT_A_URL if outside else None, outside
    if raw.lower().startswith("data:"):
        return raw[:200], UrlReason.DATA_URI, "pictures inside the list itself are not taken"
    scheme, sep, rest = raw.partition("://")
    if not sep or not rest or any(ch.isspace() for ch in raw):
        return raw[:2000], UrlReason.NOT_A_URL, None
    if scheme.lower() not in ("http", "https"):
        return raw[:2000], UrlReason.SCHEME, f"{scheme}: only http and https are fetched"
    try:
        urlsplit(raw)
    except ValueError as e:  # such as http://[
        return raw[:2000], UrlReason.NOT_A_URL, str(e)
    return raw, None, None
