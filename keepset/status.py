"""Where a workspace stands: stages, revisions, models, batches. Reads headers only, so it is quick."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keepset import manifests
from keepset.errors import ManifestError
from keepset.files import read_json
from keepset.workspace import Workspace

__all__ = ["collect"]


def collect(ws: Workspace) -> dict[str, Any]:
    """The workspace's state as one JSON-ready document."""
    return {
        "workspace": str(ws.root),
        "name": ws.name,
        "id": ws.id,
        "stages": [_stage(name, path) for name, path in ws.stage_manifests.items()],
        "revisions": [_revision(ws, n) for n in ws.revisions()],
        "models": _models(ws),
        "promoted": ws.promoted(),
        "batches": _batches(ws),
        "stack": _stack(ws),
    }


def _stage(name: str, path: Path) -> dict[str, Any]:
    try:
        header = manifests.read_header(path)
    except ManifestError as e:
        return {"manifest": name, "rows": None, "ok": None, "trouble": e.message}
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    status = pq.read_table(path, columns=["status"])["status"]
    counts = {v["values"]: v["counts"] for v in pc.value_counts(status).to_pylist()}
    return {"manifest": name, "stage": header.stage, "rows": header.rows, "ok": counts.get("ok", 0)}


def _revision(ws: Workspace, number: int) -> dict[str, Any]:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = ws.dataset(number)
    header = manifests.read_header(path)
    active = pc.sum(pq.read_table(path, columns=["active"])["active"]).as_py() or 0
    return {
        "revision": number,
        "images": header.rows,
        "active": active,
        "cause": header.extra.get("cause", ""),
    }


def _models(ws: Workspace) -> list[dict[str, Any]]:
    from keepset.models import list_models

    return [
        {
            "model": m.id,
            "revision": m.dataset_revision,
            "winner": m.winner,
            "arch": m.arch,
            **_headline(m.metrics),
        }
        for m in list_models(ws)
    ]


def _headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    valid = metrics.get("valid", {})
    return {k: valid.get(k) for k in ("errors", "n", "error_rate")}


def _batches(ws: Workspace) -> list[dict[str, Any]]:
    from keepset.review import list_batches

    return [
        {"batch": b.id, "status": str(b.status), "revision": b.record.revision, "marked": len(b.marks())}
        for b in list_batches(ws)
    ]


def _stack(ws: Workspace) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = read_json(ws.root / "stack.json")
    except FileNotFoundError:
        return None
    return {k: found.get(k) for k in ("api_url", "ui_url", "web_url", "started_at")}
