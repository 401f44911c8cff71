"""One picture of a batch: why it is shown, what the model says, what it looks like, and its copies side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from keepset import manifests
from keepset.errors import ManifestError, ModelError
from keepset.models import load_record
from keepset.review import Batch, BatchStatus, load_batch
from keepset.review.similar import nearest
from keepset.web.cards import FEW, facts, group_of
from keepset.web.pages import page
from keepset.web.refusals import refusal
from keepset.workspace import Workspace

__all__ = ["show"]

NEAR = 4
"""Similar pictures shown per class."""
MOST = 6
"""Classes whose probability is shown, the given one included."""


def show(ws: Workspace, request: Request) -> Response:
    """The page of one picture; with ``?part`` only what the full view of the grid puts beside it."""
    batch = load_batch(ws, request.path_params["batch_id"])
    sha = request.path_params["sha"]
    candidates = batch.rows()
    if sha not in candidates:
        return refusal(request, 404, "no_candidate", "This picture is not in the batch.")
    row, part = candidates[sha], "part" in request.query_params
    return page(
        "about.html" if part else "candidate.html", ws, batch=batch, r=row, members=group_of(batch, sha), images=facts(batch, [row]),
        probabilities=_probabilities(batch, row), near=_near(batch, row), candidates=candidates,
        marks=batch.marks(), version=batch.version, open=batch.status == BatchStatus.OPEN, labels=batch.labels, few=FEW,
    )  # fmt: skip


def _probabilities(batch: Batch, row: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Class and probability, the likeliest first, by models that have not seen the picture; the given class is among
    them. Empty if the model is gone or came before the picture."""
    ws, model = batch.ws, batch.record.model_id
    columns = ("sha256", "cv_probs")
    try:
        classes = load_record(ws, model).classes
        found = manifests.picked(ws.models / model / "predictions.parquet", "predictions", columns, [row["sha256"]])
        values: list[float] = next((r["cv_probs"] for r in found), [])
    except (ModelError, ManifestError):
        return []
    ranked = sorted(zip(classes, values, strict=False), key=lambda pair: -pair[1])
    shown = ranked[:MOST]
    given = [pair for pair in ranked[MOST:] if pair[0] == row["label"]]
    return [*shown[: MOST - len(given)], *given]


def _near(batch: Batch, row: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The most similar pictures of the given class, and of the one that the picture looks like."""
    asked = dict.fromkeys((row["label"], row["suggested_label"] or row["predicted"]))
    found = [(label, nearest(batch, row["sha256"], label, NEAR)) for label in asked]
    return [(label, shas) for label, shas in found if shas]
