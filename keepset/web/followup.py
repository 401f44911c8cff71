"""The strip that says how far the work on the data set is: for the gallery's pages, and as JSON for the page that polls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from keepset.models import list_models
from keepset.models.promote import outcome
from keepset.pipeline.atwork import Work
from keepset.pipeline.followup import Standing, State, run_again, standing, start
from keepset.review import BatchStatus, list_batches
from keepset.review.naming import batch_name
from keepset.stages import Stage
from keepset.web.pages import rendered
from keepset.web.prefix import base
from keepset.workspace import Workspace

__all__ = ["begin", "run", "show", "view"]

_NAMES = {
    Stage.SCRAPE: "Collect", Stage.DOWNLOAD: "Download", Stage.VALIDATE: "Check", Stage.SPLIT: "Split", Stage.CLEAN: "Apply",
    Stage.TRAIN: "Train", Stage.REVIEW: "Find the next pictures", Stage.PROMOTE: "Compare", Stage.INTERPRET: "Report",
}  # fmt: skip
_LEARN = (Stage.TRAIN, Stage.REVIEW, Stage.PROMOTE, Stage.INTERPRET)
_STEPS = {
    Work.FOLLOW_UP: (Stage.CLEAN, *_LEARN),
    Work.RUN: (Stage.SCRAPE, Stage.DOWNLOAD, Stage.VALIDATE, Stage.SPLIT, *_LEARN),
}
_TITLES = {Work.FOLLOW_UP: "Applying and retraining", Work.RUN: "Running the pipeline"}


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


def run(ws: Workspace, request: Request) -> Response:
    """Run the pipeline: through Prefect where it is in charge, else in a process of its own."""
    run_again(ws)
    return RedirectResponse("/", 303)


def view(ws: Workspace) -> dict[str, Any]:
    """What the pages show of it, JSON-ready."""
    now = standing(ws)
    state, trouble = now.state, now.progress.get("trouble")
    facts: dict[str, Any] = {
        "state": str(state), "work": str(now.work), "title": _TITLES[now.work], "steps": [], "words": "", "percent": None,
        "moves": state in (State.WORKING, State.PREFECT), "trouble": trouble if state == State.FAILED else None, "said": "",
    }  # fmt: skip
    if state == State.WORKING:
        facts |= _running(ws, now)
    elif state == State.DONE:
        facts |= _result(ws)
    elif state != State.IDLE:
        killed = state == State.STOPPED and now.was_killed
        facts["words"] = ("The process that carried it out was ended. " if killed else "") + _to_do(now)
    return facts


def _running(ws: Workspace, now: Standing) -> dict[str, Any]:
    progress, steps = now.progress, _STEPS[now.work]
    at = max(_step(steps, progress.get("results") or []), now.work == Work.FOLLOW_UP and not now.pending.batches)
    done, total = progress.get("done") or 0, progress.get("total")
    what = progress.get("what") or (_NAMES[steps[at]] if at < len(steps) else "finishing")
    compared = _outcome(ws) if at > steps.index(Stage.PROMOTE) else ""
    return {
        "steps": [{"name": _NAMES[s], "state": "done" if i < at else "now" if i == at else "next"} for i, s in enumerate(steps)],
        "words": what[:1].upper() + what[1:], "percent": round(100 * min(1.0, done / total)) if total else None,
        "said": compared,
    }  # fmt: skip


def _step(steps: Sequence[Stage], results: Sequence[Mapping[str, str]]) -> int:
    """How many of the steps are behind: those up to the last one that has a result."""
    return max((steps.index(Stage(r["stage"])) + 1 for r in results if r["stage"] in steps), default=0)


def _to_do(now: Standing) -> str:
    todo = [f"{batch_name(b)} is approved and not applied yet." for b in now.pending.batches]
    if now.pending.revision:
        todo.append(f"No model is trained on revision {now.pending.revision} yet.")
    return " ".join(todo)


def _outcome(ws: Workspace) -> str:
    """What the newest comparison found, in words; empty before the first."""
    models = list_models(ws)
    return outcome(ws, models[-1].id) if models else ""


def _result(ws: Workspace) -> dict[str, Any]:
    """What the cleaning brought: the comparison in words, the report, and the batch that comes next."""
    model = [m for m in list_models(ws) if m.dataset_hash == ws.current_dataset().content_hash][-1]
    waits = [b for b in list_batches(ws) if b.status == BatchStatus.OPEN]
    return {
        "words": outcome(ws, model.id),
        "report": model.id,
        "next": {"id": waits[-1].id, "left": waits[-1].progress().undecided} if waits else None,
    }
