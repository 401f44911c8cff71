"""The most exact model that fits into a site, tried on held-out pictures before it is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepset import manifests
from keepset.errors import ModelError
from keepset.files import local
from keepset.models import ModelRecord
from keepset.models.intervals import wilson
from keepset.predict.model import Predictor
from keepset.reasons import Split
from keepset.site.smaller import Precision, variants
from keepset.workspace import Workspace

__all__ = ["Fitted", "fitted"]

TRIED = 200
"""Held-out pictures that a smaller model is tried on, at most."""
_KNOWN = {"box", "bilinear", "hamming", "bicubic", "lanczos"}
"""Interpolations that static/prepare.js can do."""


@dataclass(frozen=True)
class Fitted:
    """An ONNX file with ``OUTPUTS`` of ``smaller``; ``far`` and ``unsure_below``: the limits of unfamiliar and unsure."""

    model: bytes
    precision: Precision
    far: float
    unsure_below: float
    notes: tuple[str, ...]


def fitted(ws: Workspace, record: ModelRecord, path: Path, room: int) -> Fitted:
    """The exact model if it has no more than ``room`` bytes, else the next smaller one whose error on held-out pictures
    stays inside the interval of the exact one's. Raises ``ModelError`` if its pixels cannot be prepared in a browser.
    """
    import onnx

    predictor = Predictor(path)
    if predictor.preprocess.interpolation not in _KNOWN:
        raise ModelError(
            f"Pictures for {record.arch} are resized by '{predictor.preprocess.interpolation}', which the page cannot do.",
            "Train another [train] arch, for example lite0.",
        )
    last, trial = None, _Trial(ws, record, predictor)
    for precision, data in variants(onnx.load(local(path))):
        exact = precision == Precision.FLOAT32
        if not exact and not trial.passes(data):
            break
        last = Fitted(data, precision, predictor.far, predictor.unsure_below, () if exact else trial.notes(precision))
        if len(data) <= room:
            break
    if last is None:
        raise RuntimeError("there is always an exact variant")
    return last


class _Trial:
    """Tries smaller models on held-out pictures, whose answers by the exact model are in its predictions."""

    def __init__(self, ws: Workspace, record: ModelRecord, predictor: Predictor) -> None:
        self.ws, self.predictor = ws, predictor
        names = ("sha256", "label", "split", "predicted")
        rows = manifests.each(ws.models / record.id / "predictions.parquet", "predictions", names)
        held_out = sorted((r["sha256"], r["label"], r["predicted"]) for r in rows if r["split"] == Split.VALID)
        self.rows = [r for r in held_out if ws.blob(r[0]).exists()][:TRIED]
        self.changed = self.errors = 0
        self._pixels: list[Any] = []

    def passes(self, model: bytes) -> bool:
        found = self._classes(model)
        before = sum(label != said for _, label, said in self.rows)
        self.errors = sum(label != now for (_, label, _), now in zip(self.rows, found, strict=True))
        self.changed = sum(said != now for (_, _, said), now in zip(self.rows, found, strict=True))
        return not self.rows or self.errors / len(self.rows) <= wilson(before, len(self.rows))[1]

    def _classes(self, model: bytes) -> Sequence[str]:
        import onnxruntime as ort

        self._pixels = self._pixels or [
            self.predictor.prepare(self.ws.blob(sha).read_bytes()) for sha, _, _ in self.rows
        ]
        session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
        logits = [session.run(["logits"], {"pixels": p[None]})[0][0] for p in self._pixels]
        return [self.predictor.classes[int(x.argmax())] for x in logits]

    def notes(self, precision: Precision) -> tuple[str, ...]:
        if not self.rows:
            return (f"Weights are stored as {precision}, to be small; there was no held-out picture to try that on.",)
        return (
            f"Weights are stored as {precision}, to be small: {self.changed} of {len(self.rows)} held-out pictures get "
            "another class by that.",
        )
