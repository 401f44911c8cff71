"""The stage itself: plan shards, look at their images in worker processes, merge what the journal holds.

Memory stays flat: what is known of an image waits in the journal and in Arrow columns, and goes to the manifest
some thousand rows at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from keepset import manifests
from keepset.config import RunConfig
from keepset.duplicates import SCENE, Pictures
from keepset.errors import StageError
from keepset.manifests import Header
from keepset.reasons import ImageReason, ItemStatus
from keepset.settings import settings
from keepset.stages import SILENT, Progress, Shard, Stage, StageResult, shards
from keepset.storage.carrying import Held, bring, delivered, landing
from keepset.storage.journal import Journal, JournalRow
from keepset.storage.journals import open_journal
from keepset.validate import copies
from keepset.validate.distinct import Distinct, addresses
from keepset.validate.inspection import ImageJob, look
from keepset.validate.pool import Lost, run_jobs
from keepset.validate.worker import memory_limit_gap
from keepset.workspace import Workspace

__all__ = ["Shard", "is_current", "merge", "plan", "run_shard", "validate"]

VERSION = 5
_AT_ONCE = 4096
_TRIES = 3
_OF_THE_MACHINE = {ImageReason.TIMEOUT, ImageReason.MEMORY, ImageReason.CRASHED, ImageReason.MISSING}
"""Outcomes that may be the machine's fault, not the picture's: tried again by the next runs."""


def validate(ws: Workspace, config: RunConfig, *, progress: Progress = SILENT) -> StageResult:
    """Look at every blob that was not looked at under this config, then find duplicates among all."""
    with ws.lock("validate", note=progress.note):
        if header := _standing(ws, config):
            return StageResult(Stage.VALIDATE, False, f"up to date: {header.rows} images were looked at")
        for shard in plan(ws, config):
            run_shard(ws, config, shard, progress)
        return merge(ws, config, progress)


def plan(ws: Workspace, config: RunConfig, lanes: int = 0, progress: Progress = SILENT) -> list[Shard]:
    """All images in shards. With ``lanes`` any of them may run at once, also on several machines.

    Raises ``WorkspaceBusy`` if a worker of an earlier run still writes.
    """
    with open_journal(ws, _journal_name(config)) as journal:
        journal.settle()
    found = shards(len(Distinct(ws)), config.validate_.shard_size)
    return [replace(s, lane=s.number, lanes=len(found)) for s in found] if lanes else found


def run_shard(ws: Workspace, config: RunConfig, shard: Shard, progress: Progress = SILENT) -> dict[str, Any]:
    """Look at one shard's images; each is in the journal before the next is begun in its place.

    Raises ``WorkspaceNotWritable`` if thumbnails or the journal cannot be written: no image is to blame for that.
    """
    cfg, rejected = config.validate_, 0
    mine = addresses(ws, shard.start, shard.stop)
    with open_journal(ws, _journal_name(config), shard.journal_part) as journal:
        known, thumbs = journal.get(mine), ws.held_thumbs()
        todo = [s for s in mine if s not in known or not _settled(thumbs, known[s])]
        if not todo:
            return {"looked_at": 0}
        progress.start("validating images", len(todo))
        if gap := memory_limit_gap():
            progress.note(gap)
        blobs = bring(ws.blob(s) for s in todo)
        jobs = (ImageJob(s, blob, landing(ws.thumb(s)), cfg) for s, blob in zip(todo, blobs, strict=True))

        def thumb(seen: tuple[ImageJob, Any]) -> tuple[Path, Path] | None:
            job, answer = seen
            good = not isinstance(answer, Lost) and answer["status"] == ItemStatus.OK
            return (job.thumb, ws.thumb(job.sha256)) if good else None

        for job, answer in delivered(_run(look, jobs, config), thumb):
            row = answer if not isinstance(answer, Lost) else _lost(ws, job.sha256, answer)
            row["tries"] = known.get(job.sha256, {}).get("tries", 0) + 1
            journal.put(job.sha256, row)
            rejected += row["status"] != ItemStatus.OK
            progress.advance(rejected=rejected)
    return {"looked_at": len(todo)}


def _run(function: Any, jobs: Iterator[Any], config: RunConfig) -> Iterator[tuple[Any, Any]]:
    cfg = config.validate_
    return run_jobs(function, jobs, workers=settings().workers, timeout_s=cfg.timeout_s, memory_mb=cfg.memory_mb)


def _settled(thumbs: Held, row: JournalRow) -> bool:
    """False if the image is to be looked at again. A blob that is not there costs nothing to look for for ever."""
    if row["status"] == ItemStatus.OK:
        return bool(thumbs.size(row["sha256"]))
    if row["reason"] == ImageReason.MISSING:
        return False
    return row["reason"] not in _OF_THE_MACHINE or row["tries"] >= _TRIES


def _lost(ws: Workspace, sha: str, lost: Lost) -> JournalRow:
    reason = ImageReason.TIMEOUT if lost.why == "timeout" else ImageReason.CRASHED
    return {
        "sha256": sha, "status": "rejected", "reason": str(reason), "detail": lost.detail, "warnings": [],
        "bytes": ws.blob(sha).stat().st_size,
    }  # fmt: skip


def merge(ws: Workspace, config: RunConfig, progress: Progress = SILENT) -> StageResult:
    """Put the journal's rows together with what the URLs say, and find duplicates.

    Raises ``StageError`` if an image was not looked at yet: it would be lost in silence.
    """
    parents = {"downloads": manifests.read_header(ws.downloads).content_hash}
    distinct = Distinct(ws)
    facts = distinct.facts()
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    thumbs = ws.held_thumbs()
    journal_name = _journal_name(config)
    with open_journal(ws, journal_name) as journal, manifests.writing(ws.images, "images") as out:
        journal.settle()
        groups, unsettled = copies.find(ws, config, _pictures(facts["sha256"], journal), journal, progress)
        for rows in _pieces(facts, journal):
            unsettled += sum(not _settled(thumbs, r) for r in rows)
            full = [_without_tries(r) | (groups.get(r["sha256"]) or _alone(r)) for r in rows]
            counts.update(str(r.get("reason") or "ok") for r in full)
            kinds.update(str(r["dup_kind"]) for r in full if r.get("dup_kind"))
            out.add(full)
        extra = {"unsettled": unsettled}
        out.commit(Header("images", "validate", _fingerprint(ws, config), parents, config.as_dict(), extra))
    scenes = kinds.pop(SCENE, 0)
    summary = {**counts, **{f"{k}_duplicates": v for k, v in kinds.items()}, "same_file": distinct.repeated} | (
        {"same_scene": scenes} if scenes else {}
    )
    message = (
        f"{counts['ok']} images are good, {counts.total() - counts['ok']} rejected; "
        f"{kinds['exact']} exact and {kinds['near']} near duplicates"
    )
    message += f", {scenes} of one scene with another" if scenes else ""
    message += f"; {distinct.repeated} more URLs returned the same file as another URL" if distinct.repeated else ""
    message += f"; {unsettled} will be tried again by the next run" if unsettled else ""
    return StageResult(Stage.VALIDATE, True, message, summary, {"images": "manifests/images.parquet"})


def _pieces(facts: pa.Table, journal: Journal) -> Iterator[list[JournalRow]]:
    """Rows of the manifest, some thousand at a time, without their groups."""
    for start in range(0, facts.num_rows, _AT_ONCE):
        known = facts.slice(start, _AT_ONCE).to_pylist()
        looked = _looked(journal, [r["sha256"] for r in known])
        yield [r | looked[r["sha256"]] for r in known]


def _looked(journal: Journal, shas: list[str]) -> dict[str, JournalRow]:
    looked = journal.get(shas)
    if missing := [s for s in shas if s not in looked]:
        raise StageError(
            f"{len(missing)} downloaded images were not looked at yet, {missing[0]} among them.",
            "Run `keepset validate`: it looks at those and leaves the others as they are.",
        )
    return looked


def _without_tries(row: JournalRow) -> JournalRow:
    return {k: v for k, v in row.items() if k != "tries"}


def _alone(row: JournalRow) -> JournalRow:
    return {"group_id": row["sha256"]} if row["status"] == ItemStatus.OK else {}


def _pictures(shas: pa.ChunkedArray, journal: Journal) -> Pictures:
    """The good images' columns, from the journal."""
    names: list[str] = []
    kinds = {"phash": np.uint64, "width": np.int32, "height": np.int32, "bytes": np.int64}
    found: dict[str, list[Any]] = {c: [np.empty(0, kind)] for c, kind in kinds.items()}
    for start in range(0, len(shas), _AT_ONCE):
        mine = shas.slice(start, _AT_ONCE).to_pylist()
        looked = _looked(journal, mine)
        good = [looked[s] for s in mine if looked[s]["status"] == ItemStatus.OK]
        names += [r["sha256"] for r in good]
        for c, kind in kinds.items():
            found[c].append(np.array([r[c] for r in good], kind))
    return Pictures(names, **{c: np.concatenate(parts) for c, parts in found.items()})


def is_current(ws: Workspace, config: RunConfig) -> bool:
    """True if ``images.parquet`` is what this config and these downloads give, and nothing is to be tried again."""
    return _standing(ws, config) is not None


def _standing(ws: Workspace, config: RunConfig) -> Header | None:
    header = manifests.up_to_date(ws.images, _fingerprint(ws, config))
    return None if header is None or header.extra["unsettled"] else header


def _fingerprint(ws: Workspace, config: RunConfig) -> str:
    parents = {"downloads": manifests.read_header(ws.downloads).content_hash}
    facts = {k: v for k, v in config.part("validate")["validate"].items() if k != "shard_size"}
    facts["copies"] = [copies.VERSION, copies.searched_by(config)]
    return manifests.fingerprint("validate", parents, facts, VERSION)


def _journal_name(config: RunConfig) -> str:
    facts = {k: v for k, v in config.part("validate")["validate"].items() if k not in ("shard_size", "near_bits")}
    return f"validate-{manifests.fingerprint('look', {}, facts, VERSION)}"
