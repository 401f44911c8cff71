"""After cleaning, is the model really better? The planted labels are set right the way a person would, and by nobody.

Four models a condition, all by the product's own stages, from copies of one workspace:

* planted    trained on the wrong labels
* suggested  trained after one batch whose suggestions were approved unseen
* person     trained after one batch in which a person who knows every true label has marked every candidate
* true       trained on the true labels: what cleaning could reach at best

Counted against the true labels: errors on the validation images, and errors of the cross-validated head over all
images; only on images that all four have (a suggestion may delete one).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.review.sets import Built, Rows, write
from keepset import manifests
from keepset.config import RunConfig
from keepset.reasons import Action
from keepset.review import Batch, Mark, load_batch, mark, submit
from keepset.workspace import Workspace

__all__ = ["STATES", "Repair", "repaired"]

STATES = ("planted", "suggested", "person", "true")
Said = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Repair:
    """``candidates`` of the batch, planted errors among them, wrong labels left and images deleted by each way, and
    errors by model over ``valid_n`` and ``all_n`` images."""

    candidates: int
    in_batch: int
    left: dict[str, int]
    deleted: int
    valid_n: int
    valid: dict[str, int]
    all_n: int
    all: dict[str, int]


def repaired(built: Built, wrong: set[str], scratch: Path) -> Repair:
    """``built.ws`` holds the wrong labels in its current revision, and the model trained on them."""
    from keepset.review import review

    ws, config = built.ws, built.config
    truth = {r["sha256"]: r["label"] for r in built.clean}
    batch = load_batch(ws, review(ws, config).outputs["batch_id"])
    shown = {r["sha256"] for r in batch.candidates().rows()}
    ways: dict[str, Callable[[Workspace], None]] = {
        "planted": lambda _: None,
        "suggested": lambda copy: _approve(copy, config, batch.id, None),
        "person": lambda copy: _approve(copy, config, batch.id, truth),
        "true": lambda copy: write(copy, built.clean),
    }
    said, left, deleted = {}, {}, 0
    for state, change in ways.items():
        copy = Workspace.open(Path(shutil.copytree(ws.root, scratch / state)))
        change(copy)
        rows = [r for r in copy.current_dataset().rows() if r["active"]]
        left[state] = sum(r["label"] != truth[r["sha256"]] for r in rows)
        if state == "suggested":
            deleted = sum(r["active"] for r in built.clean) - len(rows)
        said[state] = _predictions(copy, config)
        shutil.rmtree(copy.root)
    valid_n, valid = _errors(said, truth, "predicted", only="valid")
    all_n, whole = _errors(said, truth, "cv_predicted")
    return Repair(len(shown), len(shown & wrong), left, deleted, valid_n, valid, all_n, whole)


def _approve(ws: Workspace, config: RunConfig, batch_id: str, truth: dict[str, str] | None) -> None:
    from keepset.clean import clean

    batch = load_batch(ws, batch_id)
    if truth is not None:
        mark(batch, _right(batch, truth), who="knows")
    submit(batch, "approve", who="bench", undecided="keep" if truth else "suggested", confirm=True)
    clean(ws, config)


def _right(batch: Batch, truth: dict[str, str]) -> list[Mark]:
    rows: Rows = batch.candidates().rows()
    return [
        Mark(r["sha256"], Action.KEEP)
        if r["label"] == truth[r["sha256"]]
        else Mark(r["sha256"], Action.RELABEL, truth[r["sha256"]])
        for r in rows
    ]


def _predictions(ws: Workspace, config: RunConfig) -> Said:
    from keepset.train import train

    model_id = train(ws, config).outputs["model_id"]
    rows = manifests.read(ws.models / model_id / "predictions.parquet", "predictions").rows()
    return {r["sha256"]: r for r in rows}


def _errors(
    said: dict[str, Said], truth: dict[str, str], column: str, only: str = ""
) -> tuple[int, dict[str, int]]:
    """Images that all models have, and errors of each on them."""
    shared = set.intersection(*(set(s) for s in said.values()))
    shared = {s for s in shared if not only or said["planted"][s]["split"] == only}
    return len(shared), {k: sum(v[s][column] != truth[s] for s in shared) for k, v in said.items()}
