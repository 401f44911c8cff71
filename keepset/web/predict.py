"""Prediction in the web app: the page, the API, its description, health and metrics."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
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
from keepset.predict.intake import Refused
from keepset.predict.metrics import CONTENT_TYPE_LATEST
from keepset.predict.model import Outcome, Prediction
from keepset.predict.queueing import Answer, Busy
from keepset.predict.remote import own_servers
from keepset.predict.serving import QueueOptions, Service, Serving
from keepset.reasons import DownloadReason, ImageReason
from keepset.web.corrections import CorrectionSite, again, told
from keepset.web.pages import number, page
from keepset.web.predict_pictures import PagePictures, Shown
from keepset.web.refusals import refusal
from keepset.web.uploads import MAX_ITEMS, BadRequest, Given, Intake
from keepset.workspace import Workspace

__all__ = ["TOP", "TOP_MOST", "PredictionSite"]

TOP, TOP_MOST = 5, 1000
"""Classes listed per picture if the query does not say, and at most."""
_DESCRIPTION = Path(__file__).with_name("openapi.json")

FRAGMENT = "x-keepset-fragment"
"""Header with which the page's script asks for the answers alone, to put them into the page."""
_SITE_AWAY = [DownloadReason[name] for name in ("DNS", "CONNECT", "TIMEOUT", "TOO_SLOW", "TLS")]
_SAVE = "Save it, then drop the file here."
_NOT_FETCHED: Mapping[str, str] = {
    **dict.fromkeys(set(DownloadReason) - set(ImageReason), f"The picture could not be fetched. {_SAVE}"),
    DownloadReason.BLOCKED_ADDRESS: f"This address is not public, so nothing is fetched from it. {_SAVE}",
    DownloadReason.BAD_URL: "This is not the address of a picture.",
    DownloadReason.NOT_FOUND: "There is no picture at this address.",
    DownloadReason.FORBIDDEN: f"The site does not hand out this picture. {_SAVE}",
    **dict.fromkeys(_SITE_AWAY, "The site does not answer. Check the address, or try again later."),
}
Trouble = BadRequest | Busy | ModelError
_TROUBLES = (BadRequest, Busy, ModelError)


class PredictionSite:
    """The routes of one workspace. The service starts with its first use and ends with ``service.close()``.

    ``local``: the app answers to this machine alone, whose people may correct answers unless the config says no.
    """

    def __init__(self, ws: Workspace, options: QueueOptions | None = None, *, local: bool = False) -> None:
        self.ws, self.service = ws, Service(ws, options)
        self.limits = self.service.options.limits
        self.pictures = PagePictures(ws)
        self.intake = Intake(self.limits, own_servers(ws.root), self.pictures.sample)
        self.corrections = CorrectionSite(ws, self.service, self.intake, local=local)

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
        trouble = None
        try:
            await self._serving()
        except ModelError as e:
            trouble = e
        return self._page([], trouble, 200, await self._known())

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
            answer: Response = page(
                "answers.html", self.ws, status, items=items, trouble=trouble, **await self._known()
            )
        else:
            answer = self._page(items, trouble, status, await self._known())
        return again(answer, trouble)

    def _page(self, items: list[_Item], trouble: Trouble | None, status: int, known: dict[str, Any]) -> Response:
        facts = {"items": items, "trouble": trouble, "serving": self.service.serving, "most": MAX_ITEMS}
        return page("predict.html", self.ws, status, **facts, **known)

    async def _known(self) -> dict[str, Any]:
        """What the cards need besides the answers; ``inbox`` is None where it is off."""
        serving = self.service.serving
        shown = await run_in_threadpool(self.pictures.shown, serving) if serving else Shown({}, ())
        classes = serving.predictor.classes if serving else ()
        inbox = await run_in_threadpool(self.corrections.config)
        return {"inbox": inbox, "classes": classes, "labels": shown.labels, "samples": shown.samples}

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

    def shown(self, labels: Mapping[str, str], base: str) -> dict[str, Any]:
        """For ``answer.html``; the picture is as the decoder drew it anew."""
        if self.answer is None:
            raise RuntimeError(f"{self.name} has no answer")
        p = self.answer.prediction
        preview = f"data:image/webp;base64,{base64.b64encode(self.answer.preview).decode()}"
        similar = [
            {"link": f"{base}/pictures/{sha}", "src": f"{base}/thumbs/{sha}.jpg", "label": labels[sha]}
            for sha, _ in p.similar
            if sha in labels
        ]
        top = list(p.probabilities.items())[:TOP]
        facts = {"preview": preview, "name": self.name, "similar": similar, "top": top}
        return {**_facts(p, TOP), **facts}

    @property
    def words(self) -> str:
        """Why there is no answer, for a person."""
        if not isinstance(self.found, Refused):
            return ""
        return _NOT_FETCHED.get(self.found.reason, self.found.detail)


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
    given = number(request.query_params.get("top", str(TOP)))
    if given is None or not 1 <= given <= TOP_MOST:
        raise BadRequest(400, "bad_query", f"top is a whole number from 1 to {TOP_MOST}.")
    return given
