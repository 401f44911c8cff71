"""Every number of the report, as plain data."""

from __future__ import annotations

from typing import Any

from keepset import card
from keepset.config import RunConfig
from keepset.interpret.cleaning import what_cleaning_bought
from keepset.interpret.comparing import before_and_after
from keepset.interpret.diagnosis import diagnose
from keepset.interpret.doubts import reviewed, still_wrong
from keepset.interpret.elsewhere import elsewhere
from keepset.interpret.metrics import confusion, per_class, reliability
from keepset.interpret.mistakes import confused_pairs, with_names, worst
from keepset.interpret.scored import Predictions, Scored, read_predictions
from keepset.interpret.verdict import verdict
from keepset.models import ModelRecord
from keepset.reasons import Split
from keepset.train.results import measure
from keepset.workspace import Workspace

__all__ = ["gather"]

MEASURED_ON = {
    "valid": "the validation images, which the kept model did not learn from; they did choose between the contenders "
    "and set the temperature, so this is slightly flattering",
    "test": "the test images, which nothing was learned from or chosen by",
    "cv": "all images, each by a linear head that did not see its fold; it is the error of the linear head, not of a "
    "fine-tuned network",
}
"""What each figure was measured on, in words: the report says it beside the figure."""


def gather(ws: Workspace, config: RunConfig, record: ModelRecord) -> dict[str, Any]:
    """All facts but ``gain.more_or_cleaner`` and what the report makes of them. Raises ``ModelError`` or ``ManifestError``."""
    predictions = read_predictions(ws, record)
    yardstick = predictions.model(Split.VALID)
    facts: dict[str, Any] = {
        "name": ws.name, "classes": list(record.classes), "model": _model(record),
        "changed_classes": sorted(set(config.labels) ^ set(record.classes)),
        "metrics": _metrics(predictions, record, yardstick), "confusion": confusion(yardstick),
        "per_class": per_class(yardstick), "pairs": confused_pairs(yardstick), "top_losses": worst(yardstick),
        "reliability": reliability(yardstick), "history": list(record.history), "lr_find": dict(record.lr_find),
        "before_after": before_and_after(ws, record.id), "dataset": card.facts(ws, record.dataset_revision),
        "review": reviewed(ws, record), "cleaning": what_cleaning_bought(ws, record), "errors_left": still_wrong(ws, record), "next_site": None,
        "looks": None, "left_out": [],
    }  # fmt: skip
    facts["elsewhere"] = elsewhere(ws, predictions)
    unseen = facts["elsewhere"]["unseen"]
    facts["next_site"] = unseen if unseen["error"] is not None and not unseen["not_counted"] else None
    with_names(ws, facts)
    facts["diagnosis"] = diagnose(facts)
    facts["verdict"] = verdict(facts)
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
    """Measured here from the predictions; what else the training recorded is passed on as it is."""
    parts = {"test": predictions.model(Split.TEST), "valid": yardstick, "cv": predictions.cross_validated()}
    found = {k: measure(s.probs, s.given) if len(s) else {"n": 0} for k, s in parts.items() if len(s) or k == "valid"}
    others = {k: dict(v) for k, v in record.metrics.items() if k not in parts and isinstance(v, dict)}
    return {k: {"from": MEASURED_ON.get(k, ""), **m} for k, m in {**found, **others}.items()}
