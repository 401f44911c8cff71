"""Everything that is known of the active images, in one place: what candidates are found from."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import ModelError
from keepset.inbox import WAITING
from keepset.inbox.corrections import Correction, pending, strangers
from keepset.models import ModelRecord, list_models
from keepset.review import memory
from keepset.workspace import Workspace

__all__ = ["Evidence", "gather"]

Row = dict[str, Any]
_OF_IMAGES = (
    "sha256", "width", "height", "bytes", "format", "brightness", "sharpness", "entropy", "group_id", "dup_of", "dup_kind",
    "copies", "other_labels", "source", "dup_how", "url",
)  # fmt: skip
_OF_DATA = (
    "sha256", "label", "other_labels", "split", "group_id", "dup_of", "dup_kind", "active", "changed_by",
)  # fmt: skip
_OF_PREDICTIONS = ("sha256", "cv_predicted", "cv_probs")


@dataclass(frozen=True)
class Evidence:
    """The active images of the current revision, and what a model, people and earlier batches say of them.

    ``rows`` are data-set rows (columns ``_OF_DATA``) in manifest order, with their duplicate groups as they are now;
    the other maps go by sha256 and may lack an image (``images`` and ``predictions`` have the columns ``_OF_IMAGES``
    and ``_OF_PREDICTIONS`` only; ``predictions`` lacks exact duplicates and images that were added after training).
    ``record`` is the model and its order of classes; ``labels`` is every class an image may have; ``waiting`` are rows of the inbox, not active before a person has decided
    about them; ``strangers`` is how many pictures users corrected that the data set does not hold.
    """

    ws: Workspace
    revision: int
    dataset_hash: str
    record: ModelRecord
    predictions_hash: str
    labels: tuple[str, ...]
    rows: list[Row]
    images: Mapping[str, Row]
    predictions: Mapping[str, Row]
    corrections: Mapping[str, Correction]
    past: memory.Past
    strangers: int
    waiting: list[Row] = field(default_factory=list)

    def fingerprint(self, version: int, *, everything: bool = False) -> str:
        """16 hex digits of the revision and the model, of users' corrections that are not decided yet, and of
        whether every image was asked for."""
        parents = {"dataset": self.dataset_hash, "predictions": self.predictions_hash}
        pending = sorted((c.sha256, c.label) for c in self.corrections.values())
        facts: dict[str, Any] = {"model": self.model_id} | ({"corrections": pending} if pending else {})
        facts |= {"everything": True} if everything else {}
        return manifests.fingerprint("review", parents, facts, version)

    @property
    def model_id(self) -> str:
        return self.record.id

    @property
    def classes(self) -> tuple[str, ...]:
        """The order of the model's outputs."""
        return self.record.classes

    @functools.cached_property
    def dataset(self) -> dict[str, Row]:
        """The rows that may be candidates by sha256: the active ones, and those of the inbox that wait."""
        return {r["sha256"]: r for r in [*self.rows, *self.waiting]}

    @functools.cached_property
    def copies(self) -> dict[str, list[Row]]:
        """Active copies of one picture, two or more, the best first; by the sha256 of what they are copies of.

        Best is the picture that the others are copies of (``dup_of``); if it is gone, the largest picture, then file.
        """
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row["dup_of"] or row["sha256"], []).append(row)
        return {best: sorted(rows, key=self._worse) for best, rows in found.items() if len(rows) > 1}

    def _worse(self, row: Row) -> tuple[Any, ...]:
        image = self.images.get(row["sha256"], {})
        pixels = (image.get("width") or 0) * (image.get("height") or 0)
        return row["dup_of"] is not None, -pixels, -(image.get("bytes") or 0), row["sha256"]

    def prediction(self, sha: str) -> Row | None:
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
    said = {r["sha256"]: r for r in manifests.each(path, "predictions", _OF_PREDICTIONS)}
    images = {r["sha256"]: r for r in manifests.each(ws.images, "images", _OF_IMAGES)}
    known = list(manifests.each(data, "dataset", _OF_DATA))
    rows = [_regrouped(r, images.get(r["sha256"])) for r in known if r["active"]]
    waiting = [r for r in known if r["changed_by"] == WAITING and not r["active"]]
    past = memory.recall(ws, known)
    active = {r["sha256"]: r for r in rows}
    return Evidence(
        ws=ws,
        revision=int(header.extra["revision"]),
        dataset_hash=header.content_hash,
        record=record,
        predictions_hash=manifests.read_header(path).content_hash,
        labels=tuple(sorted({*config.labels, *record.classes, *(r["label"] for r in rows)})),
        rows=rows,
        images=images,
        predictions={sha: r for sha, r in said.items() if sha in active},
        corrections=pending(ws, active | {r["sha256"]: r for r in waiting}, past),
        past=past,
        strangers=strangers(ws, {r["sha256"] for r in known}),
        waiting=waiting,
    )


def _regrouped(row: Row, image: Row | None) -> Row:
    """The row with the duplicate group as it is now: later images may have joined, or tied two groups."""
    if image is None or image["group_id"] is None:
        return row
    return row | {k: image[k] for k in ("group_id", "dup_of", "dup_kind")}


def _model(ws: Workspace, dataset_hash: str) -> ModelRecord:
    """The newest model of this very revision; else the promoted one; else the newest."""
    records = list_models(ws)
    if not records:
        raise ModelError(
            "No model was trained yet, so nothing can be reviewed.", "Run `keepset train` first."
        )
    mine = [r for r in records if r.dataset_hash == dataset_hash]
    promoted = [r for r in records if r.id == ws.promoted()]
    return (mine or promoted or records)[-1]
