"""Deciding on a whole batch in the gallery: counts and guards first, then approve, reject, send back, or reopen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from keepset.errors import NeedsConfirmation, ReviewError, StaleBatch
from keepset.reasons import Action
from keepset.review import Batch, BatchStatus, load_batch, preview, reopen, submit
from keepset.web.cards import facts, suggested
from keepset.web.marking import given_name, reviewer
from keepset.web.pages import number, page
from keepset.workspace import Workspace

__all__ = ["decide", "foreseen", "open_again", "show"]

SHOWN = 60
"""Thumbnails per lot."""


def show(
    ws: Workspace, request: Request, trouble: str = "", status: int = 200, difference: Sequence[Any] = ()
) -> Response:
    """What an approval would do now, and what needs a tick; ``difference``: what changed since somebody looked."""
    batch = load_batch(ws, request.path_params["batch_id"])
    undecided = request.query_params.get("undecided", "keep")
    marks = batch.marks()
    counts = {str(a): sum(m.action == a for m in marks.values()) for a in Action}
    asked = suggested(batch, {}, marks)
    marked, all_done = (preview(batch, undecided=u) for u in ("keep", "suggested"))
    found = all_done.guards if undecided == "suggested" else marked.guards
    return page(
        "submit.html", ws, status, batch=batch, counts=counts, rest=asked.all + asked.left, total=len(batch.rows()),
        suggested=asked, lots=_lots(batch, marked.plan, {}), suggested_lots=_lots(batch, all_done.plan, marked.plan), guards=found,
        all_guards=list(dict.fromkeys([*found, *all_done.guards])), undecided=undecided, trouble=trouble,
        difference=difference,
        preview=marked, all_done=all_done, suggested_keep=all_done.kept - marked.kept, open=batch.status == BatchStatus.OPEN, version=batch.version,
        who=given_name(request), open_looks=len(batch.drawn() - marks.keys()),
    )  # fmt: skip


def foreseen(ws: Workspace, request: Request) -> Response:
    """What an approval would do to the model. The page before submitting asks for it once it is painted."""
    from keepset.forecast import forecast

    batch = load_batch(ws, request.path_params["batch_id"])
    asked = request.query_params.get("undecided", "keep")
    return page("forecast.html", ws, batch=batch, f=forecast(batch, undecided=asked))


@dataclass(frozen=True)
class Lot:
    """Pictures to which the same is done: ``shas`` are the first of ``count``. To relabel, from the class ``of`` to ``to``."""

    action: str
    of: str
    to: str
    count: int
    shas: Sequence[str]


def _lots(batch: Batch, plan: Mapping[str, Mapping[str, Any]], without: Mapping[str, Any]) -> list[Lot]:
    """What ``plan`` deletes, and what it relabels by class, the largest lots first; pictures by rank."""
    changed = [s for s, d in plan.items() if d["action"] != Action.KEEP and s not in without]
    ranks = dict(zip(changed, batch.ranks(changed).tolist(), strict=True))
    known = facts(batch, batch.rows().at([r for r in ranks.values() if r >= 0]))
    found: dict[tuple[str, str, str], list[str]] = {}
    for sha in sorted(changed, key=lambda s: ranks[s]):
        d = plan[sha]
        of = str(known.get(sha, {}).get("label") or "?") if d["action"] == Action.RELABEL else ""
        found.setdefault((str(d["action"]), of, d["label"] or ""), []).append(sha)
    several = sorted(found.items(), key=lambda item: (item[0][0], -len(item[1]), item[0]))
    return [Lot(*what, len(shas), shas[:SHOWN]) for what, shas in several]


async def decide(ws: Workspace, request: Request) -> Response:
    form = {str(k): str(v) for k, v in (await request.form()).items()}
    return await run_in_threadpool(_decide, ws, request, form)


def _decide(ws: Workspace, request: Request, form: dict[str, str]) -> Response:
    from keepset.pipeline.followup import hand_over

    batch = load_batch(ws, request.path_params["batch_id"])
    try:
        submit(
            batch, form.get("decision", ""), who=form.get("who", ""), note=form.get("note", ""),
            undecided=form.get("undecided", "keep"), confirm=form.get("confirm") == "yes",
            expected_version=number(form.get("version", "")), via="gallery",
        )  # fmt: skip
    except NeedsConfirmation as e:
        return show(ws, request, str(e), 400)
    except StaleBatch as e:
        return show(ws, request, str(e), 409, e.difference)
    except ReviewError as e:
        return show(ws, request, str(e), 409)
    hand_over(ws, load_batch(ws, batch.id))
    answer = RedirectResponse(f"/batches/{batch.id}?notice=recorded", 303)
    answer.set_cookie("keepset_who", quote(form.get("who", "")[:100]), samesite="strict", max_age=31_536_000)
    return answer


def open_again(ws: Workspace, request: Request) -> Response:
    from keepset.orchestrator.waiting import notify_reopened

    batch = load_batch(ws, request.path_params["batch_id"])
    reopen(batch, who=reviewer(request))
    notify_reopened(ws, load_batch(ws, batch.id))
    return RedirectResponse(f"/batches/{batch.id}", 303)
