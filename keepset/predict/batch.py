"""Batch prediction: many pictures to one Parquet file, resumable at any moment.

What was predicted is in a journal by model and picture, so that neither a kill nor a grown folder has anything
predicted twice. Pictures are decoded in processes that can be killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from keepset import manifests
from keepset.config import DownloadConfig, RunConfig
from keepset.errors import ConfigError, ManifestError, WorkspaceError
from keepset.files import local
from keepset.manifests import Header
from keepset.manifests.rows import BatchInputRow
from keepset.predict.inputs import list_inputs, path_of
from keepset.predict.intake import DEFAULT_LIMITS, DecodeJob, Limits, Prepared, Refused, prepare
from keepset.predict.model import Predictor, find, load
from keepset.predict.prefetch import arriving
from keepset.predict.remote import is_url
from keepset.reasons import DownloadReason, ImageReason, ItemStatus
from keepset.settings import settings
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.storage.journal import Journal, JournalRow
from keepset.storage.journals import open_journal
from keepset.text import without_surrogates
from keepset.workspace import Workspace

__all__ = ["Job", "predict", "predict_batch"]

VERSION = 1
_PIECE = 8192
"""Pictures that are looked up, and decoded by one set of processes."""
_DECODE_S, _DECODE_MB = 15.0, 1024


@dataclass(frozen=True)
class Job:
    """What is asked. ``source``: folder or table, "" for the data set; ``model``: id or path, "" for the one in use;
    ``to``: Parquet file to write, "" for one below ``predictions/`` in the workspace."""

    source: str = ""
    model: str = ""
    to: str = ""
    retry_failed: bool = False


@dataclass(frozen=True)
class _Planned:
    """A job with its model pinned, as the header of its list of inputs tells it."""

    inputs: Path
    out: Path
    model: Path
    model_id: str
    retry_failed: bool


def predict_batch(ws: Workspace, job: Job, *, progress: Progress = SILENT) -> StageResult:
    """Predict what was not predicted yet, then put everything together into one file.

    Raises ``ModelError``, ``ConfigError``, ``WorkspaceError`` if ``to`` is something else.
    """
    with ws.lock(f"predict-{_name(ws, job)}", note=progress.note):
        planned = _plan(ws, job, progress)
        if header := _standing(planned):
            counts, shown = header.extra["counts"], _shown(ws, planned)
            message = f"up to date: {_words(counts)} in {without_surrogates(str(planned.out))}"
            return StageResult(Stage.PREDICT, False, message, counts, {"predictions": shown})
        _predict_missing(ws, planned, progress)
        return _put_together(ws, planned)


def predict(ws: Workspace, config: RunConfig, *, progress: Progress = SILENT, **asked: Any) -> StageResult:
    """The stage ``predict``: ``predict_batch`` for the ``Job`` that ``asked`` describes."""
    return predict_batch(ws, Job(**asked), progress=progress)


def _plan(ws: Workspace, job: Job, progress: Progress) -> _Planned:
    """List the pictures, and pin the model."""
    path = find(_model_path(ws, job))
    model_id = load(path).model_id
    _check_ours(_out(ws, job))
    source = Path(job.source).expanduser().absolute() if job.source else None
    extra = {"source": job.source, "model": str(path), "model_id": model_id}
    rows = list_inputs(ws, source)
    progress.start("listing pictures", None)
    with manifests.writing(_inputs(ws, job), "batch_inputs") as out:
        while piece := list(islice(rows, _PIECE)):
            out.add(piece)
            progress.advance(len(piece))
        count = out.rows
        out.commit(Header("batch_inputs", "predict", "", {}, {}, extra))
    if not count:
        raise ConfigError(
            f"There is no picture in {without_surrogates(job.source) or 'the data set'}.", "Give another source."
        )
    return _Planned(_inputs(ws, job), _out(ws, job), path, model_id, job.retry_failed)


def _predict_missing(ws: Workspace, planned: _Planned, progress: Progress) -> None:
    """Each picture is in the journal before the next is begun in its place."""
    predictor, failed = load(planned.model, threads=settings().workers), 0
    with _journal(ws, planned) as journal:
        pieces = manifests.batches(planned.inputs, "batch_inputs", size=_PIECE)
        progress.start("predicting", sum(len(_todo(p.to_pylist(), planned, journal)) for p in pieces))
        for piece in manifests.batches(planned.inputs, "batch_inputs", size=_PIECE):
            for key, row in _predicted(ws, predictor, _todo(piece.to_pylist(), planned, journal)):
                journal.put(key, row | {"model_id": planned.model_id, "predicted_at": _now()})
                failed += row["status"] != ItemStatus.OK
                progress.advance(failed=failed)


def _put_together(ws: Workspace, planned: _Planned) -> StageResult:
    """The journal's rows as a file, in the order of the source."""
    counts, failed = Counter[str](), 0
    classes = load(planned.model).classes
    with _journal(ws, planned) as journal, manifests.writing(planned.out, "batch_predictions") as out:
        for piece in manifests.batches(planned.inputs, "batch_inputs", size=_PIECE):
            rows: list[BatchInputRow] = piece.to_pylist()
            done = journal.get(_key(r) for r in rows)
            full = [done[_key(r)] | {"input": r["input"]} for r in rows]
            counts.update(str(r["reason"] or r["outcome"]) for r in full)
            failed += sum(r["status"] == ItemStatus.FAILED for r in full)
            out.add([r | {"predicted_at": datetime.fromisoformat(r["predicted_at"])} for r in full])
        parents = {"inputs": manifests.read_header(planned.inputs).content_hash}
        extra = {"model_id": planned.model_id, "classes": list(classes), "counts": dict(counts), "failed": failed}
        out.commit(Header("batch_predictions", "predict", _fingerprint(planned), parents, {}, extra))
    message = f"{_words(counts)} by model {planned.model_id[:8]}, in {without_surrogates(str(planned.out))}"
    return StageResult(Stage.PREDICT, True, message, dict(counts), {"predictions": _shown(ws, planned)})


