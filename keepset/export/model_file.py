"""Taking the model in use, or another one, out of the workspace: one ONNX file with everything inside."""

from __future__ import annotations

import hashlib
from pathlib import Path

from keepset.blocklist import learnt
from keepset.errors import ConfigError, ModelError, WorkspaceError
from keepset.export.place import apart, remember
from keepset.files import write_bytes
from keepset.models import ModelRecord, load_record
from keepset.stages import Stage, StageResult
from keepset.workspace import Workspace

__all__ = ["copy_model", "model_to_send"]


def copy_model(ws: Workspace, to: Path, model_id: str | None = None) -> StageResult:
    """Write ``model.onnx`` of a model (default: the one in use) to the file ``to``, whole or not at all.

    The file is all that ``keepset.load`` and ``keepset predict --model`` need. A model that was never exported is
    exported first, which takes torch. Raises ``ModelError``; ``WorkspaceError`` if ``to`` is something else.
    """
    to = apart(ws, to)
    record = model_to_send(ws, model_id)
    if to.suffix != ".onnx":
        raise ConfigError(f"{to} does not end in .onnx.", "Name a file with --to, such as bears.onnx.")
    source = ws.models / record.id / "model.onnx"
    if not source.is_file():
        from keepset.export.onnx import export_model

        source = export_model(ws, record.id)
    data = source.read_bytes()
    facts = {"model": record.id, "bytes": len(data), "classes": list(record.classes)}
    what = f"model {record.id[:8]} ({len(record.classes)} classes, {len(data) / 1e6:.1f} MB)"
    if to.exists():
        _check_ours(ws, to)
        if hashlib.sha256(to.read_bytes()).digest() == hashlib.sha256(data).digest():
            return StageResult(Stage.EXPORT, False, f"up to date: {what} in {to}", facts, {"file": str(to)})
    write_bytes(to, data)
    remember(ws, "model", to, model=record.id)
    return StageResult(Stage.EXPORT, True, f"{what} in {to}", facts, {"file": str(to)})


def model_to_send(ws: Workspace, model_id: str | None = None) -> ModelRecord:
    """A model (default: the one in use) that may leave the workspace.

    Raises ``ModelError`` if there is none, or if it learnt from pictures that were taken down since.
    """
    model_id = model_id or ws.promoted()
    if model_id is None:
        raise ModelError(f"The workspace {ws.root} has no model in use yet.", "Run `keepset train` first.")
    if takedown := learnt(ws).get(model_id):
        raise ModelError(
            f"Model {model_id} learnt from pictures that were taken down ({takedown}).",
            "Run `keepset run`, which trains one without them, then export again.",
        )
    return load_record(ws, model_id)


def _check_ours(ws: Workspace, to: Path) -> None:
    from keepset.predict.model import Predictor

    elsewhere = "Give another file with --to."
    try:
        there = Predictor(to).model_id
    except ModelError as e:
        raise WorkspaceError(f"{to} exists and is not a model that Keepset exported.", elsewhere) from e
    if not (ws.models / there / "model.json").exists():
        raise WorkspaceError(f"{to} holds a model of another workspace ({there[:8]}).", elsewhere)
