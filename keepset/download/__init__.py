"""The stage ``download``: from ``urls.parquet`` to blobs and ``downloads.parquet``, resumable at any moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from keepset import manifests
from keepset.blocklist import BlockList
from keepset.config import RunConfig
from keepset.download.lanes import in_lane, split_in_lanes
from keepset.download.local import changed
from keepset.download.purged import PURGED
from keepset.manifests import Header
from keepset.manifests.rows import UrlRow
from keepset.reasons import PREFILTERED, DownloadReason, ItemStatus
from keepset.stages import SILENT, Progress, Shard, Stage, StageResult, shards
from keepset.storage import StoredPath
from keepset.storage.carrying import Held
from keepset.storage.journal import Journal, JournalRow
from keepset.storage.journals import open_journal
from keepset.workspace import Workspace

__all__ = ["Shard", "download", "is_current", "merge", "plan", "run_shard"]

VERSION = 1
_COLUMNS = ("url_id", "url", "label", "source", "sha1", "thumbnail", "width", "height")
_PIECE = 8192  # rows looked up at once


def download(
    ws: Workspace, config: RunConfig, *, progress: Progress = SILENT, retry_failed: bool = False
) -> StageResult:
    """Fetch what is missing, and ask again for what is older than ``refresh_days``; thumbnails come first, if there are any.

    ``retry_failed`` also asks again for what failed before.
    """
    with ws.lock("download", note=progress.note):
        if not retry_failed and (header := _standing(ws, config)) is not None:
            return StageResult(Stage.DOWNLOAD, False, f"up to date: {header.rows} URLs were asked for already")
        with _journal(ws) as journal:
            journal.settle()
            _look_first(ws, config, _asked(ws, config, journal, retry_failed=retry_failed), progress)
        _fetch(ws, config, _everything(ws), progress, retry_failed=retry_failed)
        return merge(ws, config, progress)


def plan(
    ws: Workspace, config: RunConfig, lanes: int = 0, progress: Progress = SILENT, *, retry_failed: bool = False
) -> list[Shard]:
    """The shards in which something is to be done. Their numbers and places do not depend on what is done.

    Thumbnails are looked at here, in one process: few hosts serve them all.

    With ``lanes``, so many may run at once, also on several machines: no host is asked from two lanes. Raises
    ``WorkspaceBusy`` if a worker of an earlier run still writes.
    """
    with _journal(ws) as journal:
        journal.settle()
        known = _asked(ws, config, journal, retry_failed=retry_failed)
        _look_first(ws, config, known, progress)
        ranges = shards(manifests.read_header(ws.urls).rows, config.download.shard_size * max(1, lanes))
        if lanes:
            found = ((r, known.todo(r)) for r in ranges)
            return [s for whole, todo in found for s in split_in_lanes(whole, (u for u, _ in todo), lanes)]
        return [r for r in ranges if any(True for _ in known.todo(r))]


def run_shard(
    ws: Workspace, config: RunConfig, shard: Shard, progress: Progress = SILENT, *, retry_failed: bool = False
) -> dict[str, Any]:
    """Fetch one shard; each finished URL is in the journal before the next begins in its place."""
    return {"fetched": _fetch(ws, config, shard, progress, retry_failed=retry_failed)}


def _fetch(ws: Workspace, config: RunConfig, shard: Shard, progress: Progress, *, retry_failed: bool = False) -> int:
    from keepset.download.run import Run

    with _journal(ws, shard) as journal:
        known = _asked(ws, config, journal, retry_failed=retry_failed)
        count = _count(known, shard)
        if count:
            progress.start("downloading", count)
            run = Run(ws, config, journal, progress, known.held, known.purged)
            asyncio.run(run.all(known.todo(shard)))
    return count


def _look_first(ws: Workspace, config: RunConfig, known: _Asked, progress: Progress) -> None:
    from keepset.download.thumbnails import look_first

    look_first(ws, config, lambda: known.todo(_everything(ws)), known.journal, progress)


def _everything(ws: Workspace) -> Shard:
    return Shard(0, 0, manifests.read_header(ws.urls).rows)


def _asked(ws: Workspace, config: RunConfig, journal: Journal, *, retry_failed: bool) -> _Asked:
    return _Asked(ws, config, journal, ws.held_blobs(), ws.purged(), BlockList.of(ws), _due(config), retry_failed)


def _count(known: _Asked, shard: Shard) -> int:
    """How much there is to do. Where nothing was done yet, the list need not be looked up line by line for that."""
    if len(known.journal) or shard.lanes or shard.start:
        return sum(1 for _ in known.todo(shard))
    left, count = shard.stop, 0
    for batch in manifests.batches(known.ws.urls, "urls", ("status",), size=_PIECE):
        count += pc.sum(pc.equal(batch["status"].slice(0, left), str(ItemStatus.OK))).as_py() or 0
        left -= min(left, batch.num_rows)
    return count


def merge(ws: Workspace, config: RunConfig, progress: Progress = SILENT) -> StageResult:
    """Put the journal's rows together into the manifest, in the order of the URLs."""
    progress.start("putting the downloads together", None)
    parents = {"urls": manifests.read_header(ws.urls).content_hash}
    counts: Counter[str] = Counter()
    oldest = datetime.now(UTC).isoformat()
    everything, purged = _everything(ws), ws.purged()
    with _journal(ws) as journal, manifests.writing(ws.downloads, "downloads") as out:
        journal.settle()
        for urls, done in _pieces(ws, everything, journal, BlockList.of(ws)):
            rows = [
                _unpurged(done[u["url"]], purged) | {k: u[k] for k in ("url_id", "url", "label")}
                for u in urls
                if u["url"] in done
            ]
            asked = (r["finished_at"] for r in rows if r["reason"] not in PREFILTERED)  # those are never asked again
            oldest = min([oldest, *asked])
            counts.update(str(r["reason"]) if r["reason"] else "ok" for r in rows)
            out.add([r | {"finished_at": datetime.fromisoformat(r["finished_at"])} for r in rows])
        extra = {"oldest": oldest}
        out.commit(Header("downloads", "download", _fingerprint(ws, config), parents, config.as_dict(), extra))
    left_out, looked_at = counts[DownloadReason.PURGED], {r: counts[r] for r in sorted(PREFILTERED) if counts[r]}
    failed = counts.total() - counts["ok"] - left_out - sum(looked_at.values())
    skipped = {DownloadReason.PURGED, *PREFILTERED}
    worst = ", ".join(f"{k} {v}" for k, v in counts.most_common() if k != "ok" and k not in skipped)
    message = f"{counts['ok']} images, {failed} failed" + (f" ({worst})" if worst else "")
    message += f"; {left_out} left out, purged before" if left_out else ""
    if looked_at:
        words = ", ".join(f"{_LOOKED_LIKE[r]} {n}" for r, n in looked_at.items())
        message += f"; {sum(looked_at.values())} not fetched after a look at their thumbnails ({words})"
    return StageResult(Stage.DOWNLOAD, True, message, dict(counts), {"downloads": "manifests/downloads.parquet"})


