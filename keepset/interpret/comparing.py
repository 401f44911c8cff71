"""Before and after: the model and the one that was in use before it, on the same frozen images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import pyarrow.compute as pc

from keepset import manifests
from keepset.errors import KeepsetError
from keepset.files import read_json
from keepset.forecast import of_model
from keepset.workspace import Workspace

__all__ = ["before_and_after"]


def before_and_after(ws: Workspace, model_id: str) -> dict[str, Any] | None:
    """What ``keepset.models.promote`` found, with what both models said of each image it names, and what was forecast of the batch
    between them; None for a first model."""
    try:
        found: dict[str, Any] = read_json(ws.models / model_id / "comparison.json")
    except FileNotFoundError:
        return None
    if not found.get("before"):
        return None
    before = str(found["before"])
    named = [*found["fixed_images"], *found["broken_images"]]
    old, new = (_said(ws, m, named) for m in (before, model_id))
    facts: dict[str, Any] = {}
    foreseen = of_model(ws, model_id, before, make=True)
    facts["forecast"] = asdict(foreseen) if foreseen and foreseen.columns else None
    for key in ("fixed_images", "broken_images"):
        facts[key] = [_card(sha, old, new) for sha in found[key]]
    return found | facts


def _card(sha: str, old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Where a model's folder was thrown away, what it said is None."""
    known = new.get(sha) or old.get(sha) or {}
    said = [m[sha]["predicted"] if sha in m else None for m in (old, new)]
    return {"sha256": sha, "label": known.get("label"), "before": said[0], "after": said[1]}


def _said(ws: Workspace, model_id: str, shas: Iterable[str]) -> dict[str, dict[str, Any]]:
    import pyarrow as pa

    try:
        table = manifests.read(ws.models / model_id / "predictions.parquet", "predictions").table
    except KeepsetError:
        return {}
    mine = pc.is_in(table.column("sha256"), value_set=pa.array(list(shas), pa.string()))
    rows = table.select(["sha256", "label", "predicted"]).filter(mine).to_pylist()
    return {r["sha256"]: r for r in rows}
