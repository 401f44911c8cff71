"""How good a data set and its model are now: pictures by class and side, right answers, the error over revisions."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from keepset import manifests
from keepset.errors import KeepsetError, ManifestError
from keepset.files import read_json
from keepset.models import ModelRecord, list_models
from keepset.reasons import Split
from keepset.review.revisions import Contents, contents
from keepset.workspace import Workspace

__all__ = ["ErrorPoint", "ModelHealth", "data_health", "error_curve", "model_health"]

POINTS = 12
"""Revisions in the curve, the newest ones."""


@dataclass(frozen=True)
class ModelHealth:
    """The model in use: ``right`` of ``n`` held-out pictures, the 95 % interval of that share, the hardest class.

    ``stale``: the data set has changed since it was trained.
    """

    record: ModelRecord
    right: int
    n: int
    low: float
    high: float
    hardest: str
    stale: bool

    @property
    def share(self) -> float:
        return self.right / self.n if self.n else 0.0


@dataclass(frozen=True)
class ErrorPoint:
    """``wrong`` of ``n`` held-out pictures, by the model trained on a revision, under the labels of a later one.

    ``then``: the share that was wrong when it was trained, on the pictures and under the labels of then.
    """

    revision: int
    model: str
    wrong: int
    n: int
    then: float

    @property
    def rate(self) -> float:
        return self.wrong / self.n


def data_health(ws: Workspace) -> Contents | None:
    """Of the current revision; None before the first."""
    numbers = ws.revisions()
    return contents(ws, numbers[-1]) if numbers else None


def model_health(ws: Workspace) -> ModelHealth | None:
    """Of the model in use; None before the first."""
    found = next((m for m in list_models(ws) if m.id == ws.promoted()), None)
    if found is None:
        return None
    v = found.metrics.get("test") or found.metrics.get("valid") or {}
    n, errors = int(v.get("n") or 0), int(v.get("errors") or 0)
    stale = manifests.read_header(ws.newest()).content_hash != found.dataset_hash
    low, high = 1 - float(v.get("high") or 1), 1 - float(v.get("low") or 0)
    return ModelHealth(found, n - errors, n, low, high, _hardest(ws, found.id), stale)


def _hardest(ws: Workspace, model_id: str) -> str:
    """The class that the report names first; empty if the model makes no mistake, or has no report yet."""
    try:
        classes = read_json(ws.reports / model_id / "report.json")["per_class"]
    except (KeepsetError, FileNotFoundError, KeyError, TypeError):
        return ""
    scored = [c for c in classes if c.get("f1") is not None]
    return str(scored[0]["label"]) if scored and scored[0]["f1"] < 1 else ""


# -- the error over revisions ----------------------------------------------------------------------


def error_curve(ws: Workspace, until: int | None = None) -> tuple[ErrorPoint, ...]:
    """One point per revision that a model was trained on, all measured on the same held-out pictures, under the labels of
    the revision ``until`` (default: the newest), which is the last point.

    Measured as they were then, a wrong label would count as a mistake of an early model, and a mended one not.
    """
    last = until or max(ws.revisions(), default=0)
    newest = {m.dataset_revision: (m.id, _then(m)) for m in list_models(ws) if m.dataset_revision <= last}
    models = tuple(sorted(newest.items()))[-POINTS:]
    return _curve(ws, models, last) if models and last else ()


def _then(model: ModelRecord) -> float:
    return float(model.metrics.get("valid", {}).get("error_rate") or 0.0)


@functools.lru_cache(maxsize=4)
def _curve(ws: Workspace, models: tuple[tuple[int, tuple[str, float]], ...], revision: int) -> tuple[ErrorPoint, ...]:
    """Models and revisions never change, so a cache cannot go stale."""
    said = [(number, model, _held_out(ws, model[0])) for number, model in models]
    said = [s for s in said if s[2]]
    held_out = set.intersection(*(set(s[2]) for s in said)) if said else set()
    today = manifests.picked(ws.dataset(revision), "dataset", ("sha256", "label", "active"), held_out)
    truth = {r["sha256"]: r["label"] for r in today if r["active"]}
    return tuple(
        ErrorPoint(number, model[0], sum(predicted[s] != truth[s] for s in truth), len(truth), model[1])
        for number, model, predicted in said
        if truth
    )


def _held_out(ws: Workspace, model: str) -> dict[str, str]:
    """What a model says of the validation pictures; empty if that is gone."""
    path, columns = ws.models / model / "predictions.parquet", ("sha256", "split", "predicted")
    try:
        return {
            r["sha256"]: r["predicted"]
            for r in manifests.each(path, "predictions", columns)
            if r["split"] == Split.VALID
        }
    except ManifestError:
        return {}
