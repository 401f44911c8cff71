"""The stage ``interpret``: a report that shows where a model fails and why, and ``report.json`` with every number."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import ManifestMissing, ModelError
from keepset.files import read_json, write_bytes, write_json
from keepset.interpret.doubts import batch_of, still_wrong
from keepset.interpret.sheet import contact_sheet
from keepset.models import ModelRecord, list_models, load_record
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.workspace import Workspace

__all__ = ["contact_sheet", "interpret"]

VERSION = 9
SHOWN = 6
"""Pictures of which the report shows where the network looked."""


def interpret(
    ws: Workspace, config: RunConfig, *, progress: Progress = SILENT, model_id: str | None = None
) -> StageResult:
    """Write ``reports/<model id>/report.html`` and ``report.json`` for ``model_id`` (default: the newest).

    Raises ``ModelError`` for an unknown model or one whose files do not belong together.
    """
    record = _record(ws, model_id)
    folder = ws.reports / record.id
    outputs = {"report": f"reports/{record.id}/report.html"}
    with ws.lock("interpret", note=progress.note):
        wanted = {"fingerprint": _fingerprint(ws, config, record)}
        if _standing(folder) == wanted:
            return StageResult(Stage.INTERPRET, False, f"up to date: the report of {record.id} is written", {}, outputs)
        facts = _write(ws, config, record, progress)
        write_json(folder / ".made_from", wanted)
    return StageResult(Stage.INTERPRET, True, facts["verdict"], _summary(facts), outputs)


def _record(ws: Workspace, model_id: str | None) -> ModelRecord:
    if model_id is not None:
        return load_record(ws, model_id)
    models = list_models(ws)
    if not models:
        raise ModelError("There is no trained model yet.", "Run `keepset train` first.")
    return models[-1]


def _write(ws: Workspace, config: RunConfig, record: ModelRecord, progress: Progress) -> dict[str, Any]:
    from keepset.interpret.facts import gather
    from keepset.interpret.gain import more_or_cleaner
    from keepset.interpret.looks import where_it_looked
    from keepset.interpret.page import render
    from keepset.interpret.verdict import next_thing

    progress.start("writing the report", None)
    facts = gather(ws, config, record) | more_or_cleaner(ws, record, progress)
    try:
        facts["looks"], pictures = where_it_looked(ws, record, facts["top_losses"][:SHOWN])
    except ModelError as e:
        facts["left_out"], pictures = [f"“Where it looked” cannot be made: {e.message}"], {}
    facts["next"] = next_thing(facts)
    folder = ws.reports / record.id
    write_json(folder / "report.json", _plain(facts))
    write_bytes(folder / "report.html", render(ws, facts, pictures).encode())
    return facts


def _summary(facts: dict[str, Any]) -> dict[str, Any]:
    """What the terminal and Prefect show of it: the figures of the validation images, and the diagnosis."""
    shown = ("n", "errors", "error_rate", "low", "high", "nll", "ece")
    figures = {k: v for k, v in facts["metrics"]["valid"].items() if k in shown}
    found = {"diagnosis": ", ".join(d["kind"] for d in facts["diagnosis"])} if facts["diagnosis"] else {}
    return figures | found


def _standing(folder: Path) -> dict[str, Any]:
    """What the report that stands there was made from; {} if there is none, or a part of it is gone."""
    if not all((folder / name).exists() for name in ("report.html", "report.json", ".made_from")):
        return {}
    found: dict[str, Any] = read_json(folder / ".made_from")
    return found


def _fingerprint(ws: Workspace, config: RunConfig, record: ModelRecord) -> str:
    facts = {"model": record.id, "labels": list(config.labels)}
    return manifests.fingerprint("interpret", _parents(ws, record), facts, VERSION)


def _parents(ws: Workspace, record: ModelRecord) -> dict[str, str]:
    """Content hashes of all that the report is made of: the model, its data set, and what led to that."""
    folder = ws.models / record.id
    parents = {"dataset": manifests.read_header(ws.dataset(record.dataset_revision)).content_hash}
    for name, path in {**ws.stage_manifests, "predictions": folder / "predictions.parquet"}.items():
        try:
            parents[name] = manifests.read_header(path).content_hash
        except ManifestMissing:  # a data set can come without the manifests of the stages before it
            continue
    if (left := still_wrong(ws, record)) is not None:
        parents["errors_left"] = left["words"]
    if (batch := batch_of(ws, record)) is not None:
        parents["batch"] = batch.id
    for name in ("model.json", "comparison.json"):
        if (folder / name).exists():
            parents[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    return parents


def _plain(value: Any) -> Any:
    """``value`` with None for every number that JSON cannot hold (NaN and the infinities)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
