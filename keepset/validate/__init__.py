"""The stage ``validate``: from blobs to ``images.parquet``, thumbnails and duplicate groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keepset import journal, manifests
from keepset.config import RunConfig
from keepset.manifests import Header
from keepset.reasons import ImageReason, ItemStatus
from keepset.settings import settings
from keepset.stages import SILENT, Progress, Shard, Stage, StageResult, shards
from keepset.workspace import Workspace

__all__ = ["Shard", "is_current", "merge", "plan", "run_shard", "validate"]

VERSION = 2
Row = dict[str, Any]


def validate(ws: Workspace, config: RunConfig, *, progress: Progress = SILENT) -> StageResult:
    """Look at every blob that was not looked at under this config, then find duplicates among all."""
    with ws.lock("validate"):
        wanted = _fingerprint(ws, config)
        if header := manifests.up_to_date(ws.images, wanted):
            return StageResult(Stage.VALIDATE, False, f"up to date: {header.rows} images were looked at")
        for shard in plan(ws, config):
            run_shard(ws, config, shard, progress)
        return merge(ws, config, progress)


def plan(ws: Workspace, config: RunConfig) -> list[Shard]:
    return shards(len(_distinct(ws)), config.validate_.shard_size)


def run_shard(ws: Workspace, config: RunConfig, shard: Shard, progress: Progress = SILENT) -> dict[str, Any]:
    from keepset.validate.look import Job, look
    from keepset.validate.pool import Lost, run_jobs

    done = _journal(ws, config)
    todo = [s for s in list(_distinct(ws))[shard.start : shard.stop] if s not in done]
    if not todo:
        return {"looked_at": 0}
    progress.start("validating images", len(todo))
    cfg, rejected = config.validate_, 0
    jobs = (Job(s, ws.blob(s), ws.thumb(s), cfg) for s in todo)
    with journal.append_to(_journal_path(ws, config)) as finished:
        for job, answer in run_jobs(
            look, jobs, workers=settings().workers, timeout_s=cfg.timeout_s, memory_mb=cfg.memory_mb
        ):
            row = answer if not isinstance(answer, Lost) else _lost(ws, job.sha256, answer)
            finished(row)
            rejected += row["status"] != ItemStatus.OK
            progress.advance(rejected=rejected)
    return {"looked_at": len(todo)}


def _lost(ws: Workspace, sha: str, lost: Any) -> Row:
    reason = ImageReason.TIMEOUT if lost.why == "timeout" else ImageReason.CRASHED
    size = ws.blob(sha).stat().st_size
    return {
        "sha256": sha, "status": "rejected", "reason": str(reason), "detail": lost.detail, "warnings": [],
        "bytes": size,
    }  # fmt: skip


def merge(ws: Workspace, config: RunConfig, progress: Progress = SILENT) -> StageResult:
    from keepset.duplicates import group

    looked, distinct = _journal(ws, config), _distinct(ws)
    rows = [distinct[s] | looked[s] for s in distinct if s in looked]
    ok = [r for r in rows if r["status"] == ItemStatus.OK]
    progress.start("finding duplicates", None)
    groups = group(ok, {r["sha256"]: ws.thumb(r["sha256"]) for r in ok}, config.validate_.near_bits)
    rows = [r | groups.get(r["sha256"], {}) for r in rows]
    parents = {"downloads": manifests.read_header(ws.downloads).content_hash}
    header = Header("images", "validate", _fingerprint(ws, config), parents, config.as_dict())
    manifests.write(ws.images, rows, header)
    counts = Counter(str(r.get("reason")) for r in rows if r["status"] != ItemStatus.OK)
    copies = Counter(str(r["dup_kind"]) for r in rows if r.get("dup_kind"))
    summary = {"ok": len(ok), **counts, **{f"{k}_duplicates": v for k, v in copies.items()}}
    message = (
        f"{len(ok)} images are good, {len(rows) - len(ok)} rejected; "
        f"{copies['exact']} exact and {copies['near']} near duplicates"
    )
    return StageResult(Stage.VALIDATE, True, message, summary, {"images": "manifests/images.parquet"})


def is_current(ws: Workspace, config: RunConfig) -> bool:
    """True if ``images.parquet`` is what this config and these downloads give."""
    return manifests.up_to_date(ws.images, _fingerprint(ws, config)) is not None


def _fingerprint(ws: Workspace, config: RunConfig) -> str:
    parents = {"downloads": manifests.read_header(ws.downloads).content_hash}
    facts = {k: v for k, v in config.part("validate")["validate"].items() if k != "shard_size"}
    return manifests.fingerprint("validate", parents, facts, VERSION)


def _distinct(ws: Workspace) -> dict[str, Row]:
    """What the URLs say of each distinct blob, in the order first seen."""
    urls = {r["url_id"]: r for r in manifests.read(ws.urls, "urls").rows()}
    found: dict[str, Row] = {}
    for d in manifests.read(ws.downloads, "downloads").rows():
        if d["status"] != ItemStatus.OK:
            continue
        sha = d["sha256"]
        if sha not in found:
            found[sha] = dict(_first(d, urls.get(d["url_id"], {})))
        else:
            found[sha]["copies"] += 1
            known = {found[sha]["label"], *found[sha]["other_labels"]}
            found[sha]["other_labels"] += [d["label"]] if d["label"] not in known else []
    return found


def _first(d: Row, u: Row) -> Iterator[tuple[str, Any]]:
    yield from {
        "sha256": d["sha256"],
        "label": d["label"],
        "other_labels": [],
        "url": d["url"],
        "copies": 1,
    }.items()
    for k in ("source", "title", "creator", "license", "license_url", "landing_page"):
        yield k, u.get(k) or ("unknown" if k == "source" else None)


def _journal_path(ws: Workspace, config: RunConfig) -> Path:
    facts = {
        k: v for k, v in config.part("validate")["validate"].items() if k not in ("shard_size", "near_bits")
    }
    return ws.journal / f"validate-{manifests.fingerprint('look', {}, facts, VERSION)}.jsonl"


def _journal(ws: Workspace, config: RunConfig) -> dict[str, Row]:
    return journal.read(_journal_path(ws, config), "sha256")
