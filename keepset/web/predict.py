"""Prediction in the web app: the page, the API, its description, health and metrics."""

from __future__ import annotations

import asyncio
import base64
import json
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from keepset import __version__
from keepset.errors import ModelError
from keepset.inbox import inbox_config
from keepset.predict.intake import Refused
from keepset.predict.metrics import CONTENT_TYPE_LATEST
from keepset.predict.model import Outcome, Prediction
from keepset.predict.queueing import Answer, Busy
from keepset.predict.remote import own_servers
from keepset.predict.serving import QueueOptions, Service, Serving
from keepset.web.corrections import CorrectionSite, again, told
from keepset.web.pages import page
from keepset.web.refusals import refusal
from keepset.web.uploads import MAX_ITEMS, BadRequest, Given, Intake
from keepset.workspace import Workspace

__all__ = ["TOP", "TOP_MOST", "PredictionSite"]

TOP, TOP_MOST = 5, 1000
"""Classes listed per picture if the query does not say, and at most."""
_DESCRIPTION = Path(__file__).with_name("openapi.json")

FRAGMENT = "x-keepset-fragment"
"""Header with which the page's script asks for the answers alone, to put them into the page."""
Trouble = BadRequest | Busy | ModelError
_TROUBLES = (BadRequest, Busy, ModelError)


