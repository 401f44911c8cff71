"""Corrections on the prediction page and by the API: the picture once more, and what it really shows.

The server predicts it again, so that neither the picture nor what the model said is taken on trust; then the inbox
keeps it. Other sites are kept out by the gallery's guard; numbers and sizes are bounded by ``[inbox]``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from keepset.config import InboxConfig
from keepset.errors import ModelError
from keepset.inbox import Inbox, InboxFull, Kept, TooMany, inbox_config
from keepset.predict.intake import Refused
from keepset.predict.queueing import Busy
from keepset.predict.serving import Service, Serving
from keepset.web.pages import page
from keepset.web.refusals import refusal
from keepset.web.uploads import BadRequest, Given, Intake
from keepset.workspace import Workspace

__all__ = ["CorrectionSite", "again", "told"]

_TROUBLES = (BadRequest, Busy, ModelError, TooMany, InboxFull, Refused)


class CorrectionSite:
    """``local``: the app answers to this machine alone."""

    def __init__(self, ws: Workspace, service: Service, intake: Intake, *, local: bool) -> None:
        self.ws, self.service, self.intake, self.local = ws, service, intake, local
        self.inbox = Inbox(ws, inbox_config(ws))

    def config(self) -> InboxConfig | None:
        """As the run config has it now; None where corrections are not taken."""
        found = inbox_config(self.ws)
        return found if found.enabled or (found.enabled is None and self.local) else None

    def routes(self) -> list[Route]:
        return [
            Route("/correct", self._from_form, methods=["POST"]),
            Route("/api/corrections", self._from_api, methods=["POST"]),
        ]

    async def _from_form(self, request: Request) -> Response:
        done, trouble, said = None, None, (200, "", "", "")
        try:
            done = await self._correct(request)
        except _TROUBLES as e:
            trouble, said = e, told(e)
        answer = page("corrected.html", self.ws, said[0], done=done, trouble=" ".join(said[2:]))
        return again(answer, trouble)

    async def _from_api(self, request: Request) -> Response:
        try:
            done = await self._correct(request)
        except _TROUBLES as e:
            return again(refusal(request, *told(e)), e)
        return JSONResponse(asdict(done), 201)

    async def _correct(self, request: Request) -> Kept:
        config = await run_in_threadpool(self.config)
        if config is None:
            raise BadRequest(403, "inbox_off", "Corrections are not taken here: [inbox] enabled is off.")
        self.inbox.config = config
        self.inbox.admit()
        serving = await run_in_threadpool(self.service.model)
        self.service.room(1)
        async with self.intake.correction(request) as (picture, said):
            _check(picture, said, serving)
            data, label = picture.data, said["label"]
            predicted = await self._predicted(serving, data)
            if predicted == label:
                raise BadRequest(409, "no_correction", f"The model says '{predicted}' too.")
            return await run_in_threadpool(
                lambda: self.inbox.keep(data, predicted=predicted, label=label, who=said["who"])
            )

    async def _predicted(self, serving: Serving, data: bytes) -> str:
        (future,) = self.service.submit(serving, [data])
        return (await asyncio.wrap_future(future)).prediction.label


def _check(picture: Given, said: Mapping[str, str], serving: Serving) -> None:
    if picture.trouble is not None:
        raise picture.trouble
    if said["label"] not in serving.predictor.classes:
        known = ", ".join(serving.predictor.classes[:50])
        words = f"'{said['label'][:100]}' is not a class of this model. Classes: {known}."
        raise BadRequest(400, "bad_label", words)
    if said["consent"] != "yes":
        words = "Send consent=yes: a person who sends a picture has to agree that it is kept."
        raise BadRequest(400, "no_consent", words)


def told(e: Any) -> tuple[int, str, str, str]:
    """HTTP status, stable code, message and remedy."""
    match e:
        case BadRequest():
            return e.status, e.error, e.message, ""
        case Refused():
            return 422, str(e.reason), e.detail, ""
        case Busy():
            return 503, "busy", f"Too much work is waiting. Try again in {e.retry_after} s.", ""
        case TooMany():
            return 429, "too_many_corrections", e.message, e.remedy
        case InboxFull():
            return 507, "inbox_full", e.message, e.remedy
    return 503, "ModelError", e.message, e.remedy


def again(answer: Response, e: Exception | None) -> Response:
    """The answer with the time after which to try again, if that helps."""
    if isinstance(e, Busy | TooMany):
        answer.headers["retry-after"] = str(e.retry_after)
    return answer
