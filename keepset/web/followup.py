"""How far the follow-up of an approval is: for the gallery's pages, and as JSON for the page that polls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from keepset.files import read_json
from keepset.models import list_models
from keepset.pipeline.followup import Standing, State, standing, start
from keepset.review import BatchStatus, list_batches
from keepset.stages import Stage
from keepset.web.pages import rendered
from keepset.web.prefix import base
from keepset.workspace import Workspace

__all__ = ["begin", "show", "view"]

_STEPS: dict[str, str] = {
    Stage.CLEAN: "Apply", Stage.TRAIN: "Train", Stage.REVIEW: "Find the next pictures", Stage.PROMOTE: "Compare",
    Stage.INTERPRET: "Report",
}  # fmt: skip


def show(ws: Workspace, request: Request) -> Response:
    """``{"state", "moves", "html"}``; ``moves``: ask again soon."""
    found = view(ws)
    html = rendered("followup.html", ws, followup=found)
    return JSONResponse({"state": found["state"], "moves": found["moves"], "html": html})


def begin(ws: Workspace, request: Request) -> Response:
    """Apply and retrain here, now; again if the last try failed. Nothing is done twice."""
    if standing(ws).pending and standing(ws).state != State.WORKING:
        start(ws)
    here = urlsplit(request.headers.get("referer", "")).path.removeprefix(base())
    return RedirectResponse(here if here.startswith("/batches/") else "/", 303)


def view(ws: Workspace) -> dict[str, Any]:
    """What the pages show of it, JSON-ready."""
    now = standing(ws)
    state, progress = now.state, now.progress
    facts: dict[str, Any] = {
        "state": str(state), "moves": state in (State.WORKING, State.PREFECT), "steps": [],
        "startable": state in (State.FAILED, State.STOPPED), "words": "", "percent": None,
        "trouble": progress.get("trouble") if state == State.FAILED else None,
    }  # fmt: skip
    if state == State.WORKING:
        facts |= _running(now)
    elif state == State.DONE:
        facts |= _result(ws)
    elif now.pending:
        killed = state == State.STOPPED and progress and not progress["ended"]
        facts["words"] = ("The process that carried it out was ended. " if killed else "") + _to_do(now)
    return facts


def _running(now: Standing) -> dict[str, Any]:
    progress = now.progress
    at = max(_step(progress.get("results") or []), not now.pending.batches)
    done, total = progress.get("done") or 0, progress.get("total")
    what = (progress.get("what") or "starting") + (f" ({done} of {total})" if total else "")
    return {
        "steps": [{"name": n, "state": "done" if i < at else "now" if i == at else "next"} for i, n in enumerate(_STEPS.values())],
        "words": what[:1].upper() + what[1:], "percent": round(100 * min(1.0, done / total)) if total else None,
    }  # fmt: skip


def _step(results: Sequence[Mapping[str, str]]) -> int:
    """How many of the steps are behind."""
    order = list(_STEPS)
    return max([0, *(order.index(r["stage"]) + 1 for r in results if r["stage"] in _STEPS)])


def _to_do(now: Standing) -> str:
    todo = [f"{b} is approved and not applied yet." for b in now.pending.batches]
    if now.pending.revision:
        todo.append(f"No model is trained on revision {now.pending.revision} yet.")
    return " ".join(todo)


def _result(ws: Workspace) -> dict[str, Any]:
    """What the cleaning brought: the comparison in words, the report, and the batch that comes next."""
    data = ws.current_dataset()
    model = [m for m in list_models(ws) if m.dataset_hash == data.content_hash][-1]
    waits = [b for b in list_batches(ws) if b.status == BatchStatus.OPEN]
    return {
        "words": f"Revision {data.header.extra['revision']} is in use. {read_json(ws.models / model.id / 'comparison.json')['message']}",
        "report": model.id,
        "next": {"id": waits[-1].id, "left": waits[-1].progress().undecided} if waits else None,
    }  # fmt: skip
