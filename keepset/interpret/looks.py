"""Where the network looked in the pictures it is most wrong about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from keepset.images.heat import laid_over
from keepset.images.pixels import decode
from keepset.interpret.thumbs import BROKEN, data_uri
from keepset.models import ModelRecord
from keepset.predict.model import load
from keepset.workspace import Workspace

__all__ = ["where_it_looked"]


def where_it_looked(
    ws: Workspace, record: ModelRecord, images: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """For the class predicted of each of the ``images`` (cards): these, with the names of two pictures, as the network saw it
    (``crop``) and under its ``heat``; and these pictures as data: URIs.

    An image that cannot be read any more has ``"readable": False``. Raises ``ModelError`` if the model was not exported, or
    cannot tell.
    """
    model = load(ws.models / record.id)
    rows: list[dict[str, Any]] = []
    pictures: dict[str, str] = {}
    for card in images:
        sha = card["sha256"]
        row = {"crop": f"crop {sha}", "heat": f"heat {sha}"}
        try:
            pixels = model.prepare(decode(ws.blob(sha).read_bytes(), shortest=record.preprocess.resize))
        except BROKEN:
            rows.append(card | {"readable": False})
            continue
        crop = Image.fromarray(pixels)
        warm = laid_over(crop, model.heat(pixels, card["predicted"]), (0, 0, *crop.size))
        pictures |= {row["crop"]: data_uri(crop), row["heat"]: data_uri(warm)}
        rows.append(card | row | {"readable": True})
    return rows, pictures
