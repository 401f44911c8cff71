"""The stage ``download``: from ``urls.parquet`` to blobs and ``downloads.parquet``, resumable at any moment."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from keepset import journal, manifests
from keepset.config import RunConfig
from keepset.download.fetch import Fetched, Fetcher, Trouble, sniff, user_agent
from keepset.download.robots import Robots
from keepset.files import atomic_path
from keepset.manifests import Header
from keepset.reasons import DownloadReason, ItemStatus
from keepset.stages import SILENT, Progress, Shard, Stage, StageResult, shards
from keepset.workspace import Workspace

__all__ = ["Shard", "download", "is_current", "merge", "plan", "run_shard"]

VERSION = 1
Row = dict[str, Any]


def download(
    ws: Workspace, config: RunConfig, *, progress: Progress = SILENT, retry_failed: bool = False
) -> StageResult:
    """Fetch what is missing. ``retry_failed`` also asks again for what failed before."""
    with ws.lock("download"):
        if retry_failed:
            _forget_failures(ws)
        elif (header := _standing(ws, config)) is not None:
            return StageResult(
                Stage.DOWNLOAD, False, f"up to date: {header.rows} URLs were asked for already"
            )
        for shard in plan(ws, config):
            run_shard(ws, config, shard, progress)
        return merge(ws, config)


def plan(ws: Workspace, config: RunConfig) -> list[Shard]:
    return shards(len(_wanted(ws)), config.download.shard_size)


def run_shard(ws: Workspace, config: RunConfig, shard: Shard, progress: Progress = SILENT) -> dict[str, Any]:
    """Fetch one shard; each finished URL is in the journal before the next begins in its place."""
    done = _journal(ws)
    rows = [r for r in _wanted(ws)[shard.start : shard.stop] if r["url_id"] not in done]
    if rows:
        progress.start("downloading", len(rows))
        asyncio.run(_Run(ws, config, progress).all(_interleaved(rows)))
    return {"fetched": len(rows)}


def merge(ws: Workspace, config: RunConfig) -> StageResult:
    done = _journal(ws)
    rows = [
        done[r["url_id"]] | {k: r[k] for k in ("url_id", "url", "label")}
        for r in _wanted(ws)
        if r["url_id"] in done
    ]
    for r in rows:
        r["finished_at"] = datetime.fromisoformat(r["finished_at"])
    parents = {"urls": manifests.read_header(ws.urls).content_hash}
    header = Header("downloads", "download", _fingerprint(ws, config), parents, config.as_dict())
    manifests.write(ws.downloads, rows, header)
    counts = Counter(str(r["reason"]) if r["reason"] else "ok" for r in rows)
    failed = len(rows) - counts["ok"]
    worst = ", ".join(f"{k} {v}" for k, v in counts.most_common() if k != "ok")
    message = f"{counts['ok']} images, {failed} failed" + (f" ({worst})" if worst else "")
    return StageResult(
        Stage.DOWNLOAD, True, message, dict(counts), {"downloads": "manifests/downloads.parquet"}
    )


def _standing(ws: Workspace, config: RunConfig) -> Header | None:
    return manifests.up_to_date(ws.downloads, _fingerprint(ws, config))


def is_current(ws: Workspace, config: RunConfig) -> bool:
    """True if ``downloads.parquet`` is what this config and these URLs give."""
    return _standing(ws, config) is not None


def _fingerprint(ws: Workspace, config: RunConfig) -> str:
    parents = {"urls": manifests.read_header(ws.urls).content_hash}
    speed = {"connections", "per_host", "per_host_rate", "shard_size", "deadline_s", "retries"}
    facts = {k: v for k, v in config.part("download")["download"].items() if k not in speed}
    return manifests.fingerprint("download", parents, facts, VERSION)


def _wanted(ws: Workspace) -> list[Row]:
    rows = manifests.read(ws.urls, "urls").rows()
    return [r for r in rows if r["status"] == ItemStatus.OK]


def _interleaved(rows: Iterable[Row]) -> list[Row]:
    """Hosts in turn, so that one host's politeness does not hold up the others."""
    by_host: dict[str, list[Row]] = {}
    for r in rows:
        by_host.setdefault(urlsplit(r["url"]).netloc, []).append(r)
    out, queues = [], list(by_host.values())
    while queues:
        out += [q.pop(0) for q in queues]
        queues = [q for q in queues if q]
    return out


def _journal_path(ws: Workspace) -> Path:
    return ws.journal / "download.jsonl"


def _journal(ws: Workspace) -> dict[str, Row]:
    return journal.read(_journal_path(ws), "url_id")


