"""The stage ``interpret``: a report that shows where a model fails and why, and ``report.json`` with every number."""

from __future__ import annotations

import hashlib
import math
from typing import Any

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import ManifestMissing, ModelError
from keepset.files import write_bytes, write_json
from keepset.interpret.sheet import contact_sheet
from keepset.models import list_models, load_record
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.workspace import Workspace

__all__ = ["contact_sheet", "interpret"]

VERSION = 2


def interpret(
    ws: Workspace, config: RunConfig, *, progress: Progress = SILENT, model_id: str | None = None
) -> StageResult:
    """Write ``reports/<model id>/report.html`` and ``report.json`` for ``model_id`` (default: the newest)."""
    from keepset.interpret.facts import gather
    from keepset.interpret.page import render

    if model_id is None:
        models = list_models(ws)
        if not models:
            raise ModelError("There is no trained model yet.", "Run `keepset train` first.")
        model_id = models[-1].id
    record = load_record(ws, model_id)
    folder = ws.reports / model_id
    predictions = manifests.read(ws.models / model_id / "predictions.parquet", "predictions")
    wanted = manifests.fingerprint(
        "interpret", _parents(ws, model_id, record.dataset_revision), {"model": model_id}, VERSION
    )
    outputs = {"report": f"reports/{model_id}/report.html"}
    mark = folder / ".fingerprint"
    with ws.lock("interpret"):
        if mark.exists() and mark.read_text() == wanted:
            return StageResult(
                Stage.INTERPRET, False, f"up to date: the report of {model_id} stands", {}, outputs
            )
        progress.start("writing the report", None)
        facts = gather(ws, record, predictions)
        write_json(folder / "report.json", _plain(facts))
        write_bytes(folder / "report.html", render(ws, facts).encode())
        write_bytes(mark, wanted.encode())
    return StageResult(Stage.INTERPRET, True, facts["verdict"], facts["metrics"]["valid"], outputs)


def _parents(ws: Workspace, model_id: str, revision: int) -> dict[str, str]:
    """Content hashes of all that the report is made of: the model, its data set, and what led to that."""
    folder = ws.models / model_id
    parents = {
        "predictions": manifests.read_header(folder / "predictions.parquet").content_hash,
        "dataset": manifests.read_header(ws.dataset(revision)).content_hash,
    }
    for name in ("model.json", "comparison.json"):
        if (folder / name).exists():
            parents[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    for name, path in ws.stage_manifests.items():
        try:
            parents[name] = manifests.read_header(path).content_hash
        except ManifestMissing:  # a data set can come without the manifests of the stages before it
            continue
    return parents


def _plain(value: Any) -> Any:
    """``value`` with None for every number that JSON cannot hold (NaN and the infinities)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
