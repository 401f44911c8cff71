"""Every number of the report, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keepset import card, manifests
from keepset.config import RunConfig
from keepset.interpret.comparing import before_and_after
from keepset.interpret.diagnosis import diagnose
from keepset.interpret.elsewhere import elsewhere
from keepset.interpret.metrics import confusion, measure, per_class, reliability
from keepset.interpret.mistakes import confused_pairs, top_losses
from keepset.interpret.scored import Predictions, Scored, read_predictions
from keepset.models import ModelRecord
from keepset.reasons import Split
from keepset.stages import Progress
from keepset.text import many
from keepset.workspace import Workspace

__all__ = ["Extras", "add_extras", "gather", "learned_features"]


MEASURED_ON = {
    "valid": "the validation images, which the kept model did not learn from; they did choose between the contenders "
    "and set the temperature, so this is slightly flattering",
    "test": "the test images, which nothing was learned from or chosen by",
    "cv": "all images, each by a linear head that did not see its fold; it is the error of the linear head, not of a "
    "fine-tuned network",
}
"""What each figure was measured on, in words: the report says it beside the figure."""


@dataclass(frozen=True)
class Extras:
    """What is only made when asked for, since it takes a while."""

    grad_cam: bool = False
    data_size: bool = False


def gather(ws: Workspace, config: RunConfig, record: ModelRecord) -> dict[str, Any]:
    """All facts but the extras. Raises ``ModelError`` or ``ManifestError``."""
    predictions = read_predictions(ws, record)
    yardstick = predictions.model(Split.VALID)
    facts: dict[str, Any] = {
        "name": ws.name, "classes": list(record.classes), "model": _model(record),
        "changed_classes": sorted(set(config.labels) ^ set(record.classes)),
        "metrics": _metrics(predictions, record, yardstick), "confusion": confusion(yardstick),
        "per_class": per_class(yardstick), "pairs": confused_pairs(yardstick), "top_losses": top_losses(yardstick),
        "reliability": reliability(yardstick), "history": list(record.history), "lr_find": dict(record.lr_find),
        "before_after": before_and_after(ws, record.id), "dataset": card.facts(ws, record.dataset_revision),
        "data_size": None, "looks": None,
    }  # fmt: skip
    facts["elsewhere"] = elsewhere(ws, predictions)
    facts["next_site"] = facts["elsewhere"]["unseen"] if facts["elsewhere"]["unseen"]["error"] is not None else None
    facts["diagnosis"] = diagnose(facts)
    facts["verdict"] = _verdict(facts)
    return facts


def _model(record: ModelRecord) -> dict[str, Any]:
    spec = record.preprocess
    return {
        "id": record.id, "arch": record.arch, "weights": record.weights, "winner": record.winner,
        "candidates": dict(record.candidates), "seed": record.seed, "threads": record.threads,
        "device": record.device, "revision": record.dataset_revision, "dataset_hash": record.dataset_hash,
        "temperature": record.temperature, "created_at": record.created_at, "seconds": record.seconds,
        "config": dict(record.config), "ood": dict(record.ood),
        "preprocess": {"resize": spec.resize, "crop": spec.crop, "mean": list(spec.mean), "std": list(spec.std),
                       "interpolation": spec.interpolation},
    }  # fmt: skip


def _metrics(predictions: Predictions, record: ModelRecord, yardstick: Scored) -> dict[str, Any]:
    """Measured here from the predictions, with intervals; what else the training recorded is passed on as it is."""
    parts = {"test": predictions.model(Split.TEST), "valid": yardstick, "cv": predictions.cross_validated()}
    found = {k: measure(s, record.seed) for k, s in parts.items() if len(s) or k == "valid"}
    others = {k: dict(v) for k, v in record.metrics.items() if k not in parts and isinstance(v, dict)}
    return {k: {"from": MEASURED_ON.get(k, ""), **m} for k, m in {**found, **others}.items()}


def learned_features(ws: Workspace, record: ModelRecord) -> Any:
    """What the curve over the number of images is made of: a ``DataSize``. Raises ``ModelError``."""
    from keepset.interpret.datasize import DataSize
    from keepset.models.features import ModelFeatures

    found = ModelFeatures.of(ws, record.id)
    table = manifests.read(ws.dataset(record.dataset_revision), "dataset").table
    columns = (table.column(k).to_pylist() for k in ("sha256", "label", "fold"))
    known = {sha: (label, fold) for sha, label, fold in zip(*columns, strict=True)}
    rows = [known[s] for s in found.sha256]
    labels = np.array([record.classes.index(label) for label, _ in rows])
    return DataSize(found.all(), labels, np.array([fold for _, fold in rows]), len(record.classes), record.seed)


def add_extras(
    ws: Workspace, record: ModelRecord, facts: dict[str, Any], extras: Extras, progress: Progress
) -> dict[str, str]:
    """Put the extras into ``facts``; returns the pictures that were drawn for them, as data: URIs by name."""
    if extras.data_size:
        from keepset.interpret.datasize import data_size_curve

        facts["data_size"] = data_size_curve(learned_features(ws, record), progress)
    if extras.grad_cam:
        from keepset.interpret.cam_pictures import where_it_looked

        looks = where_it_looked(ws, record, facts["top_losses"], progress)
        facts["looks"] = looks.rows
        return looks.pictures
    return {}


def _verdict(facts: dict[str, Any]) -> str:
    """On the test images if there are any: nothing was chosen by them."""
    metrics = facts["metrics"]
    part = "test" if metrics.get("test", {}).get("n") else "valid"
    v, words = metrics[part], {"valid": "held-out", "test": "test"}[part]
    if not v.get("n"):
        return "There are no held-out pictures, so nothing can be said about this model."
    unseen = ", ".join(f"'{c['label']}'" for c in facts["per_class"] if not c["n"])
    missing = f" There are no {words} pictures of {unseen}, so mistakes there are not counted." if unseen else ""
    if v["errors"] == 0:
        return f"No mistakes on {many(v['n'], f'{words} picture')}. The true error could still be up to {100 * v['high']:.0f}\u00a0%.{missing}"
    text = f"Right on {v['n'] - v['errors']} of {many(v['n'], f'{words} picture')} ({100 * (1 - v['error_rate']):.1f}\u00a0%; "
    text += f"likely {100 * (1 - v['high']):.0f}–{100 * (1 - v['low']):.0f}\u00a0%).{missing}"
    worst = next((c for c in facts["per_class"] if c["f1"] is not None), None)
    if worst is not None and worst["f1"] < 1:
        text += f" Hardest class: {worst['label']}."
    return text
