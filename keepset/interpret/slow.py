"""The parts of the report that take a while: made where they cost little, and named with the way to ask where they do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from keepset import manifests
from keepset.errors import ModelError
from keepset.interpret.datasize import DataSize, data_size_curve, seconds_for
from keepset.interpret.doubts import doubts_of
from keepset.interpret.gain import more_or_cleaner
from keepset.machine.programs import spell
from keepset.models import ModelRecord
from keepset.stages import Progress
from keepset.workspace import Workspace

__all__ = ["BUDGET_S", "add_slow_parts", "learned_features"]

BUDGET_S = 15.0
"""What a part may cost unasked, CPU seconds: how busy the machine is does not change the report."""


def add_slow_parts(
    ws: Workspace, record: ModelRecord, facts: dict[str, Any], progress: Progress, *, full: bool
) -> dict[str, str]:
    """Put ``data_size``, ``gain`` and ``looks`` into ``facts``, and words about what is left out into ``left_out``.

    ``full``: whatever they cost. Returns the pictures that were drawn for them, as data: URIs by name.
    """
    _add_data_size(ws, record, facts, progress, np.inf if full else BUDGET_S)
    return _add_looks(ws, record, facts, progress, np.inf if full else BUDGET_S)


def _ask(ws: Workspace, record: ModelRecord) -> str:
    return spell("keepset", "interpret", "--full", "--model", record.id, "-w", ws.root)


def _add_data_size(
    ws: Workspace, record: ModelRecord, facts: dict[str, Any], progress: Progress, budget: float
) -> None:
    data, shas = learned_features(ws, record)
    if (wanted := seconds_for(data)) > budget:
        words = f"“More data, or cleaner data?” would take about {_time(wanted)}. To have it: {_ask(ws, record)}"
        facts["left_out"].append(words)
        return
    doubts = doubts_of(ws, record, shas)
    data = replace(data, judged=~doubts.wrong)
    facts["data_size"] = data_size_curve(data, progress)
    facts["gain"] = more_or_cleaner(data, doubts, facts["data_size"])


def _add_looks(
    ws: Workspace, record: ModelRecord, facts: dict[str, Any], progress: Progress, budget: float
) -> dict[str, str]:
    from keepset.interpret.cam_pictures import where_it_looked

    try:
        looks = where_it_looked(ws, record, facts["top_losses"], progress, budget)
    except ModelError as e:
        facts["left_out"].append(f"“Where it looked” cannot be made: {e.message}")
        return {}
    facts["looks"] = looks.rows
    if looks.left_out:
        words = (
            f"“Where it looked” of {looks.left_out} more pictures would take about {_time(looks.seconds)}. To have it: "
        )
        facts["left_out"].append(words + _ask(ws, record))
    return looks.pictures


def _time(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def learned_features(ws: Workspace, record: ModelRecord) -> tuple[DataSize, list[str]]:
    """What the curve over the number of images is made of, and their hashes, without pictures that were taken down (their rows
    are zero). Raises ``ModelError``, also if that is all of them."""
    from keepset.models.features import ModelFeatures

    found = ModelFeatures.of(ws, record.id)
    table = manifests.read(ws.dataset(record.dataset_revision), "dataset").table
    columns = (table.column(k).to_pylist() for k in ("sha256", "label", "fold"))
    known = {sha: (label, fold) for sha, label, fold in zip(*columns, strict=True)}
    features = found.all()
    there: npt.NDArray[np.bool_] = np.asarray(features.any(axis=1))
    if not there.any():
        raise ModelError(
            f"All pictures that model {record.id} learnt from were taken down.", "Add pictures and run `keepset run`."
        )
    shas = [s for s, is_there in zip(found.sha256, there, strict=True) if is_there]
    rows = [known[s] for s in shas]
    labels = np.array([record.classes.index(label) for label, _ in rows])
    folds = np.array([fold for _, fold in rows])
    return DataSize(features if there.all() else features[there], labels, folds, len(record.classes), record.seed), shas
