"""What a forecast starts from: a revision of the data set with the features of its pictures, and the labels under some marks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset import manifests
from keepset.clean.applying import edited
from keepset.errors import ModelError, ReviewError
from keepset.forecast.heads import OUT, Heads, Known, retrained, rows_of
from keepset.machine.remembered import remembered
from keepset.models import ModelRecord, list_models
from keepset.models.features import ModelFeatures
from keepset.reasons import Split
from keepset.review import Batch
from keepset.train import check, usable
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

__all__ = ["MOST", "Marked", "Start", "marked", "model_for"]

MOST = 100_000
"""Pictures of a data set up to which a forecast is made: it takes some seconds then, and 400 MB."""
_COLUMNS = ("sha256", "label", "split", "fold", "active", "dup_of", "dup_kind")


@dataclass(frozen=True)
class Start:
    """A revision before the marks: its pictures that the model knows, their classes ``was`` [n] (``OUT``: not in use), and what
    the head says now."""

    shas: list[str]
    known: Known
    valid: Bools
    was: Ints
    heads: Heads


@dataclass(frozen=True)
class Marked:
    """``now`` [n]: the classes after the marks. ``changed``: images that they change; ``unseen``: pictures in use that the model
    has no features of."""

    start: Start
    now: Ints
    changed: frozenset[str]
    unseen: int


def model_for(batch: Batch, data: Path) -> ModelRecord:
    """The model whose features are taken: the newest of this revision, else the batch's, else the newest that has any.

    Raises ``ModelError`` if none has.
    """
    ws, dataset = batch.ws, manifests.read_header(data).content_hash
    models = list_models(ws)[::-1]
    models.sort(key=lambda m: (m.dataset_hash != dataset, m.id != batch.record.model_id))
    trouble = None
    for record in models:
        try:
            ModelFeatures.of(ws, record.id)
        except ModelError as e:
            trouble = trouble or e
        else:
            return record
    raise trouble or ModelError("There is no trained model.", "Run `keepset train`.")


def marked(ws: Workspace, data: Path, model_id: str, wanted: Mapping[str, Mapping[str, Any]]) -> Marked:
    """The decisions ``wanted`` on the revision in ``data``. Raises ``TrainingError`` if no model could be trained then."""
    labels = ws.config().labels
    if manifests.read_header(data).rows > MOST:
        raise ReviewError(f"Forecasts are made for up to {MOST:,} pictures; this data set has more.")
    rows: list[dict[str, Any]] = list(manifests.each(data, "dataset", _COLUMNS))
    changes = edited(data, wanted, "")
    after = [r | vars(changes[r["sha256"]]) if r["sha256"] in changes else r for r in rows]
    used = usable(after)
    check(used, labels)
    start = _start(ws, data, model_id, labels)
    known = {r["sha256"]: labels.index(r["label"]) for r in used}
    now = _numbers(start.shas, known)
    _needs_training(now, start.known.learn, model_id)
    return Marked(start, now, frozenset(changes), len(known.keys() - set(start.shas)))


def _needs_training(classes: Ints, learn: Bools, model_id: str) -> None:
    if not (classes[learn] != OUT).any():
        raise ModelError(f"Model {model_id[:8]} has seen none of the training pictures.", "Run `keepset train`.")


@remembered(2)
def _start(ws: Workspace, data: Path, model_id: str, labels: tuple[str, ...]) -> Start:
    """A revision and a model never change, so a cache cannot go stale."""
    features, compressed = rows_of(ws, model_id)
    place = {sha: i for i, sha in enumerate(features.sha256)}
    rows: list[dict[str, Any]] = list(manifests.each(data, "dataset", _COLUMNS))
    at = [place.get(r["sha256"], place.get(r["dup_of"], -1) if r["dup_kind"] == "exact" else -1) for r in rows]
    mine = [r for r, i in zip(rows, at, strict=True) if i >= 0]
    split = np.array([r["split"] for r in mine])
    numbers = {r["sha256"]: labels.index(r["label"]) for r in usable(rows) if r["label"] in labels}
    shas = [r["sha256"] for r in mine]
    folds = np.array([r["fold"] for r in mine])
    known = Known(compressed[[i for i in at if i >= 0]], folds, split == Split.TRAIN, len(labels))
    was = _numbers(shas, numbers)
    _needs_training(was, known.learn, model_id)
    return Start(shas, known, split == Split.VALID, was, retrained(known, was))


def _numbers(shas: list[str], classes: Mapping[str, int]) -> Ints:
    return np.array([classes.get(s, OUT) for s in shas], np.int64)
