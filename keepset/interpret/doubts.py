"""What the review doubts about the pictures that a model learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.forecast.heads import OUT
from keepset.models import ModelRecord
from keepset.reasons import Action
from keepset.review import Batch, errors_left, list_batches
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Doubts", "batch_of", "doubts_of", "reviewed", "still_wrong"]

LIKELY = 0.5
"""Chance from which a proposed change is taken for right."""


@dataclass(frozen=True)
class Doubts:
    """What the review proposes: by picture the ``chance`` that a person would act on it, and the class number it should have
    (``forecast.heads.OUT``: out of the data set), [n] each; chance 0 where nothing is proposed."""

    chance: npt.NDArray[np.float64]
    label: npt.NDArray[np.int64]

    @property
    def wrong(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.chance >= LIKELY)


def batch_of(ws: Workspace, record: ModelRecord) -> Batch | None:
    """The batch that the review opened by this model; None if nothing was to be reviewed."""
    mine = [b for b in list_batches(ws) if b.record.model_id == record.id]
    return min(mine, key=lambda b: (b.record.on_request, -b.record.number), default=None)


def doubts_of(ws: Workspace, record: ModelRecord, shas: Sequence[str]) -> Doubts:
    """For the pictures ``shas``; a picture that is only to be looked at is not doubted."""
    chance, label = np.zeros(len(shas)), np.full(len(shas), OUT)
    batch = batch_of(ws, record)
    if batch is not None:
        place, unasked = {s: i for i, s in enumerate(shas)}, batch.unproposed()
        for r in batch.candidates().rows():
            i = place.get(r["sha256"])
            if i is None or r["suggestion"] == Action.KEEP or r["sha256"] in unasked:
                continue
            chance[i] = r["score"]
            if r["suggestion"] == Action.RELABEL and r["suggested_label"] in record.classes:
                label[i] = record.classes.index(r["suggested_label"])
    return Doubts(chance, label)


def reviewed(ws: Workspace, record: ModelRecord) -> dict[str, Any] | None:
    """How many pictures the review proposed by this model, and how many of them it expects to be wrong."""
    batch = batch_of(ws, record)
    if batch is None or not batch.proposed:
        return None
    unasked = batch.unproposed()
    chances = [float(r["score"]) for r in batch.candidates().rows() if r["sha256"] not in unasked]
    return {"batch": batch.id, "proposed": len(chances), "expected": sum(chances)}


def still_wrong(ws: Workspace, record: ModelRecord) -> dict[str, Any] | None:
    """How many wrong pictures are left today, if this is known and the model is of the current revision."""
    left = errors_left(ws) if ws.revisions()[-1:] == [record.dataset_revision] else None
    if left is None:
        return None
    return {
        "at": datetime.now(UTC).date().isoformat(), "count": left.wrong, "low": left.low, "high": left.high, "found": left.found, "words": left.words, "advice": left.advice,
        "command": " ".join(left.command) or ("keepset web" if left.open_looks else ""),
    }  # fmt: skip
