"""The stage ``scrape``: from the config's sources to ``urls.parquet``. Adds only what is new."""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from keepset import manifests
from keepset.config import ClassConfig, RunConfig
from keepset.config.sections import is_saved
from keepset.errors import MissingExtra, SourceError
from keepset.manifests import Header
from keepset.reasons import ItemStatus
from keepset.scrape.found import Found, Note
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.storage.localfiles import beside, config_path, path_of, shown
from keepset.text import many
from keepset.workspace import Workspace

if TYPE_CHECKING:
    from keepset.scrape.border import Border
    from keepset.scrape.known import Known
    from keepset.scrape.web import Web

__all__ = ["scrape"]

VERSION = 1
_PIECE = 4096  # rows that are tables of dicts at one time


def scrape(
    ws: Workspace, config: RunConfig, *, progress: Progress = SILENT, now: datetime | None = None
) -> StageResult:
    """Collect from every source of every class. Lines that are not taken are kept, with their reason.

    Raises ``SourceError`` if a class has no URL because all its sources on the web failed; after the others are written.
    """
    from keepset.scrape.border import Border
    from keepset.scrape.known import Known

    with ws.lock("scrape", note=progress.note):
        known = Known.of(ws)
        progress.start("collecting URLs", None)
        fresh = ws.journal / "fresh-urls.parquet"
        try:
            with _web(ws, config) as web, manifests.writing(fresh, "urls") as found:
                border, failed = Border(config, known, now or datetime.now(UTC)), list[SourceError]()
                rows, added = _rows(config, border, web, progress, failed), 0
                while piece := list(islice(rows, _PIECE)):
                    found.add(piece)
                    added += sum(row["status"] == ItemStatus.OK for row in piece)
                found.commit(Header("urls", "scrape", "", {}))
            with manifests.writing(ws.urls, "urls") as out:
                counts = known.combine(fresh, config, out)
                fingerprint = manifests.fingerprint(
                    "scrape", {"urls": out.content_hash()}, config.part("classes", "scrape"), VERSION
                )
                if not failed and manifests.up_to_date(ws.urls, fingerprint):
                    message = f"up to date: {many(out.rows, 'line')} listed, nothing new"
                    return StageResult(Stage.SCRAPE, False, message, counts)
                out.commit(Header("urls", "scrape", "" if failed else fingerprint, {}, config.as_dict()))
        finally:
            fresh.unlink(missing_ok=True)
    if failed:
        for other in failed[1:]:
            progress.note(other.message)
        raise failed[0]
    return StageResult(Stage.SCRAPE, True, _message(counts, added), counts, {"urls": "manifests/urls.parquet"})


@contextlib.contextmanager
def _web(ws: Workspace, config: RunConfig) -> Iterator[Web | None]:
    if not any(c.search or _web_pages(c) for c in config.classes):
        yield None
        return
    from keepset.scrape.web import Web

    with Web(config, ws.journal / "parts") as web:
        yield web


def _rows(
    config: RunConfig, border: Border, web: Web | None, progress: Progress, failed: list[SourceError]
) -> Iterator[dict[str, Any]]:
    """The rows that are new; ``border.known`` learns which of its own were named again.

    Files first, then the web, which is asked only while a class has room. ``failed`` gets an error per class without a
    source: the others go on.
    """
    for label, found in _local(config, border.known, progress):
        progress.advance()
        if (new := border.row(found, label)) is not None:
            yield new
    if web is None:
        return
    for c in config.classes:
        for found in _on_the_web(c, web, border, progress, failed):
            progress.advance()
            if (new := border.row(found, c.name)) is not None:
                yield new


def _local(config: RunConfig, known: Known, progress: Progress) -> Iterator[tuple[str, Found]]:
    from keepset.inbox import WAITING, offered

    for c in config.classes:
        for found in _of_class(c, known, progress.note):
            yield c.name, found
    for path in dict.fromkeys(t for c in config.classes for t in c.tables):
        yield from _of_table(path, config, known, progress.note)
    for c in config.classes:
        for rank, url in enumerate(offered(known.ws, c.name)):
            yield c.name, Found(url, WAITING, WAITING, rank)