_LOOKED_LIKE = {DownloadReason.PREFILTERED_COPY: "copies", DownloadReason.PREFILTERED_JUNK: "junk"}


def _unpurged(row: JournalRow, purged: frozenset[str]) -> JournalRow:
    return row | PURGED if row["sha256"] in purged else row


def is_current(ws: Workspace, config: RunConfig) -> bool:
    """True if ``downloads.parquet`` is what this config and these URLs give.

    On an object store, where listing all files costs seconds, only ``download`` itself sees that one is lost.
    """
    return _standing(ws, config, look=not isinstance(ws.root, StoredPath)) is not None


def _standing(ws: Workspace, config: RunConfig, *, look: bool = True) -> Header | None:
    header = manifests.up_to_date(ws.downloads, _fingerprint(ws, config))
    due = _due(config)
    if header is None or header.extra["oldest"] < due or _a_file_changed(ws, config):
        return None
    return None if look and _a_blob_is_lost(ws) else header


def _a_blob_is_lost(ws: Workspace) -> bool:
    """Whether a file that was downloaded is not there any more; 0.2 s for 100,000 on a disk."""
    held, purged = ws.held_blobs().names(), pa.array(sorted(ws.purged()), pa.string())
    for batch in manifests.batches(ws.downloads, "downloads", ("sha256",)):
        wanted = batch["sha256"].drop_null()
        if not pc.all(pc.or_(pc.is_in(wanted, held), pc.is_in(wanted, purged))).as_py():
            return True
    return False