class PredictionSite:
    """The routes of one workspace. The service starts with its first use and ends with ``service.close()``."""

    def __init__(self, ws: Workspace, options: QueueOptions | None = None) -> None:
        self.ws, self.service = ws, Service(ws, options)
        self.limits = self.service.options.limits
        self.intake = Intake(self.limits, own_servers(ws.root))
        self.corrections = CorrectionSite(ws, self.service, self.intake)

    def routes(self) -> list[Route]:
        return [
            Route("/predict", self._show, methods=["GET"]),
            Route("/predict", self._from_form, methods=["POST"]),
            Route("/api/predict", self._from_api, methods=["POST"]),
            Route("/api/model", self._model, methods=["GET"]),
            Route("/openapi.json", self._description, methods=["GET"]),
            Route("/healthz", self._health, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
            *self.corrections.routes(),
        ]

    # -- the API -----------------------------------------------------------------------------------

    async def _from_api(self, request: Request) -> Response:
        try:
            top = _top(request)
            serving = await self._serving()
            items = await self._answers(request, serving, form=False)
        except _TROUBLES as e:
            return again(refusal(request, *told(e)), e)
        record = serving.record
        found = {"id": record.id, "revision": record.dataset_revision}
        document = {"model": found, "items": [i.as_dict(top) for i in items]}
        return JSONResponse(document, _status(items))

    async def _model(self, request: Request) -> Response:
        try:
            serving = await self._serving()
        except ModelError as e:
            return again(refusal(request, *told(e)), e)
        r, p = serving.record, serving.predictor
        return JSONResponse({
            "id": r.id, "revision": r.dataset_revision, "classes": r.classes, "arch": r.arch,
            "unsure_below": p.unsure_below, "unfamiliar_over": p.far, "preprocess": asdict(r.preprocess),
            "valid": r.metrics["valid"], "created_at": r.created_at,
        })  # fmt: skip

    async def _description(self, _: Request) -> Response:
        description = json.loads(_DESCRIPTION.read_text(encoding="utf-8"))
        return JSONResponse(description | {"info": description["info"] | {"version": __version__}})

    async def _health(self, _: Request) -> Response:
        serving = self.service.serving
        model = serving.record.id if serving else await run_in_threadpool(self._promoted)
        return JSONResponse({"ok": True, "model": model})

    def _promoted(self) -> str | None:
        try:
            return self.ws.promoted()
        except (OSError, ValueError, KeyError, TypeError):  # damaged: the model itself says so when it is asked for
            return None

    async def _metrics(self, _: Request) -> Response:
        return Response(self.service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    # -- the page ----------------------------------------------------------------------------------

    async def _show(self, request: Request) -> Response:
        try:
            await self._serving()
        except ModelError as e:
            return self._page([], e, 200)
        return self._page([], None, 200)

    async def _from_form(self, request: Request) -> Response:
        items: list[_Item] = []
        trouble: Trouble | None = None
        status = 200
        try:
            items = await self._answers(request, await self._serving(), form=True)
            status = _status(items)
        except _TROUBLES as e:
            trouble, status = e, told(e)[0]
        if FRAGMENT in request.headers:
            answer: Response = page("answers.html", self.ws, status, items=items, trouble=trouble, **self._inbox())
        else:
            answer = self._page(items, trouble, status)
        return again(answer, trouble)

    def _page(self, items: list[_Item], trouble: Trouble | None, status: int) -> Response:
        return page(
            "predict.html",
            self.ws,
            status,
            items=items,
            trouble=trouble,
            serving=self.service.serving,
            most=MAX_ITEMS,
            **self._inbox(),
        )

    def _inbox(self) -> dict[str, Any]:
        """What the cards need to be corrected; ``inbox`` is None where it is off."""
        config, serving = inbox_config(self.ws), self.service.serving
        classes = serving.predictor.classes if serving else ()
        return {"inbox": config if config.enabled else None, "classes": classes}

    # -- both --------------------------------------------------------------------------------------

    async def _serving(self) -> Serving:
        if self.service.serving is not None:
            return self.service.serving
        return await run_in_threadpool(self.service.model)

    async def _answers(self, request: Request, serving: Serving, *, form: bool) -> list[_Item]:
        self.service.room(1)  # before the body is read
        async with self.intake.given(request, form=form) as given:
            sound = [g for g in given if g.trouble is None]
            futures = self.service.submit(serving, [g.data for g in sound], preview=form)
            for g in sound:
                g.data = b""  # the service lets go of it as soon as it is decoded
            found = dict(zip(map(id, sound), await asyncio.gather(*map(_outcome, futures)), strict=True))
            return [_item(g, found.get(id(g))) for g in given]


@dataclass(frozen=True)
class _Item:
    """One picture and what became of it."""

    name: str
    found: Answer | Refused

    @property
    def answer(self) -> Answer | None:
        return self.found if isinstance(self.found, Answer) else None

    def as_dict(self, top: int) -> dict[str, Any]:
        if isinstance(self.found, Refused):
            return {"name": self.name, "error": str(self.found.reason), "message": self.found.detail}
        return {"name": self.name} | _facts(self.found.prediction, top)

    @property
    def preview(self) -> str:
        """For ``src``: the picture as drawn anew by the decoder."""
        answer = self.answer
        return f"data:image/webp;base64,{base64.b64encode(answer.preview).decode()}" if answer else ""


def _item(given: Given, found: Answer | Refused | None) -> _Item:
    outcome = found or given.trouble
    if outcome is None:
        raise RuntimeError(f"{given.name} was neither refused nor submitted")
    return _Item(given.name, outcome)


def _facts(p: Prediction, top: int) -> dict[str, Any]:
    best = list(p.probabilities.items())[:top]
    return {
        "label": p.label, "probability": p.probability, "unsure": p.outcome == Outcome.UNSURE,
        "unfamiliar": p.unfamiliar, "distance": p.distance,
        "top": [{"label": label, "probability": probability} for label, probability in best],
    }  # fmt: skip


async def _outcome(future: Future[Answer]) -> Answer | Refused:
    try:
        return await asyncio.wrap_future(future)
    except Refused as e:
        return e


def _status(items: list[_Item]) -> int:
    return 200 if any(i.answer for i in items) else 422


def _top(request: Request) -> int:
    given = request.query_params.get("top", str(TOP))
    if not (given.isascii() and given.isdigit() and len(given) < 5 and 1 <= int(given) <= TOP_MOST):
        raise BadRequest(400, "bad_query", f"top is a whole number from 1 to {TOP_MOST}.")
    return int(given)