def _forget_failures(ws: Workspace) -> None:
    kept = [r for r in _journal(ws).values() if r["status"] == ItemStatus.OK]
    with atomic_path(_journal_path(ws)) as part:
        part.write_text("".join(json.dumps(r) + "\n" for r in kept), encoding="utf-8")


class _Run:
    """One shard being fetched: a bounded pool of workers over one queue."""

    def __init__(self, ws: Workspace, config: RunConfig, progress: Progress) -> None:
        self.ws, self.config, self.progress = ws, config, progress
        agent = user_agent(config.scrape.contact)
        self.fetcher = Fetcher(config.download, ws.journal / "parts", agent, config.seed)
        self.robots = Robots(self.fetcher)
        self.failed = self.bytes = 0
        self.hosts: dict[str, asyncio.Semaphore] = {}
        self.next_at: dict[str, float] = {}

    async def all(self, rows: list[Row]) -> None:
        queue = iter(rows)
        with journal.append_to(_journal_path(self.ws)) as self.finished:
            workers = min(self.config.download.connections, len(rows))
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(workers):
                        group.create_task(self._work(queue))
            finally:
                await self.fetcher.close()

    async def _work(self, queue: Any) -> None:
        for row in queue:
            out = await self._one(row)
            self.finished(out)
            self.failed += out["status"] != ItemStatus.OK
            self.bytes += out["bytes"] or 0
            self.progress.advance(failed=self.failed, MB=round(self.bytes / 1e6, 1))

    async def _one(self, row: Row) -> Row:
        begin, facts, trouble = time.monotonic(), Fetched(attempts=1), None
        try:
            if row["source"] == "folder":
                facts, part = _copy_in(row, self.config, self.ws)
            else:
                await self._permitted(row["url"])
                await self._polite(urlsplit(row["url"]).netloc)
                async with self._slot(urlsplit(row["url"]).netloc):
                    facts, part = await self.fetcher.fetch(row["url"], row["url_id"])
            self._keep(part, facts)
        except Trouble as e:
            trouble = e
            facts = e.args[1] if len(e.args) > 1 else facts
        return {
            "url_id": row["url_id"], "status": "failed" if trouble else "ok",
            "reason": str(trouble.reason) if trouble else None, "detail": trouble.detail if trouble else None,
            "sha256": None if trouble else facts.sha256, "bytes": facts.bytes, "format": facts.format,
            "http_status": facts.http_status, "final_url": facts.final_url,
            "content_type": facts.headers.get("content-type"), "etag": facts.headers.get("etag"),
            "last_modified": facts.headers.get("last-modified"), "attempts": facts.attempts,
            "seconds": time.monotonic() - begin, "finished_at": datetime.now(UTC).isoformat(),
        }  # fmt: skip

    async def _permitted(self, url: str) -> None:
        if self.config.download.robots and (why := await self.robots.refusal(url)):
            raise Trouble(DownloadReason.ROBOTS, f"forbidden by {why}")

    def _slot(self, host: str) -> asyncio.Semaphore:
        return self.hosts.setdefault(host, asyncio.Semaphore(self.config.download.per_host))

    async def _polite(self, host: str) -> None:
        now = time.monotonic()
        at = max(now, self.next_at.get(host, now))
        self.next_at[host] = at + 1 / self.config.download.per_host_rate
        if at > now:
            await asyncio.sleep(at - now)

    def _keep(self, part: Path, facts: Fetched) -> None:
        assert facts.sha256
        blob = self.ws.blob(facts.sha256)
        try:
            if blob.exists():
                part.unlink()
                return
            blob.parent.mkdir(parents=True, exist_ok=True)
            part.replace(blob)
        except OSError as e:
            raise Trouble(DownloadReason.STORAGE, str(e)) from e


def _copy_in(row: Row, config: RunConfig, ws: Workspace) -> tuple[Fetched, Path]:
    """A file of a configured folder, copied; the folder must be one that the config names for this class."""
    source = Path(unquote(urlsplit(row["url"]).path)).resolve()
    allowed = [Path(f) for c in config.classes if c.name == row["label"] for f in c.folders]
    if not any(source.is_relative_to(f) for f in allowed):
        raise Trouble(DownloadReason.BLOCKED_SCHEME, "only files of the class's own folders are read")
    try:
        data = source.read_bytes()
        found = sniff(data[:64])
        if found is None:
            raise Trouble(DownloadReason.NOT_AN_IMAGE, f"its first bytes are {data[:24]!r}")
        part = ws.journal / "parts" / f"{row['url_id']}.part"
        shutil.copyfile(source, part)
    except OSError as e:
        raise Trouble(DownloadReason.NOT_FOUND, str(e)) from e
    return Fetched(1, None, row["url"], {}, hashlib.sha256(data).hexdigest(), len(data), found), part