def _a_file_changed(ws: Workspace, config: RunConfig) -> bool:
    """Whether a local file is another one than was copied in; nothing is read where there are no folders or tables."""
    if not any(c.folders or c.tables for c in config.classes):
        return False
    with _journal(ws) as journal:
        pieces = _pieces(ws, _everything(ws), journal, BlockList.of(ws))
        return any(u["url"] in done and changed(u, done[u["url"]]) for urls, done in pieces for u in urls)


def _due(config: RunConfig) -> str:
    """What was finished before this moment (ISO 8601) is asked for again."""
    days = config.download.refresh_days
    return "" if days is None else (datetime.now(UTC) - timedelta(days=days)).isoformat()


def _fingerprint(ws: Workspace, config: RunConfig) -> str:
    parents = {"urls": manifests.read_header(ws.urls).content_hash}
    knobs = {"connections", "per_host", "per_host_rate", "shard_size", "deadline_s", "retries", "refresh_days"}
    facts = {k: v for k, v in config.part("download")["download"].items() if k not in knobs}
    if purged := ws.purged():
        facts["purged"] = sorted(purged)
    return manifests.fingerprint("download", parents, facts, VERSION)


def _journal(ws: Workspace, shard: Shard | None = None) -> Journal:
    """By URL: a line that moves to another list or class is not fetched again."""
    return open_journal(ws, "download", shard.journal_part if shard else "")


def _pieces(
    ws: Workspace, shard: Shard, journal: Journal, blocked: BlockList
) -> Iterator[tuple[list[UrlRow], dict[str, JournalRow]]]:
    """The shard's URLs that are to be fetched, with the journal's rows of them, a piece at a time."""
    left = shard.stop - shard.start
    for batch in manifests.batches(
        ws.urls, "urls", (*_COLUMNS, "creator", "license", "status"), size=_PIECE, start=shard.start
    ):
        rows = batch.slice(0, left).to_pylist()
        urls = [u for u in rows if u["status"] == ItemStatus.OK and in_lane(u, shard) and not _blocked(u, blocked)]
        left -= min(left, batch.num_rows)
        yield urls, journal.get(u["url"] for u in urls)
        if not left:
            return


def _blocked(row: UrlRow, blocked: BlockList) -> bool:
    return blocked.refuses(row["url"], row["creator"], row["license"])


@dataclass(frozen=True)
class _Asked:
    """What decides whether a URL is to be asked for. Finished before ``due`` (ISO 8601): asked for again."""

    ws: Workspace
    config: RunConfig
    journal: Journal
    held: Held
    purged: frozenset[str]
    blocked: BlockList
    due: str
    retry_failed: bool = False

    def todo(self, shard: Shard) -> Iterator[tuple[UrlRow, JournalRow | None]]:
        """What is to be asked for: the URL's row, and the journal's row if it was asked for before."""
        for urls, done in _pieces(self.ws, shard, self.journal, self.blocked):
            for u in urls:
                row = done.get(u["url"])
                if row is not None and row["reason"] in PREFILTERED:
                    if not self.config.download.looks_first(u["source"]):
                        yield u, row
                elif row is None or row["finished_at"] < self.due or changed(u, row) or not self._kept(row):
                    yield u, row

    def _kept(self, row: JournalRow) -> bool:
        """Whether the journal's word still holds: a failure that is accepted, or a blob that a power cut left whole."""
        if row["status"] != ItemStatus.OK:
            return not (self.retry_failed and row["status"] == ItemStatus.FAILED)
        return row["sha256"] in self.purged or bool(self.held.size(row["sha256"]) == row["bytes"])
