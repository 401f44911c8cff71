"""A look at the thumbnails that sources offer, before the pictures themselves are asked for (``keepset.prefilter``).

Copies of pictures that are here, and clear junk, get a row of the journal that says so, and are not fetched. A thumbnail
that does not come, or cannot be read, decides nothing. Few hosts serve all thumbnails and each has its limits, so one
process looks at them, also where several fetch the pictures.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from keepset import manifests
from keepset.blocklist import BlockList
from keepset.config import RunConfig
from keepset.download.fetch import Fetcher, Trouble, user_agent
from keepset.download.lanes import host_of
from keepset.download.turns import Turns
from keepset.manifests.rows import UrlRow
from keepset.reasons import DownloadReason, ItemStatus
from keepset.settings import settings
from keepset.stages import Progress
from keepset.storage.journal import Journal, JournalRow
from keepset.validate.inspection import ImageJob, look
from keepset.validate.pool import Lost, run_jobs
from keepset.workspace import Workspace

if TYPE_CHECKING:
    from keepset.prefilter import Judge, Verdict

__all__ = ["look_first"]

Todo = Callable[[], Iterator[tuple[UrlRow, JournalRow | None]]]
_AT_ONCE = 128
"""Thumbnails that are judged together, while the next ones come; an interrupted run waits for these."""
_LARGEST, _LONGEST_S, _SMALLEST_SIDE = 1_000_000, 15.0, 100
_LARGE = 640, 480
_LONGEST_WAIT_S = 30.0
_SILENT = 5
"""After so many failures in a row a host is not asked for thumbnails any more in this run."""
_SHARED = 3
"""So many pictures with the very same thumbnail: a placeholder, which says nothing about any of them."""


def look_first(ws: Workspace, config: RunConfig, todo: Todo, journal: Journal, progress: Progress) -> None:
    """Look at the thumbnails of what ``todo`` yields and was never asked for. Raises ``WorkspaceNotWritable``.

    Every verdict is in the journal before the next thumbnails are judged, so that a killed run asks for none of them again.
    """
    if config.download.prefilter == "off" or not _any_thumbnail(ws):
        return
    from keepset.prefilter import Judge

    if not Judge.is_ready(ws, config) or not (count := sum(1 for _ in _waiting(todo, config, journal))):
        return
    progress.start("getting ready to look at thumbnails", None)
    try:
        judge = Judge(ws, config, progress)
    except ImportError as e:  # a machine that only fetches
        progress.note(f"Pictures are fetched without a look at their thumbnails first: {e}")
        return
    progress.start("looking at thumbnails", count)
    asyncio.run(_Looking(ws, config, judge, journal, progress).all(_waiting(todo, config, journal)))


def _any_thumbnail(ws: Workspace) -> bool:
    columns = manifests.batches(ws.urls, "urls", ("thumbnail",), size=65_536)
    return any(pc.any(pc.is_valid(batch["thumbnail"])).as_py() for batch in columns)


def _waiting(todo: Todo, config: RunConfig, journal: Journal) -> Iterator[UrlRow]:
    new = (u for u, before in todo() if before is None and config.download.looks_first(u["source"]))
    never = filter(_is_worth_it, new)
    while piece := list(islice(never, 4096)):
        seen = journal.get(_key(u["url"]) for u in piece)
        yield from (u for u in piece if _key(u["url"]) not in seen)


def _is_worth_it(row: UrlRow) -> bool:
    """Not for a picture that is hardly larger than its thumbnail."""
    width, height = row["width"] or _LARGE[0], row["height"] or _LARGE[1]
    return bool(row["thumbnail"]) and width * height >= _LARGE[0] * _LARGE[1]


def _key(url: str) -> str:
    return f"thumbnail:{url}"


class _Looking:
    """Thumbnails on their way: fetched in polite turns, decoded in guarded processes, judged some hundred at a time."""

    def __init__(self, ws: Workspace, config: RunConfig, judge: Judge, journal: Journal, progress: Progress) -> None:
        self.config, self.judge, self.journal, self.progress = config, judge, journal, progress
        self.limits = config.validate_.model_copy(update={"min_side": _SMALLEST_SIDE})
        self.parts = ws.journal / "parts"
        self.blocked = BlockList.of(ws)
        self.came: list[tuple[UrlRow, Path]] = []
        self.failures: Counter[str] = Counter()
        self.tried: Counter[str] = Counter()
        self.same: Counter[bytes] = Counter()
        self.judging = asyncio.Lock()
        self.counts: Counter[str] = Counter()

    async def all(self, rows: Iterable[UrlRow]) -> None:
        cfg = self.config.download
        small = {"max_bytes": min(cfg.max_bytes, _LARGEST), "deadline_s": min(cfg.deadline_s, _LONGEST_S)}
        self.fetcher = Fetcher(cfg.model_copy(update=small), self.parts, user_agent(self.config.scrape.contact))
        self.turns = Turns(((_host(r), r) for r in rows), per_host=cfg.per_host, rate=cfg.per_host_rate)
        self.fetcher.waits = self.turns.waits
        try:
            await self.turns.each(self._one, cfg.connections)
            await self._judge()
        finally:
            await self.fetcher.close()
            for _, part in self.came:
                part.unlink(missing_ok=True)

    async def _one(self, host: str, row: UrlRow, free: asyncio.Semaphore) -> None:
        """A slot is given back once the thumbnail waits for nothing: they cannot come faster than they are judged."""
        try:
            try:
                part = await self._fetched(host, row)
            except Trouble as e:
                if self._again(host, row, e):
                    return
                part = None
            self.turns.done(host)
            if part is None:
                self._put(row, None)
                return
            self.came.append((row, part))
            if len(self.came) >= _AT_ONCE:
                await self._judge()
        finally:
            free.release()

    async def _fetched(self, host: str, row: UrlRow) -> Path | None:
        if row["thumbnail"] is None or self.failures[host] >= _SILENT or self.blocked.refuses(row["thumbnail"]):
            return None
        try:
            part = await self.fetcher.take(row["thumbnail"], f"{row['url_id']}-thumbnail")
        except Trouble:
            self.failures[host] += 1
            if self.failures[host] == _SILENT:
                self.progress.note(
                    f"{host} gives no thumbnails: its pictures are fetched without a look at them first."
                )
            raise
        self.failures[host] = 0
        return part

    def _again(self, host: str, row: UrlRow, trouble: Trouble) -> bool:
        """Only where the host says how long to wait, and once: a thumbnail is not worth more."""
        self.tried[row["url_id"]] += 1
        if trouble.reason != DownloadReason.RATE_LIMITED or self.tried[row["url_id"]] > 1:
            return False
        if trouble.wait_s is None or trouble.wait_s > _LONGEST_WAIT_S:
            return False
        self.turns.again(host, row, trouble.wait_s, whole_host=True)
        return True

    async def _judge(self) -> None:
        async with self.judging:
            came, self.came = self.came, []
            if came:
                verdicts = await asyncio.to_thread(self._verdicts, came)
                for (row, _), verdict in zip(came, verdicts, strict=True):
                    self._put(row, verdict)

    def _verdicts(self, came: list[tuple[UrlRow, Path]]) -> list[Verdict | None]:
        """Decode in guarded processes, then judge what is whole and no placeholder. No file is left of any of them."""
        thumbs = [part.with_name(f"{part.stem}-small.part") for _, part in came]
        try:
            readable = self._readable(came, thumbs)
            files = [hashlib.sha256(thumbs[i].read_bytes()).digest()[:8] for i in readable]
            self.same.update(files)
            readable = [i for i, file in zip(readable, files, strict=True) if self.same[file] < _SHARED]
            judged = self.judge.verdicts([(came[i][0], thumbs[i]) for i in readable])
            found = dict(zip(readable, judged, strict=True))
            return [found.get(i) for i in range(len(came))]
        finally:
            for path in (*(part for _, part in came), *thumbs):
                path.unlink(missing_ok=True)

    def _readable(self, came: list[tuple[UrlRow, Path]], thumbs: list[Path]) -> list[int]:
        cfg = self.config.validate_
        jobs = [ImageJob(str(i), part, thumbs[i], self.limits) for i, (_, part) in enumerate(came)]
        answers: Iterator[tuple[ImageJob, Any]] = run_jobs(
            look, jobs, workers=settings().workers, timeout_s=cfg.timeout_s, memory_mb=cfg.memory_mb
        )
        good = (int(job.sha256) for job, a in answers if not isinstance(a, Lost) and a["status"] == ItemStatus.OK)
        return sorted(good)

    def _put(self, row: UrlRow, verdict: Verdict | None) -> None:
        if verdict is None:
            self.journal.put(_key(row["url"]), {})
        else:
            self.journal.put(row["url"], _passed_over(verdict))
            self.counts["copies" if verdict.reason == DownloadReason.PREFILTERED_COPY else "junk"] += 1
        self.progress.advance(copies=self.counts["copies"], junk=self.counts["junk"])


def _host(row: UrlRow) -> str:
    return host_of({"source": row["source"], "url": row["thumbnail"]})


def _passed_over(verdict: Verdict) -> JournalRow:
    """The journal's row of a picture that is not asked for."""
    nothing = dict.fromkeys(
        ("sha256", "bytes", "format", "http_status", "final_url", "content_type", "etag", "last_modified", "seconds")
    )
    return nothing | {
        "status": str(ItemStatus.SKIPPED), "reason": str(verdict.reason), "detail": verdict.detail, "attempts": 0,
        "finished_at": datetime.now(UTC).isoformat(),
    }  # fmt: skip
