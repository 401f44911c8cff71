"""Where a workspace stands: stages, revisions, models, batches, the stack and its last runs.

Reads headers and a column or two, so it is quick; a Prefect server that does not answer costs three seconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from keepset.card.counting import stage_counts
from keepset.card.yields import by_host, by_query, complaints, yields
from keepset.errors import ManifestError, ManifestMissing, OrchestratorError
from keepset.files import read_json
from keepset.models.reported import on_other_sites
from keepset.review.revisions import revisions
from keepset.status.next_step import next_step
from keepset.workspace import Workspace

__all__ = ["collect", "gallery_url", "stack_troubles", "troubles"]

LAST_RUNS = 10


def collect(ws: Workspace) -> dict[str, Any]:
    """The workspace's state as one JSON-ready document.

    ``runs`` is null, and ``runs_trouble`` says why, where no Prefect server tells of them.
    """
    stack = _stack(ws)
    runs, trouble = _runs(ws, stack)
    return {
        "workspace": str(ws.root),
        "name": ws.name,
        "id": ws.id,
        "stages": [_stage(ws, name) for name in ws.stage_manifests],
        **_sources(ws),
        "revisions": [asdict(r) for r in revisions(ws)],
        "models": _models(ws),
        "promoted": ws.promoted(),
        "on_other_sites": on_other_sites(ws, ws.promoted()),
        "batches": _batches(ws),
        "left": _left(ws),
        "next": next_step(ws, str((stack or {}).get("web_url") or "")),
        "stack": stack,
        "trouble": troubles(ws),
        "runs": runs,
        "runs_trouble": trouble,
    }


def _stage(ws: Workspace, name: str) -> dict[str, Any]:
    try:
        found = stage_counts(ws, name)
    except ManifestMissing:
        return {"manifest": name, "rows": None, "ok": None, "trouble": "not written yet"}
    except ManifestError as e:
        return {"manifest": name, "rows": None, "ok": None, "trouble": e.message}
    return {k: found[k] for k in ("manifest", "stage", "rows", "ok")}


def _sources(ws: Workspace) -> dict[str, Any]:
    """What each search, list and host brought; the most productive first. Without the columns that a host has none of."""
    try:
        found = yields(ws)
    except ManifestError:  # told with its stage
        return {"sources": [], "hosts": [], "complaints": []}
    queries = sorted(by_query(found), key=lambda y: (-y.new, -y.lines, y.label))
    hosts = [{k: v for k, v in y.as_dict().items() if v != ""} for y in by_host(found)]
    return {"sources": [y.as_dict() for y in queries], "hosts": hosts, "complaints": complaints(found)}


def _models(ws: Workspace) -> list[dict[str, Any]]:
    from keepset.models import list_models

    return [
        {"model": m.id, "revision": m.dataset_revision, "winner": m.winner, "arch": m.arch, **_headline(m.metrics)}
        for m in list_models(ws)
    ]


def _headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    valid = metrics.get("valid", {})
    return {k: valid.get(k) for k in ("errors", "n", "error_rate")}


def _batches(ws: Workspace) -> list[dict[str, Any]]:
    from keepset.review import BatchStatus, list_batches

    return [
        {
            "batch": b.id,
            "status": str(b.status),
            "revision": b.record.revision,
            "images": b.candidates().header.rows,
            "marked": len(b.marks()),
            "waits_until": b.deadline.isoformat(timespec="minutes") if b.status == BatchStatus.OPEN else None,
        }
        for b in list_batches(ws)
    ]


def _left(ws: Workspace) -> dict[str, Any] | None:
    """How many wrong pictures are left, with the sentences about it; None while nothing tells."""
    from keepset.review import errors_left

    left = errors_left(ws)
    return {**asdict(left), "words": left.words, "advice": left.advice, "command": left.command} if left else None


def gallery_url(ws: Workspace) -> str:
    """The address of the stack's gallery; empty if no stack runs here."""
    return str((_stack(ws) or {}).get("web_url") or "")


def troubles(ws: Workspace) -> list[str]:
    """What is wrong with the stack that runs here and with batches, and takedowns that were killed; a sentence or two each."""
    from keepset.blocklist import learnt
    from keepset.clean.takedown import unfinished
    from keepset.review import damaged_batches

    begun = [
        f"The takedown {row['what']['id']} is not finished: pictures may still be here. Run the same `keepset remove` again."
        for row in unfinished(ws)
    ]
    if takedown := learnt(ws).get(ws.promoted() or ""):
        begun.append(
            f"The model in use learnt from pictures that were taken down ({takedown}). `keepset run` trains one without them."
        )
    return [*stack_troubles(ws), *begun, *(f"{e.message} {e.remedy}" for e in damaged_batches(ws))]


def stack_troubles(ws: Workspace) -> list[str]:
    """What is wrong with the parts of the stack that runs here; empty where none runs."""
    parts = (_stack(ws) or {}).get("parts") or {}
    return [p["words"] for p in parts.values() if p.get("words")]


def _stack(ws: Workspace) -> dict[str, Any] | None:
    """Where it listens; None if none runs. What a killed stack left written counts for nothing."""
    from keepset.orchestrator import is_running

    try:
        found: dict[str, Any] = read_json(ws.scratch / "stack.json")
    except FileNotFoundError:
        return None
    keys = ("api_url", "ui_url", "web_url", "started_at", "pids", "parts")
    return {k: found.get(k) for k in keys} if is_running(ws.root) else None


def _runs(ws: Workspace, stack: Mapping[str, Any] | None) -> tuple[list[dict[str, Any]] | None, str]:
    """The last flow runs on this workspace, newest first; or None and the reason."""
    from keepset.orchestrator import Orchestrator, is_of

    url = stack["api_url"] if stack else os.environ.get("PREFECT_API_URL", "")
    if not url:
        return None, ""
    prefect = Orchestrator(url, ws)
    try:
        if not prefect.healthy():
            return None, f"the Prefect server at {url} does not answer"
        found = prefect.recent_runs(200)
    except OrchestratorError as e:
        return None, e.message
    return [_run(r) for r in found if is_of(ws, r)][:LAST_RUNS], ""


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    state = run.get("state") or {}
    return {
        "run": run["name"],
        "state": state.get("name", ""),
        "began": (run.get("start_time") or run.get("expected_start_time") or "")[:19],
        "seconds": round(run.get("total_run_time") or 0.0, 1),
        "message": (state.get("message") or "").partition("\n")[0][:200],
        "id": run["id"],
    }