def _shown(ws: Workspace, planned: _Planned) -> str:
    inside = planned.out.is_relative_to(ws.root)
    return without_surrogates(str(planned.out.relative_to(ws.root) if inside else planned.out))


def _words(counts: dict[str, int]) -> str:
    good = {k: n for k, n in counts.items() if k in ("sure", "unsure")}
    bad = {k: n for k, n in counts.items() if k not in good}
    words = f"{sum(good.values())} pictures predicted ({good.get('unsure', 0)} unsure)"
    if bad:
        words += f", {sum(bad.values())} not: " + ", ".join(f"{k} {n}" for k, n in sorted(bad.items()))
    return words


# -- where things are ------------------------------------------------------------------------------


def _model_path(ws: Workspace, job: Job) -> Path:
    if not job.model:
        return ws.root
    inside = ws.models / job.model
    return inside if inside.is_dir() else Path(job.model).expanduser()


def _name(ws: Workspace, job: Job) -> str:
    source = str(Path(job.source).expanduser().resolve()) if job.source else ""
    return hashlib.sha256(os.fsencode(f"{source}\n{job.model}\n{job.to}")).hexdigest()[:12]


def _inputs(ws: Workspace, job: Job) -> Path:
    return ws.journal / "predict" / _name(ws, job) / "inputs.parquet"


def _out(ws: Workspace, job: Job) -> Path:
    if job.to:
        return Path(job.to).expanduser().absolute()
    stem = without_surrogates(Path(job.source).resolve().stem) if job.source else "dataset"
    return ws.root / "predictions" / f"{stem}-{_name(ws, job)[:8]}.parquet"


def _journal(ws: Workspace, planned: _Planned) -> Journal:
    return open_journal(ws, f"predict-{planned.model_id}")


def _fingerprint(planned: _Planned) -> str:
    parents = {"inputs": manifests.read_header(planned.inputs).content_hash}
    return manifests.fingerprint("predict", parents, {"model": planned.model_id}, VERSION)


def _standing(planned: _Planned) -> Header | None:
    header = manifests.up_to_date(planned.out, _fingerprint(planned))
    return None if header and planned.retry_failed and header.extra["failed"] else header


def _check_ours(out: Path) -> None:
    if without_surrogates(str(out)) != str(out):
        raise ConfigError(f"{without_surrogates(str(out))} is not a name in UTF-8.", "Give another file with --to.")
    if not out.exists():
        return
    try:
        ours = manifests.read_header(out).schema == "batch_predictions"
    except ManifestError:
        ours = False
    if not ours:
        raise WorkspaceError(f"{out} is there already and holds something else.", "Give another file with --to.")


# -- the work --------------------------------------------------------------------------------------


