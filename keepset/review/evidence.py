"""Everything that is known of the active images, in one place: what candidates are found from."""

from __future__ import annotations

import functools
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import ModelError
from keepset.inbox import WAITING, Correction, pending, strangers
from keepset.models import ModelRecord, list_models
from keepset.review import memory
from keepset.review.rows import ManifestRow, Rows, read_rows
from keepset.workspace import Workspace

__all__ = ["Evidence", "gather"]

_OF_IMAGES = (
    "sha256", "width", "height", "bytes", "format", "entropy", "group_id", "dup_of", "dup_kind",
    "copies", "other_labels", "source", "dup_how", "url",
)  # fmt: skip
_OF_DATA = ("sha256", "label", "other_labels", "split", "group_id", "dup_of", "dup_kind", "active", "changed_by")
_OF_PREDICTIONS = ("sha256", "cv_predicted", "cv_probs")


@dataclass(frozen=True)
class Evidence:
    """The active images of the current revision, and what a model, people and earlier batches say of them.

    ``rows`` are data-set rows (columns ``_OF_DATA``) in manifest order, with their duplicate groups as they are now;
    ``images`` and ``predictions`` (columns ``_OF_IMAGES`` and ``_OF_PREDICTIONS``) may lack an image of them, or hold
    others; ``predictions`` lacks exact duplicates and images that were added after training.
    ``record`` is the model and its order of classes; ``labels`` is every class that an image may get; ``waiting`` are rows of
    the inbox by sha256, not active before a person has decided about them; ``strangers`` is how many pictures users corrected that the data set does not hold.
    """

    ws: Workspace
    revision: int
    dataset_hash: str
    record: ModelRecord
    predictions_hash: str
    labels: tuple[str, ...]
    rows: Rows
    images: Rows
    predictions: Rows
    corrections: Mapping[str, Correction]
    past: memory.Past
    strangers: int
    waiting: Mapping[str, ManifestRow] = field(default_factory=dict)

    def fingerprint(self, version: int, asked: Mapping[str, Any] | None = None) -> str:
        """16 hex digits of the revision and the model, of users' corrections that are not decided yet, and of what was
        ``asked`` for beyond an ordinary batch."""
        parents = {"dataset": self.dataset_hash, "predictions": self.predictions_hash}
        pending = sorted((c.sha256, c.label) for c in self.corrections.values())
        facts: dict[str, Any] = {"model": self.model_id} | ({"corrections": pending} if pending else {})
        return manifests.fingerprint("review", parents, facts | dict(asked or {}), version)

    @property
    def model_id(self) -> str:
        return self.record.id

    @property
    def classes(self) -> tuple[str, ...]:
        """The order of the model's outputs."""
        return self.record.classes

    @functools.cached_property
    def dataset(self) -> Mapping[str, ManifestRow]:
        """The rows that may be candidates by sha256: the active ones, and those of the inbox that wait."""
        return ChainMap(dict(self.waiting), self.rows)  # type: ignore[arg-type]

    @functools.cached_property
    def copies(self) -> dict[str, list[ManifestRow]]:
        """Active copies of one picture, two or more, the best first; by the sha256 of what they are copies of.

        Best is the picture that the others are copies of (``dup_of``); if it is gone, the largest picture, then file.
        """
        found: dict[str, list[ManifestRow]] = {}
        for row in self.rows.where(pc.is_valid(self.rows.table["dup_of"])):
            found.setdefault(row["dup_of"], []).append(row)
        for best, rows in found.items():
            if best in self.rows and self.rows[best]["dup_of"] is None:
                rows.append(self.rows[best])
        return {best: sorted(rows, key=self._worse) for best, rows in found.items() if len(rows) > 1}

    def _worse(self, row: ManifestRow) -> tuple[Any, ...]:
        image = self.images.get(row["sha256"], {})
        pixels = (image.get("width") or 0) * (image.get("height") or 0)
        return row["dup_of"] is not None, -pixels, -(image.get("bytes") or 0), row["sha256"]

    def prediction(self, sha: str) -> ManifestRow | None:
        """What the model says of an image; of an exact copy, what it says of the better one."""
        better = self.dataset[sha]["dup_of"]
        return self.predictions.get(sha) or (self.predictions.get(better) if better else None)

    def given_probability(self, sha: str) -> float:
        """Out-of-sample probability of the label that the image has; where no model saw it, all are as likely."""
        p, label = self.prediction(sha), self.dataset[sha]["label"]
        if p is None:
            return 1.0 / len(self.classes)
        return float(p["cv_probs"][self.classes.index(label)]) if label in self.classes else 0.0


def gather(ws: Workspace, config: RunConfig) -> Evidence:
    """Read the manifests. Raises ``ManifestMissing`` or, if nothing was trained yet, ``ModelError``."""
    data = ws.newest()
    header = manifests.read_header(data)
    record = _model(ws, header.content_hash)
    path = ws.models / record.id / "predictions.parquet"
    images, known = read_rows(ws.images, "images", _OF_IMAGES), read_rows(data, "dataset", _OF_DATA)
    changed = known.table["changed_by"]
    rows = Rows(_regrouped(known.table.filter(known.table["active"]), images))
    waiting = {r["sha256"]: r for r in known.where(pc.equal(changed, WAITING)) if not r["active"]}
    past = memory.recall(ws, known.where(pc.starts_with(changed, "restore:")))
    return Evidence(
        ws=ws,
        revision=int(header.extra["revision"]),
        dataset_hash=header.content_hash,
        record=record,
        predictions_hash=manifests.read_header(path).content_hash,
        labels=config.labels,
        rows=rows,
        images=images,
        predictions=read_rows(path, "predictions", _OF_PREDICTIONS),
        corrections=pending(ws, ChainMap(waiting, rows), past),  # type: ignore[arg-type]
        past=past,
        strangers=strangers(ws, known),
        waiting=waiting,
    )


def _regrouped(rows: pa.Table, images: Rows) -> pa.Table:
    """The rows with the duplicate groups as they are now: later images may have joined, or tied two groups."""
    places = images.places(rows["sha256"].to_pylist())
    now = images.table.take(pa.array(places, mask=places < 0))
    known = pc.is_valid(now["group_id"])
    for name in ("group_id", "dup_of", "dup_kind"):
        column = pc.if_else(known, now[name], rows[name])
        rows = rows.set_column(rows.column_names.index(name), name, column)
    return rows


def _model(ws: Workspace, dataset_hash: str) -> ModelRecord:
    """The newest model of this very revision; else the promoted one; else the newest."""
    records = list_models(ws)
    if not records:
        raise ModelError("No model was trained yet, so nothing can be reviewed.", "Run `keepset train` first.")
    mine = [r for r in records if r.dataset_hash == dataset_hash]
    promoted = [r for r in records if r.id == ws.promoted()]
    return (mine or promoted or records)[-1]
