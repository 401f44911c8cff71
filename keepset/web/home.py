"""The home page: how the data set and its model are, how far work on it is, and the one next step as one button."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from keepset.history.health import ModelHealth, data_health, error_curve, model_health
from keepset.history.timeline import timeline
from keepset.interpret.plots import mistakes_over_revisions
from keepset.machine.programs import spell
from keepset.models import list_models
from keepset.orchestrator.neighbours import neighbours
from keepset.pipeline.followup import State, standing
from keepset.review import Batch, BatchStatus, errors_left, list_batches, review
from keepset.review.naming import batch_name
from keepset.review.revisions import Contents
from keepset.starting import unread_config
from keepset.storage.localfiles import shown
from keepset.text import many
from keepset.web import followup
from keepset.web.pages import number, page
from keepset.web.prefix import base
from keepset.web.refusals import refusal
from keepset.workspace import Workspace

__all__ = ["Step", "next_step", "routes"]

THUMBS = 8
LATEST = 3
"""Entries of the history on this page."""
CLASSES = 8


@dataclass(frozen=True)
class Step:
    """The next step: a heading, a sentence, and a button that leads to a page or, with ``post``, sets something off."""

    title: str
    words: str
    button: str = ""
    to: str = ""
    post: bool = False
    pictures: tuple[str, ...] = ()


def routes(ws: Workspace) -> list[Route]:
    return [
        Route("/", functools.partial(_home, ws)),
        Route("/followup", functools.partial(followup.show, ws), methods=["GET"]),
        Route("/followup", functools.partial(followup.begin, ws), methods=["POST"]),
        Route("/run", functools.partial(followup.run, ws), methods=["POST"]),
        Route("/review", functools.partial(_review_more, ws), methods=["POST"]),
    ]


def _home(ws: Workspace, request: Request) -> Response:
    from markupsafe import Markup

    batches, data, model = list_batches(ws), data_health(ws), model_health(ws)
    reports = [m for m in list_models(ws) if (ws.reports / m.id / "report.html").exists()]
    events, points = timeline(ws), error_curve(ws)
    curve = Markup(mistakes_over_revisions(points)) if points else None  # noqa: S704 - the plot escapes its texts
    return page(
        "home.html", ws, data=data, model=model, step=next_step(ws, batches, data, model), followup=followup.view(ws),
        curve=curve, points=points, batches=[(b, _outcome(b)) for b in batches[::-1]], models=reports[::-1],
        promoted=ws.promoted(), left=errors_left(ws), events=events[:LATEST], more=len(events) > LATEST,
        others=_others(ws), most_classes=CLASSES, has_config=(ws.root / "config.json").exists(),
        first_run=spell("keepset", "run", ws.config_file(), "-w", ws.root),
        edited=_edited(ws), report=any(m.id == ws.promoted() for m in reports), working=standing(ws).state == State.WORKING,
    )  # fmt: skip


async def _review_more(ws: Workspace, request: Request) -> Response:
    """Open a batch of so many random pictures (``looks``), or of every picture, and lead to it."""
    asked = str((await request.form()).get("looks") or "")
    looks = number(asked)
    if asked and not looks:
        return refusal(request, 400, "bad_number", f"'{asked[:20]}' is not a number of pictures.")
    done = await run_in_threadpool(lambda: review(ws, ws.config(), everything=looks is None, looks=looks))
    batch = done.outputs.get("batch_id")
    return RedirectResponse(f"/batches/{batch}" if batch else "/", 303)


def _edited(ws: Workspace) -> tuple[str, str] | None:
    """The run config that was edited and not given since, and the command that takes it up."""
    if (edited := unread_config(ws)) is None:
        return None
    return shown(edited.name), spell("keepset", "run", edited, "-w", ws.root)


def _others(ws: Workspace) -> list[tuple[str, Workspace, int]]:
    """The other data sets of this stack: id, workspace, and pictures to review."""
    found = {} if base() else neighbours(ws.root)
    return [
        (i, w, sum(b.progress().undecided for b in list_batches(w) if b.status == BatchStatus.OPEN))
        for i, w in sorted(found.items(), key=lambda pair: pair[1].name.lower())
    ]


def next_step(ws: Workspace, batches: Sequence[Batch], data: Contents | None, model: ModelHealth | None) -> Step | None:
    """What a person does next; None while the strip above says all there is to say."""
    waits = [b for b in batches if b.status == BatchStatus.OPEN]
    if waits:
        return _review(waits[-1])
    if standing(ws).state not in (State.IDLE, State.DONE):
        return None
    if not (ws.root / "config.json").exists():
        return Step("No pictures yet", "Tell Keepset which pictures to take, in a terminal or in Prefect's form.")
    if data is None or model is None:
        return Step("No model yet", "Collect the pictures and train on them.", "Run the pipeline", "/run", post=True)
    if model.stale:
        words = "The data set has changed since the model in use was trained."
        return Step("Train on the newest pictures", words, "Run the pipeline", "/run", post=True)
    if batches and batches[-1].status in (BatchStatus.SENT_BACK, BatchStatus.EXPIRED):
        how = "was sent back" if batches[-1].status == BatchStatus.SENT_BACK else "expired before anybody decided"
        return Step(
            f"{batch_name(batches[-1].id)} {how}", "Its marks are kept.", "Look at it", f"/batches/{batches[-1].id}"
        )
    return Step(
        "Nothing to review", "Try the model on pictures that it has never seen.", "Predict pictures", "/predict"
    )


def _review(batch: Batch) -> Step:
    p, here = batch.progress(), f"/batches/{batch.id}"
    if not p.undecided:
        words = f"Delete {p.deleted}, relabel {p.relabelled}, keep {p.kept}. Nothing has changed yet."
        return Step(f"All {many(p.total, 'picture')} decided", words, "Apply and retrain …", f"{here}/submit")
    marked = batch.marks()
    shown = [s for s in batch.candidates().table["sha256"].to_pylist() if s not in marked]
    until = f"Nothing changes before you approve. Open until {batch.deadline:%-d %B}."
    title, words = f"{many(p.total, 'picture')} to review", _shown_for(batch)
    if p.marked:
        title = f"{p.undecided} of {many(p.total, 'picture')} left to decide"
        words = words if batch.record.on_request else ""
    button = f"Go on: {p.undecided} left" if p.marked else f"Review {many(p.total, 'picture')}"
    return Step(title, words + until, button, here, pictures=tuple(shown[:THUMBS]))


def _shown_for(batch: Batch) -> str:
    """Why the batch shows these pictures."""
    proposed, drawn = batch.proposed, batch.record.drawn
    if batch.record.on_request:
        return f"Every picture, the {proposed} proposed ones first. " if proposed else "Every picture. "
    parts = []
    if proposed:
        parts.append(f"{proposed if drawn else 'They'} may be mislabelled, out of place, or copies")
    if drawn:
        who = f"{drawn} {'is' if drawn == 1 else 'are'}" if proposed else "They are"
        parts.append(f"{who} drawn at random, to learn how many wrong ones are left")
    return f"{'; '.join(parts)}. "


def _outcome(batch: Batch) -> str:
    """What is left to decide in an open batch, or what was decided."""
    approval, p = batch.approval(), batch.progress()
    if approval is None:
        return f"{p.undecided} of {many(p.total, 'picture')} to decide"
    if approval.decision != "approve":
        return f"{many(p.total, 'picture')}, nothing changed"
    acts = [str(d["action"]) for d in approval.decisions.values()]
    left = p.total - len(acts)
    said = f"deleted {acts.count('delete')}, relabelled {acts.count('relabel')}, kept {acts.count('keep')}"
    return f"{said}{f', {left} not decided' if left > 0 else ''}"
