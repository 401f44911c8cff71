"""The stage ``review``: from a trained model's scores to a cleaning batch that waits for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import ReviewError
from keepset.files import write_json
from keepset.manifests import Header
from keepset.review.auditing import audit_opening, settle
from keepset.review.batch import Batch, BatchRecord, BatchStatus, damaged_batches, list_batches, load_batch, next_number
from keepset.review.candidates import Candidates, find_candidates
from keepset.review.deciding import submit
from keepset.review.evidence import Evidence, gather
from keepset.review.left import errors_left
from keepset.review.memory import STRONG
from keepset.review.similar import space_of
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.workspace import Workspace

__all__ = ["review"]

VERSION = 3
"""Raised when the same model would now give other candidates."""


def review(
    ws: Workspace, config: RunConfig, *, everything: bool = False, looks: int | None = None, progress: Progress = SILENT
) -> StageResult:
    """Open a cleaning batch for the current revision and its model, unless there is one, or nothing to see.

    ``outputs["batch_id"]`` is the batch; without it there is nothing worth a person's look. One revision
    and model give one batch, however often this is asked. With ``everything`` the batch holds every active image,
    the proposed ones first; with ``looks`` it holds so many drawn at random, even if nothing is proposed. Either is one of its own,
    beside the ordinary one, and there can be another one once it is decided. Raises ``ModelError`` if no model was trained.
    """
    from threadpoolctl import threadpool_limits

    with ws.lock("review", note=progress.note):
        settle(ws)
        for e in damaged_batches(ws):
            progress.note(f"{e.message} {e.remedy}")
        evidence = gather(ws, config)
        if not len(evidence.rows):
            return StageResult(Stage.REVIEW, False, "nothing to review: no picture is in use", {"candidates": 0})
        asked = {"everything": True} if everything else {} if looks is None else {"looks": looks}
        wanted = evidence.fingerprint(VERSION, asked)
        there = _same_question(evidence, wanted, asked)
        if there is not None:
            return _standing(there)
        progress.start("looking for likely trouble", None)
        if evidence.strangers:
            progress.note(
                f"{evidence.strangers} pictures that users corrected are not in the data set yet: the next run takes them in"
            )
        with threadpool_limits(evidence.record.threads, user_api="blas"):  # as many as share the sums of its training
            number = next_number(ws)
            rng = np.random.default_rng([config.seed, number])
            found = find_candidates(evidence, config.review, rng, everything=everything, looks=looks)
        rows = found.rows
        nothing = "" if asked and rows else _not_worth_it(ws, found)
        if nothing:
            return StageResult(Stage.REVIEW, False, nothing, {"candidates": len(rows)})
        batch = _open(evidence, config, found, wanted, number, datetime.now(UTC))
        closed = _superseded(batch)
        space_of(batch)  # so that the gallery need not compute it while a person waits
    counts = dict(batch.record.counts)
    return StageResult(
        Stage.REVIEW,
        True,
        _opened(batch, found.left, closed),
        {"candidates": len(rows), **counts},
        {"batch_id": batch.id},
    )


def _superseded(batch: Batch) -> list[str]:
    """Close the open batches of an earlier revision or model in which nobody marked anything, and return their ids. What still
    speaks against their pictures is in the new one."""
    closed = []
    for old in list_batches(batch.ws):
        same = (old.record.dataset_hash, old.record.model_id) == (batch.record.dataset_hash, batch.record.model_id)
        if same or old.status != BatchStatus.OPEN or old.version:
            continue
        with suppress(ReviewError):  # somebody marks, or decides, at this moment
            submit(old, "reject", who="keepset", note=f"superseded by {batch.id}", expected_version=0, via="review")
            closed.append(old.id)
    return closed


def _opened(batch: Batch, left: int, closed: Sequence[str]) -> str:
    """What was opened, what is left for the next one, and whether another batch waits, since marks count only in the batch
    where they are made.
    """
    total, said = batch.candidates().header.rows, ""
    if batch.record.on_request:
        first = f"the {batch.proposed} that something speaks against, then all others"
        said = f": {first if batch.proposed else 'nothing speaks against any'}"
    elif batch.record.drawn:
        said = f", {batch.record.drawn} of them drawn at random: they tell how many wrong ones are left"
    words = f"Batch {batch.id} is open: {total} images to look at{said}."
    words += f" {left} more are likely enough to be wrong; the next batch shows them." if left else ""
    words += f" It supersedes {', '.join(closed)}, where nothing was marked." if closed else ""
    others = [b.id for b in list_batches(batch.ws) if b.id != batch.id and b.status == BatchStatus.OPEN]
    if others:
        words += f" Also open: {', '.join(others)}; a mark counts in the batch where it is made, so decide on each."
    return words


def _not_worth_it(ws: Workspace, found: Candidates) -> str:
    """Why these candidates are not worth a person's time, or "" if they are.

    Once 95 % of what is wrong is found, only a strong candidate opens another batch.
    """
    left = errors_left(ws)
    if not found.proposed:
        return f"nothing to review. {left.words} {left.advice}" if left else "nothing to review"
    strongest = max(row["score"] for row in found.rows)
    if left and left.enough and strongest < STRONG:
        return f"nothing to review that is likely enough to be wrong. {left.words} {left.advice}"
    return ""


def _same_question(evidence: Evidence, wanted: str, asked: Mapping[str, Any]) -> Batch | None:
    """A batch of this very fingerprint, or one of this revision and model that still waits.

    A user's correction asks a new question, but not while the old one is still unanswered. A batch that was ``asked`` for (of every
    image, or of a number of random ones) and is decided does not count: whoever asks again gets a new one.
    """
    this = (evidence.dataset_hash, evidence.model_id)
    for b in list_batches(evidence.ws):
        waits = (b.record.dataset_hash, b.record.model_id) == this and b.status == BatchStatus.OPEN
        if asked:
            decided = b.status in (BatchStatus.APPLIED, BatchStatus.REJECTED)
            same = b.record.fingerprint == wanted and not decided
            waits = waits and "everything" in asked and b.record.on_request > 0
        else:
            same = b.record.fingerprint == wanted
        if same or waits:
            return b
    return None


def _standing(batch: Batch) -> StageResult:
    status = batch.status
    summary = {"candidates": batch.candidates().header.rows, "status": str(status)}
    message = f"up to date: batch {batch.id} of this revision and model is {status}"
    if status in (BatchStatus.SENT_BACK, BatchStatus.EXPIRED):
        message += f"; `keepset review reopen {batch.id}` opens it again"
    over = status in (BatchStatus.APPLIED, BatchStatus.REJECTED)
    return StageResult(Stage.REVIEW, False, message, summary, {} if over else {"batch_id": batch.id})


def _open(
    evidence: Evidence, config: RunConfig, found: Candidates, fingerprint: str, number: int, now: datetime
) -> Batch:
    """Write candidates, then ``batch.json`` (a folder without it is no batch), then the audit row."""
    ws, rows = evidence.ws, found.rows
    batch_id = f"b{number:04d}-{fingerprint[:8]}"
    record = BatchRecord(
        id=batch_id,
        number=number,
        revision=evidence.revision,
        dataset_hash=evidence.dataset_hash,
        model_id=evidence.model_id,
        opened_at=now,
        deadline=now + timedelta(days=config.review.deadline_days),
        counts=dict(Counter(str(reason) for r in rows for reason in r["reasons"])),
        large_share=config.review.large_share,
        min_per_class=config.review.min_per_class,
        fingerprint=fingerprint,
        frame=found.frame,
    )
    parents = {"dataset": evidence.dataset_hash, "predictions": evidence.predictions_hash}
    header = Header("candidates", "review", fingerprint, parents, config.as_dict(), {"batch_id": batch_id})
    manifests.write(ws.batches / batch_id / "candidates.parquet", rows, header)
    plain = asdict(record)
    plain |= {"opened_at": record.opened_at.isoformat(), "deadline": record.deadline.isoformat()}
    write_json(ws.batches / batch_id / "batch.json", plain, exclusive=True)
    batch = load_batch(ws, batch_id)
    audit_opening(batch)
    return batch
