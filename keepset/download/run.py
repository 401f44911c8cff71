"""One run over many URLs: who is asked when, what is tried again, and what is written down."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from keepset.config import RunConfig
from keepset.config.sections import is_saved
from keepset.download.fetch import Fetched, Fetcher, FetchRequest, Trouble, user_agent
from keepset.download.lanes import host_of
from keepset.download.local import copy_in
from keepset.download.purged import PURGED
from keepset.download.turns import Turns
from keepset.files import move_in
from keepset.inbox import WAITING, inbox_folder
from keepset.manifests.rows import UrlRow
from keepset.reasons import LOCAL_SOURCES, DownloadReason, ItemStatus
from keepset.stages import Progress
from keepset.storage import StoredPath
from keepset.storage.carrying import AT_ONCE, Held
from keepset.storage.journal import Journal, JournalRow
from keepset.storage.localfiles import beside, path_of
from keepset.workspace import Workspace

__all__ = ["Run"]

_LONGEST_WAIT_S = 120.0


class _Download:
    """One URL on its way: its row, what was known of it before, and how far it came."""

    __slots__ = ("before", "facts", "row")

    def __init__(self, row: UrlRow, before: JournalRow | None) -> None:
        self.row, self.before, self.facts = row, before, Fetched()


class Run:
    def __init__(
        self, ws: Workspace, config: RunConfig, journal: Journal, progress: Progress, held: Held, purged: frozenset[str]
    ) -> None:
        self.ws, self.config, self.journal, self.progress, self.held = ws, config, journal, progress, held
        self.purged = purged
        self.parts = ws.journal / "parts"
        self.rng = random.Random(config.seed)  # noqa: S311 - jitter, not secrets
        self.failed = self.bytes = 0
        self.turns: Turns[_Download]

    async def all(self, todo: Iterator[tuple[UrlRow, JournalRow | None]]) -> None:
        """Fetch everything that ``todo`` yields: (row of urls, earlier row of the journal).

        Raises ``WorkspaceNotWritable``; what is finished by then is in the journal.
        """
        cfg = self.config.download
        items = ((host_of(row), _Download(row, before)) for row, before in todo)
        self.turns = Turns(items, per_host=cfg.per_host, rate=cfg.per_host_rate)
        self.parts.mkdir(parents=True, exist_ok=True)
        self.carriers = ThreadPoolExecutor(AT_ONCE, "blobs")  # begins no thread before it is needed
        try:
            await self.turns.each(self._one, cfg.connections)
        finally:
            if "fetcher" in self.__dict__:
                await self.fetcher.close()
            self.carriers.shutdown()

    @functools.cached_property
    def fetcher(self) -> Fetcher:
        """Made for the first URL of the web: a proxy that cannot be used is no matter to folders of pictures."""
        made = Fetcher(self.config.download, self.parts, user_agent(self.config.scrape.contact))
        made.waits = self.turns.waits
        return made

    async def _one(self, host: str, item: _Download, free: asyncio.Semaphore) -> None:
        try:
            came = await self._attempt(item)
            row = await self._kept(item, came) if isinstance(came, Path) else _unchanged(came)
        except Trouble as e:
            if self._again(host, item, e):
                return
            row = self._lost(item, e)
        finally:
            free.release()
        self.turns.done(host)
        self.journal.put(item.row["url"], row)
        self.failed += row["status"] == ItemStatus.FAILED
        self.bytes += item.facts.bytes or 0
        self.progress.advance(failed=self.failed, MB=round(self.bytes / 1e6, 1))

    async def _attempt(self, item: _Download) -> Path | JournalRow:
        """The file that came, or the row of the copy that is here and is still right."""
        if item.row["source"] in LOCAL_SOURCES:
            part = self.parts / f"{item.row['url_id']}.part"
            where = self._allowed(item.row)
            return await asyncio.to_thread(copy_in, item.row, where, part, self.config.download, item.facts)
        known: JournalRow = item.before if item.before and self._have(item.before) else {}
        wanted = FetchRequest(
            item.row["url"], item.row["url_id"], item.row["sha1"], known.get("etag"), known.get("last_modified")
        )
        return await self.fetcher.fetch(wanted, item.facts) or known

    def _allowed(self, row: UrlRow) -> list[Path]:
        """Folders whose files the config takes for this row's class, and the inbox."""
        if row["source"] == WAITING:
            return [inbox_folder(self.ws)]
        mine = [c for c in self.config.classes if c.name == row["label"]]
        saved = [folder for c in mine for p in c.pages if is_saved(p) for folder in beside(path_of(p))]
        return (
            [path_of(f) for c in mine for f in c.folders] + [path_of(t).parent for c in mine for t in c.tables] + saved
        )

    def _have(self, row: JournalRow) -> bool:
        return row["status"] == ItemStatus.OK and self.held.size(row["sha256"]) is not None

    def _again(self, host: str, item: _Download, trouble: Trouble) -> bool:
        """Put the item back into the queue if asking again may help, with full jitter or as long as the host says."""
        cfg, facts = self.config.download, item.facts
        if item.row["source"] in LOCAL_SOURCES:
            return False  # a file is the same a second later
        if not trouble.transient or facts.attempts > cfg.retries or facts.seconds >= cfg.deadline_s:
            return False
        if trouble.wait_s is not None and trouble.wait_s > _LONGEST_WAIT_S:
            return False
        jitter = self.rng.uniform(0, min(30.0, 0.5 * 2**facts.attempts))
        wait = jitter if trouble.wait_s is None else trouble.wait_s
        limited = trouble.reason == DownloadReason.RATE_LIMITED
        self.turns.again(host, item, wait, whole_host=limited)
        return True

    async def _kept(self, item: _Download, part: Path) -> JournalRow:
        facts = item.facts
        if facts.sha256 in self.purged:
            part.unlink(missing_ok=True)
            return _row(item, PURGED)
        blob = self.ws.blob(facts.sha256)
        # The same bytes if it was there; whole again if a power cut had cut it short.
        if isinstance(blob, StoredPath):
            await asyncio.get_running_loop().run_in_executor(self.carriers, move_in, part, blob)
        else:
            move_in(part, blob)
        return _row(item, {"status": "ok", "sha256": facts.sha256, "bytes": facts.bytes, "format": facts.format})

    def _lost(self, item: _Download, trouble: Trouble) -> JournalRow:
        """A failure's row; but a copy that is here already is kept, with a word on what came now."""
        if item.before and self._have(item.before):
            said = f"asked for again: {trouble.reason} ({trouble.detail}); the earlier copy is kept"
            stamp = {"etag": item.facts.headers.get("etag")} if item.row["source"] in LOCAL_SOURCES else {}
            return _unchanged(item.before) | {"detail": said} | stamp
        return _row(item, {"status": "failed", "reason": str(trouble.reason), "detail": trouble.detail})


def _unchanged(before: JournalRow) -> JournalRow:
    return before | {"finished_at": datetime.now(UTC).isoformat()}


def _row(item: _Download, outcome: JournalRow) -> JournalRow:
    facts = item.facts
    nothing = dict.fromkeys(("reason", "detail", "sha256", "bytes", "format"))
    return nothing | outcome | {
        "http_status": facts.http_status, "final_url": facts.final_url,
        "content_type": facts.headers.get("content-type"), "etag": facts.headers.get("etag"),
        "last_modified": facts.headers.get("last-modified"), "attempts": facts.attempts,
        "seconds": facts.seconds, "finished_at": datetime.now(UTC).isoformat(),
    }  # fmt: skip
