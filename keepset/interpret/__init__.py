"""The stage ``interpret``: a report that shows where a model fails and why, and ``report.json`` with every number."""

from __future__ import annotations

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import ModelError
from keepset.files import write_bytes, write_json
from keepset.interpret.sheet import contact_sheet
from keepset.models import list_models, load_record
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.workspace import Workspace

__all__ = ["contact_sheet", "interpret"]

VERSION = 1


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
    comparison = ws.models / model_id / "comparison.json"
    parents = {"predictions": predictions.content_hash, "compared": str(comparison.exists())}
    wanted = manifests.fingerprint("interpret", parents, {"model": model_id}, VERSION)
    outputs = {"report": f"reports/{model_id}/report.html"}
    mark = folder / ".fingerprint"
    with ws.lock("interpret"):
        if mark.exists() and mark.read_text() == wanted:
            return StageResult(
                Stage.INTERPRET, False, f"up to date: the report of {model_id} stands", {}, outputs
            )
        progress.start("writing the report", None)
        facts = gather(ws, record, predictions)
        write_json(folder / "report.json", facts)
        write_bytes(folder / "report.html", render(ws, facts).encode())
        write_bytes(mark, wanted.encode())
    return StageResult(Stage.INTERPRET, True, facts["verdict"], facts["metrics"]["valid"], outputs)
