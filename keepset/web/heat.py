"""What the model looks at in a picture of a batch: the picture in grey under a heat map, when it is asked for."""

from __future__ import annotations

import functools
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keepset.errors import ModelError
from keepset.images.heat import laid_over, seen_part
from keepset.images.pixels import decode
from keepset.machine.remembered import remembered
from keepset.predict.model import Predictor
from keepset.review import load_batch
from keepset.web.pictures import FOREVER, decoding, encoded
from keepset.web.refusals import refusal
from keepset.workspace import Workspace

__all__ = ["routes"]

LARGEST = 1000
"""Longer side, px: a heat map has no fine detail."""


def routes(ws: Workspace) -> list[Route]:
    return [Route("/batches/{batch_id}/pictures/{sha}/heat.jpg", functools.partial(_show, ws))]


def _show(ws: Workspace, request: Request) -> Response:
    """For the predicted class; with ``?for=given`` for the label that the picture has."""
    batch, sha = load_batch(ws, request.path_params["batch_id"]), request.path_params["sha"]
    if sha not in batch.rows():
        return refusal(request, 404, "no_candidate", "This picture is not in the batch.")
    label = batch.rows()[sha]["label" if request.query_params.get("for") == "given" else "predicted"]
    path = ws.models / batch.record.model_id / "model.onnx"
    if not path.exists():
        raise ModelError(
            "The model of this batch is not exported yet.", "Run `keepset run`, or wait until it has ended."
        )
    model = _loaded(path, path.stat().st_mtime_ns)
    with decoding:
        try:
            data = ws.blob(sha).read_bytes()
            image = decode(data, shortest=LARGEST)
            heat = model.heat(model.prepare(data), label)
        except (OSError, ValueError, SyntaxError) as e:  # purged, or damaged
            raise ModelError("The file of this picture is gone or damaged.") from e
        image.thumbnail((LARGEST, LARGEST))
        shown = encoded(laid_over(image, heat, seen_part(image.size, model.preprocess)))
    found = {"x-keepset-heat": "some" if heat.any() else "none"}
    return Response(shown, media_type="image/jpeg", headers=FOREVER | found)


@remembered(1)
def _loaded(path: Path, _stamp: int) -> Predictor:
    return Predictor(path)
