"""Retraining for real: what is put in use, what is kept, and whether somebody is asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from keepset import pipeline
from keepset.clean import clean, restore
from keepset.clean.revising import Change, write_revision
from keepset.config import RunConfig
from keepset.files import read_json
from keepset.models import list_models
from keepset.reasons import Action
from keepset.review import BatchStatus, Mark, list_batches, mark, submit
from keepset.stages import Stage, StageResult
from keepset.workspace import Workspace
from tests.factories import dataset_workspace

Row = dict[str, Any]
QUICK = {"epochs": 0, "size": 64, "threads": 1}


def _relabel(ws: Workspace, change: Callable[[Row], str], cause: str) -> None:
    """A revision whose training images have other labels."""
    rows = [r for r in ws.current_dataset().rows() if r["split"] == "train" and change(r) != r["label"]]
    changes = {r["sha256"]: Change(change(r), True, cause) for r in rows}
    write_revision(ws, lambda _: (changes, {}), cause=cause, who="ann", why="")


def until(chain: Iterator[StageResult], stage: str) -> Iterator[StageResult]:
    """The chain up to this stage; those after it are never begun."""
    for result in chain:
        yield result
        if result.stage == stage:
            return


def _learn(ws: Workspace, config: RunConfig) -> tuple[str, dict[str, Any]]:
    """Train on the current revision; the model's id, and its comparison with the one in use. The report is left out."""
    trained, *_ = until(pipeline.retrain(ws, config), Stage.PROMOTE)
    model = trained.outputs["model_id"]
    return model, read_json(ws.models / model / "comparison.json")


def test_a_model_of_spoilt_labels_is_refused_and_the_old_one_stays_in_use(tmp_path: Path) -> None:
    ws, config, truth = dataset_workspace(tmp_path, per_class=40, train=QUICK)
    first, _ = _learn(ws, config)
    assert ws.promoted() == first

    swapped = {"apple": "boat", "boat": "apple"}
    _relabel(ws, lambda r: swapped.get(r["label"], r["label"]), "batch:spoilt")
    spoilt, compared = _learn(ws, config)
    assert (compared["before"], compared["promote"]) == (first, False)
    assert compared["broken"] > compared["fixed"]
    assert compared["p_value"] < 0.05
    assert "stays in use" in compared["message"]
    assert ws.promoted() == first

    _relabel(ws, lambda r: truth[r["sha256"]], "batch:mended")
    mended, compared = _learn(ws, config)
    assert (compared["before"], compared["promote"]) == (first, True)
    assert ws.promoted() == mended
    for model in (first, spoilt, mended):  # nothing that was learned is thrown away
        assert (ws.models / model / "weights.safetensors").stat().st_size > 1_000_000
    assert [m.id for m in list_models(ws)] == [first, spoilt, mended]
    assert [r["what"]["model_id"] for r in ws.audit_log() if r["action"] == "promote"] == [first, mended]


def test_the_next_batch_opens_only_if_there_is_one_worth_a_look(tmp_path: Path) -> None:
    ws, config, truth = dataset_workspace(tmp_path, per_class=20, flips=6, train=QUICK, review={"min_score": 0.9})
    _, asked, *_ = until(pipeline.retrain(ws, config), Stage.PROMOTE)
    (first,) = list_batches(ws)
    shown = {r["sha256"]: r for r in first.candidates().rows()}
    wrong = [s for s, r in shown.items() if r["label"] != truth[s]]
    assert len(wrong) >= 4

    mark(first, [Mark(wrong[0], Action.RELABEL, truth[wrong[0]])], who="ann")
    submit(first, "approve", who="ann")  # the others are left undecided
    clean(ws, config)
    _, asked = until(pipeline.retrain(ws, config), Stage.REVIEW)
    assert (asked.stage, asked.changed) == (Stage.REVIEW, True)
    _, second = list_batches(ws)
    assert second.status == BatchStatus.OPEN
    again = {r["sha256"] for r in second.candidates().rows()}
    assert set(wrong[1:]) <= again
    assert wrong[0] not in again

    right = [
        Mark(r["sha256"], Action.KEEP)
        if r["label"] == truth[r["sha256"]]
        else Mark(r["sha256"], Action.RELABEL, truth[r["sha256"]])
        for r in second.candidates().rows()
    ]
    mark(second, right, who="ann")
    submit(second, "approve", who="ann")
    clean(ws, config)
    _, asked = until(pipeline.retrain(ws, config), Stage.REVIEW)
    assert (asked.stage, asked.changed, dict(asked.outputs)) == (Stage.REVIEW, False, {})
    assert len(list_batches(ws)) == 2

    before = ws.promoted()
    restore(ws, second.id, who="bob", why="second thoughts")  # undone after its retraining
    trained, asked, *_ = until(pipeline.retrain(ws, config), Stage.PROMOTE)
    assert trained.changed
    model = trained.outputs["model_id"]
    compared = read_json(ws.models / model / "comparison.json")
    assert compared["before"] == before
    assert model != before
    assert ws.promoted() == (model if compared["promote"] else before)
    assert compared["promote"] is not (compared["broken"] > compared["fixed"] and compared["p_value"] < 0.05)
    assert not asked.outputs  # what somebody restored is not asked about again
