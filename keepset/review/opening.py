"""The stage ``review``: from a trained model's scores to a cleaning batch that waits for a person."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from keepset import manifests
from keepset.config import RunConfig
from keepset.files import write_json
from keepset.manifests import Header
from keepset.review.batch import Batch, BatchRecord, BatchStatus, list_batches, load_batch
from keepset.review.candidates import find_candidates
from keepset.review.evidence import Evidence, gather
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.workspace import Workspace

__all__ = ["review"]

VERSION = 1
"""Raised when the same model would now give other candidates."""


def review(
    ws: Workspace, config: RunConfig, *, progress: Progress = SILENT, now: datetime | None = None
) -> StageResult:
    """Open a cleaning batch for the current revision and its model, unless there is one, or nothing to see.

    ``outputs["batch_id"]`` is the batch; without it there is nothing worth a person's look. One revision
    and model give one batch, however often this is asked. Raises ``ModelError`` if no model was trained.
    """
    with ws.lock("review"):
        evidence = gather(ws, config)
        wanted = evidence.fingerprint(VERSION)
        there = next((b for b in list_batches(ws) if b.record.fingerprint == wanted), None)
        if there is not None:
            return _standing(there)
        progress.start("looking for likely trouble", None)
        rows = find_candidates(evidence, config.review)
        if not rows:
            return StageResult(Stage.REVIEW, False, "nothing is worth a person's look", {"candidates": 0})
        batch = _open(evidence, config, rows, wanted, now or datetime.now(UTC))
    counts = dict(batch.record.counts)
    message = f"Batch {batch.id} is open: {len(rows)} images to look at."
    return StageResult(
        Stage.REVIEW, True, message, {"candidates": len(rows), **counts}, {"batch_id": batch.id}
    )


def _standing(batch: Batch) -> StageResult:
    status = batch.status
    summary = {"candidates": batch.candidates().header.rows, "status": str(status)}
    message = f"up to date: batch {batch.id} of this revision and model is {status}"
    over = status in (BatchStatus.APPLIED, BatchStatus.REJECTED)
    return StageResult(Stage.REVIEW, False, message, summary, {} if over else {"batch_id": batch.id})


def _open(
    evidence: Evidence, config: RunConfig, rows: list[dict[str, object]], fingerprint: str, now: datetime
) -> Batch:
    """Write candidates, then ``batch.json`` (a folder without it is no batch), then the audit row."""
    ws = evidence.ws
    number = max((b.record.number for b in list_batches(ws)), default=0) + 1
    batch_id = f"b{number:04d}-{fingerprint[:8]}"
    record = BatchRecord(
        id=batch_id,
        number=number,
        revision=evidence.revision,
        dataset_hash=evidence.dataset_hash,
        model_id=evidence.model_id,
        opened_at=now,
        deadline=now + timedelta(days=config.review.deadline_days),
        labels=evidence.labels,
        counts=dict(Counter(str(reason) for r in rows for reason in r["reasons"])),  # type: ignore[attr-defined]
        large_share=config.review.large_share,
        min_per_class=config.review.min_per_class,
        fingerprint=fingerprint,
    )
    parents = {"dataset": evidence.dataset_hash, "predictions": evidence.predictions_hash}
    header = Header("candidates", "review", fingerprint, parents, config.as_dict(), {"batch_id": batch_id})
    manifests.write(ws.batches / batch_id / "candidates.parquet", rows, header)
    plain = asdict(record)
    plain |= {"opened_at": record.opened_at.isoformat(), "deadline": record.deadline.isoformat()}
    write_json(ws.batches / batch_id / "batch.json", plain, exclusive=True)
    what = {"batch": batch_id, "revision": record.revision, "model": record.model_id, "candidates": len(rows)}
    ws.audit("open", who="keepset", what=what)
    return load_batch(ws, batch_id)
