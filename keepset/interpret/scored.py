"""What a model said of its images, as columns: a million images take a few hundred bytes each, not kilobytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset import manifests
from keepset.errors import ManifestMissing, ModelError
from keepset.models import ModelRecord
from keepset.reasons import Split
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    Floats = npt.NDArray[Any]
    Ints = npt.NDArray[np.int64]

__all__ = ["Predictions", "Scored", "read_predictions"]


@dataclass(frozen=True)
class Scored:
    """Images of known class and what was said of them.

    ``given`` and ``predicted`` [n] are numbers into ``classes``; ``probs`` is [n, classes], ``losses`` [n] nats.
    """

    classes: tuple[str, ...]
    shas: list[str]
    given: Ints
    predicted: Ints
    probs: Floats
    losses: Floats

    def __len__(self) -> int:
        return len(self.shas)

    @property
    def wrong(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.given != self.predicted)

    def card(self, i: int) -> dict[str, Any]:
        """Image number ``i`` as the report shows it."""
        p = self.probs[i]
        return {
            "sha256": self.shas[i], "label": self.classes[self.given[i]], "loss": float(self.losses[i]),
            "predicted": self.classes[self.predicted[i]], "probability": float(p[self.predicted[i]]),
            "given_probability": float(p[self.given[i]]),
        }  # fmt: skip


@dataclass(frozen=True)
class Predictions:
    """A model's ``predictions.parquet``, checked against the model."""

    record: ModelRecord
    table: pa.Table

    def model(self, split: Split) -> Scored:
        """The kept model on one part of the split; in sample for the training part."""
        import pyarrow.compute as pc

        part = self.table.filter(pc.equal(self.table.column("split"), str(split)))
        return self._scored(part, "predicted", "model_probs", "loss")

    def cross_validated(self) -> Scored:
        """All images, each by a linear head that did not see its fold."""
        return self._scored(self.table, "cv_predicted", "cv_probs", "cv_loss")

    def _scored(self, part: pa.Table, predicted: str, probs: str, loss: str) -> Scored:
        classes = self.record.classes
        flat = part.column(probs).combine_chunks().flatten().to_numpy(zero_copy_only=False)
        if len(flat) != len(part) * len(classes):
            raise _strangers(self.record, f"hold {len(flat)} probabilities for {len(part)} images")
        return Scored(
            classes, part.column("sha256").to_pylist(), self._numbers(part.column("label")),
            self._numbers(part.column(predicted)), flat.reshape(len(part), len(classes)).astype(np.float64),
            part.column(loss).to_numpy().astype(np.float64),
        )  # fmt: skip

    def _numbers(self, column: pa.ChunkedArray) -> Ints:
        import pyarrow as pa
        import pyarrow.compute as pc

        found = pc.index_in(column, value_set=pa.array(self.record.classes, pa.string()))
        if found.null_count:
            strange = sorted(set(column.unique().to_pylist()) - set(self.record.classes))
            raise _strangers(self.record, f"name the class '{strange[0]}', which the model does not know")
        numbers: Ints = found.to_numpy().astype(np.int64)
        return numbers


def read_predictions(ws: Workspace, record: ModelRecord) -> Predictions:
    """Raises ``ModelError`` if they are missing or do not belong to the model, ``ManifestError`` if damaged."""
    path = ws.models / record.id / "predictions.parquet"
    try:
        found = manifests.read(path, "predictions")
    except ManifestMissing as e:
        raise ModelError(
            f"The model {record.id} has no predictions: {path} is missing.",
            "Restore that file, or delete the model's folder and run `keepset train`, then `keepset interpret`.",
        ) from e
    return Predictions(record, found.table)


def _strangers(record: ModelRecord, what: str) -> ModelError:
    return ModelError(
        f"The predictions of model {record.id} {what}.",
        "Its files do not belong together: delete that model's folder and run `keepset train`.",
    )
