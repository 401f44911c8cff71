"""The stage ``train``: from a revision of the data set to a finished model that knows how good it is.

A regularised linear head on the frozen networks is ready in seconds. Where it is often wrong, fine-tuning is tried too, and
of head, fine-tuned network and the mean of both the one with the lowest loss on the validation set is kept. This choice
and the temperature are made on the same images that ``metrics["valid"]`` reports, so it is slightly flattering.
``metrics["cv"]`` is of the linear head alone, over all images; its strength is the best of six on the folds of the training
images. The error rate of a later revision is compared on the same images (``keepset.models.promote``), which is what decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import TrainingError
from keepset.reasons import Split
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.text import many, share
from keepset.workspace import Workspace

__all__ = ["check", "train", "usable"]

VERSION = 7
"""Of the recipe: a model of another version is trained again, a checkpoint of another is not used."""


def train(ws: Workspace, config: RunConfig, *, progress: Progress = SILENT) -> StageResult:
    """Train on the current revision; ``outputs["model_id"]``. Raises ``TrainingError`` or ``ModelError``."""
    from keepset.machine import heap
    from keepset.train.shortage import told

    with heap.held(), told(), ws.lock("train", note=progress.note):
        return _train(ws, config, progress)


def _train(ws: Workspace, config: RunConfig, progress: Progress) -> StageResult:
    from keepset.train.weights import file_digest

    data = ws.current_dataset()
    facts = config.part("train", "seed") | {
        "labels": list(config.labels),
        "weights_file": file_digest(config.train.weights),
    }
    model_id = manifests.fingerprint("train", {"dataset": data.content_hash}, facts, VERSION)
    if all((ws.models / model_id / name).exists() for name in ("model.json", "predictions.parquet")):
        message = f"up to date: model {model_id} of revision {data.header.extra['revision']} is finished"
        return StageResult(Stage.TRAIN, False, message, {}, {"model_id": model_id})
    rows = usable(data.rows())
    check(rows, config.labels)
    from keepset.train.contenders import SPOKEN
    from keepset.train.recipe import Recipe

    record = Recipe(ws, config, model_id, data.header, rows, progress).run()
    valid = record.metrics["valid"]
    message = (
        f"model {model_id}: {many(valid['errors'], 'error')} in {many(valid['n'], 'validation image')} "
        f"({share(valid['error_rate'])}), kept the {SPOKEN[record.winner]}"
    )
    return StageResult(Stage.TRAIN, True, message, dict(valid), {"model_id": model_id})


def usable(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Active rows, without exact copies of an active better one: a picture counts once."""
    active = {r["sha256"] for r in rows if r["active"]}
    return [r for r in rows if r["active"] and not (r["dup_kind"] == "exact" and r["dup_of"] in active)]


def check(rows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> None:
    """Raise ``TrainingError`` for data that no classifier can be trained on."""
    strange = sorted({r["label"] for r in rows} - set(classes))
    if strange:
        raise TrainingError(
            f"Images are labelled '{strange[0]}', which is not a class of the run config.",
            "Put the class back into the config, or relabel or delete those images.",
        )
    for label in classes:
        n = sum(r["label"] == label and r["split"] == Split.TRAIN for r in rows)
        if n < 2:
            raise TrainingError(
                f"The class '{label}' has {n} training images.",
                "Add pictures of it (at least 2, better 50), or take the class out of the config.",
            )
    if not any(r["split"] == Split.VALID for r in rows):
        raise TrainingError(
            "There is no validation image.",
            "Add pictures and run again; if the split is given, add them to the validation folder or table. Or raise [split] "
            "valid and use a new workspace: images keep the side that they have.",
        )