def _key(row: BatchInputRow) -> str:
    return f"{row['place']}\n{row['stamp']}"


def _todo(rows: list[BatchInputRow], planned: _Planned, journal: Journal) -> list[BatchInputRow]:
    """Those that the journal does not have, each picture once."""
    done = journal.get(_key(r) for r in rows)
    todo: dict[str, BatchInputRow] = {}
    for row in rows:
        before = done.get(_key(row))
        if before is None or (before["status"] == ItemStatus.FAILED and planned.retry_failed):
            todo.setdefault(_key(row), row)
    return list(todo.values())


def _predicted(ws: Workspace, predictor: Predictor, rows: list[BatchInputRow]) -> Iterator[tuple[str, JournalRow]]:
    """(key, what became of it), in the order in which they are done."""
    from keepset.validate.pool import run_jobs

    refused: list[tuple[str, JournalRow]] = []
    with contextlib.ExitStack() as stack:
        jobs = _jobs(ws, predictor, rows, refused, stack)
        for job, answer in run_jobs(
            prepare, jobs, workers=settings().workers, timeout_s=_DECODE_S, memory_mb=_DECODE_MB
        ):
            if isinstance(job.source, Path) and job.source.suffix == ".part":
                job.source.unlink(missing_ok=True)
            yield from _emptied(refused)
            if isinstance(answer, Prepared):
                (found,) = predictor.predict_pixels([answer.pixels])
                probs = [found.probabilities[c] for c in predictor.classes]
                facts = {k: getattr(found, k) for k in ("label", "probability", "unfamiliar", "distance")}
                yield job.key, _row(ItemStatus.OK) | facts | {"outcome": str(found.outcome), "probs": probs}
            else:
                yield job.key, _refusal(answer)
    yield from _emptied(refused)


def _emptied(waiting: list[tuple[str, JournalRow]]) -> Iterator[tuple[str, JournalRow]]:
    while waiting:
        yield waiting.pop(0)


def _jobs(
    ws: Workspace,
    predictor: Predictor,
    rows: list[BatchInputRow],
    refused: list[tuple[str, JournalRow]],
    stack: contextlib.ExitStack,
) -> Iterator[DecodeJob]:
    remote = {r["place"]: r for r in rows if is_url(r["place"])}
    download, limits = _limits(ws)
    for row in rows:
        if row["place"] in remote:
            continue
        try:
            here = local(path_of(row["place"]))
        except FileNotFoundError as e:  # on an object store
            refused.append((_key(row), _refusal(Refused(ImageReason.MISSING, str(e)))))
            continue
        yield DecodeJob(here, predictor.preprocess, limits, key=_key(row))
    if not remote:
        return
    came = stack.enter_context(arriving(remote, download, ws.journal / "predict" / "parts"))
    for url, file in came:
        if isinstance(file, Refused):
            refused.append((_key(remote[url]), _refusal(file)))
        else:
            yield DecodeJob(file, predictor.preprocess, limits, key=_key(remote[url]))


def _limits(ws: Workspace) -> tuple[DownloadConfig, Limits]:
    """Politeness and limits as the run config has them, so that what it validates is predicted; nothing is tried twice."""
    try:
        config = ws.config()
    except ConfigError:  # a workspace that only predicts needs none
        return DownloadConfig(retries=0), DEFAULT_LIMITS
    download, wanted = config.download, config.validate_
    limits = Limits(download.max_bytes, wanted.max_pixels, wanted.formats)
    return download.model_copy(update={"retries": 0}), limits


def _row(status: ItemStatus) -> JournalRow:
    empty = dict.fromkeys(("reason", "detail", "label", "probability", "outcome", "unfamiliar", "distance"))
    return {"status": str(status), **empty, "probs": []}


def _refusal(answer: Any) -> JournalRow:
    """``Refused`` by its limits, or ``Lost`` with its process."""
    if not isinstance(answer, Refused):
        reason = ImageReason.TIMEOUT if answer.why == "timeout" else ImageReason.CRASHED
        answer = Refused(reason, answer.detail)
    failed = isinstance(answer.reason, DownloadReason) or answer.reason == ImageReason.MISSING
    status = ItemStatus.FAILED if failed else ItemStatus.REJECTED
    return _row(status) | {"reason": str(answer.reason), "detail": answer.detail}


def _now() -> str:
    return datetime.now(UTC).isoformat()
