"""What the model looks at in a picture of a batch: the picture in grey under a heat map, by Grad-CAM, when it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keepset.errors import ModelError
from keepset.images.pixels import Preprocess, decode
from keepset.models import load_record
from keepset.predict.queueing import Busy
from keepset.review import Batch, load_batch
from keepset.web.cam_questions import CamQuestion, CamQuestions, HeatRows
from keepset.web.corrections import again, told
from keepset.web.pictures import FOREVER, decoding, encoded
from keepset.web.refusals import refusal
from keepset.workspace import Workspace

__all__ = ["HeatSite"]

LARGEST = 1000
"""Longer side, px: a heat map has no fine detail."""
AHEAD = 40
"""Pictures of the batch that are looked at ahead, after the one that was asked for."""


class HeatSite:
    """The route of one workspace. ``questions.close()`` ends its process."""

    def __init__(self, ws: Workspace) -> None:
        self.ws, self.questions = ws, CamQuestions(ws)

    def routes(self) -> list[Route]:
        return [Route("/batches/{batch_id}/pictures/{sha}/heat.jpg", self._show)]

    async def _show(self, request: Request) -> Response:
        """For the predicted class; with ``?for=given`` for the label that the picture has."""
        batch = await run_in_threadpool(load_batch, self.ws, request.path_params["batch_id"])
        sha = request.path_params["sha"]
        if sha not in batch.rows():
            return refusal(request, 404, "no_candidate", "This picture is not in the batch.")
        row, model = batch.rows()[sha], batch.record.model_id
        label = row["label" if request.query_params.get("for") == "given" else "predicted"]
        record = await run_in_threadpool(load_record, self.ws, model)
        if label not in record.classes:
            return refusal(request, 404, "no_class", f"The model does not know the class '{label}'.")
        question = CamQuestion(model, sha, label)
        following = _next(batch, row["rank"])
        rows = await run_in_threadpool(self.questions.known, question)
        if rows is not None:
            self.questions.look_ahead(following)
        else:
            try:
                asked = await run_in_threadpool(self.questions.ask, question, following)
            except Busy as e:
                return again(refusal(request, *told(e)), e)
            rows = await asyncio.wrap_future(asked)
        data = await run_in_threadpool(_drawn, self.ws, sha, rows, record.preprocess)
        found = {"x-keepset-heat": "some" if any(map(any, rows)) else "none"}
        return Response(data, media_type="image/jpeg", headers=FOREVER | found)


def _next(batch: Batch, rank: int) -> Iterator[CamQuestion]:
    """The pictures after ``rank`` that are proposed, or drawn at random among these."""
    table = batch.rows().table.select(["sha256", "predicted"])
    front = batch.proposed + batch.record.drawn
    following = table.slice(rank + 1, max(0, min(AHEAD, front - rank - 1)))
    for row in following.to_pylist():
        yield CamQuestion(batch.record.model_id, row["sha256"], row["predicted"])


def _drawn(ws: Workspace, sha: str, rows: HeatRows, spec: Preprocess) -> bytes:
    import numpy as np

    from keepset.images.heat import laid_over, seen_part

    try:
        with decoding:
            image = decode(ws.blob(sha).read_bytes(), shortest=LARGEST)
            image.thumbnail((LARGEST, LARGEST))
            heat = np.array(rows, np.float32) / 255
            return encoded(laid_over(image, heat, seen_part(image.size, spec)))
    except (OSError, ValueError, SyntaxError) as e:  # purged, or damaged
        raise ModelError("The file of this picture is gone or damaged.") from e