def _of_class(c: ClassConfig, known: Known, note: Note) -> Iterator[Found]:
    from keepset.scrape.folders import read_folder
    from keepset.scrape.lists import read_list
    from keepset.scrape.saved import read_saved

    for path in c.lists:
        yield from read_list(path, c.name, note)
        known.read_whole(c.name, "list", shown(path_of(path).name))
    if c.urls:
        yield from (Found(url, "list", "run config", rank) for rank, url in enumerate(c.urls))
        known.read_whole(c.name, "list", "run config")
    for path in c.folders:
        yield from read_folder(path)
        known.read_whole(c.name, "folder", path)
    for path in filter(is_saved, c.pages):
        yield from read_saved(path)
        known.read_whole(c.name, "page", shown(path_of(path).name))
        for folder in beside(path_of(path)):
            known.read_whole(c.name, "folder", config_path(folder))


def _web_pages(c: ClassConfig) -> list[str]:
    return [p for p in c.pages if not is_saved(p)]


def _of_table(path: str, config: RunConfig, known: Known, note: Note) -> Iterator[tuple[str, Found]]:
    """The table's rows, read once for all classes that name it; a row without a class has the label ""."""
    from keepset.scrape.tables import read_labelled

    wanted = [c.name for c in config.classes if path in c.tables]
    counts: Counter[str] = Counter()
    for row in read_labelled(path, note):
        counts[row.label] += 1
        if not row.label or row.label in wanted:
            yield row.label, row.found
    others = {label: n for label, n in counts.items() if label and label not in wanted}
    for label in wanted:
        if not counts[label] and (label, "table", path) not in known.places:
            raise SourceError(
                f"The table {shown(path)} has no row of the class '{label}'.",
                f"Its classes are: {', '.join(sorted(filter(None, counts))[:10]) or 'none'}.",
            )
    if others:
        listed = ", ".join(f"{label} {n}" for label, n in list(others.items())[:5])
        note(f"{shown(path_of(path).name)}: {sum(others.values())} rows are of classes not in the config: {listed}.")
    for label in ("", *wanted):
        known.read_whole(label, "table", path)
        known.read_whole(label, "list", shown(path_of(path).name))


def _on_the_web(
    c: ClassConfig, web: Web, border: Border, progress: Progress, lost: list[SourceError]
) -> Iterator[Found]:
    from keepset.scrape.page import read_page

    sources = [("page", page, read_page(page, web)) for page in _web_pages(c)]
    sources += [(source, query, _search(source, query, web)) for source, query in c.searches]
    turns = deque(_while_room(answers, (c.name, source, query), border, progress) for source, query, answers in sources)
    some, failed = border.known.count(c.name) > 0, list[SourceError]()
    while turns:  # they take turns, so that the first does not fill the class alone
        one = turns.popleft()
        try:
            found = next(one, None)
        except SourceError as e:
            failed.append(e)
            continue
        if found is not None:
            some = True
            turns.append(one)
            yield found
    if failed and not some:
        lost.append(SourceError(f"The class '{c.name}' has no URL: {failed[0].message}", failed[0].remedy))
        return
    for failure in failed:
        progress.note(f"'{c.name}' goes without a source: {failure}")


def _search(source: str, query: str, web: Web) -> Iterator[Found]:
    from keepset.scrape.searches import SEARCHES

    return SEARCHES[source](query, web)


def _while_room(
    answers: Iterator[Found], place: tuple[str, str, str], border: Border, progress: Progress
) -> Iterator[Found]:
    """A source that fails half-way, or fails only today, loses nothing that is known: it is reported, and skipped."""
    label, source, query = place
    some = place in border.known.places
    while border.has_room(label):
        try:
            found = _next(answers, source, query)
        except SourceError as e:
            if not some:
                raise
            progress.note(f"{source} '{query}' stopped early: {e}")
            return
        if found is None:
            border.known.read_whole(*place)
            return
        some = True
        yield found


def _next(answers: Iterator[Found], source: str, query: str) -> Found | None:
    """The next answer. Raises ``SourceError``, also where the source trips over an answer of another form."""
    try:
        return next(answers, None)
    except MissingExtra as e:
        raise SourceError(e.message, e.remedy) from e
    except (AttributeError, TypeError, LookupError, ValueError, AssertionError) as e:
        raise SourceError(
            f"{source} '{query}' answered in a form that Keepset does not know ({type(e).__name__}: {e}).",
            "Run it again later, or remove this source from the config. URLs already collected are kept.",
        ) from e


def _message(counts: dict[str, int], added: int) -> str:
    why = ", ".join(f"{n} {reason}" for reason, n in counts.items() if reason not in ("ok", "rejected"))
    rejected = f"; {many(counts['rejected'], 'line')} rejected ({why})" if counts["rejected"] else ""
    return f"{many(counts['ok'], 'picture')} listed, {added} new{rejected}"
