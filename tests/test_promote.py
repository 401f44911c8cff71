"""Promotion: a model goes in use unless it is worse than chance explains, and a kill leaves nothing half done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import ModelError
from keepset.files import read_json, write_bytes
from keepset.manifests import Header
from keepset.models.promote import compare_and_promote, mcnemar
from keepset.workspace import Workspace
from tests.factories import add_model, dataset_workspace

OLD, NEW = "a" * 16, "b" * 16
Space = tuple[Workspace, RunConfig, dict[str, str]]


@pytest.fixture
def space(tmp_path: Path) -> Space:
    """40 drawn images a class, of which 8 a class are for validation; no model yet."""
    return dataset_workspace(tmp_path, per_class=40, size=(32, 24))


def model(space: Space, model_id: str, wrong: range, **record: Any) -> None:
    """A finished model that is wrong on the validation images whose number is in ``wrong``; not promoted."""
    ws, cfg, truth = space
    said = [ws.models / "promoted.json", ws.root / "audit.jsonl"]  # add_model promotes: taken back
    before = [path.read_bytes() if path.exists() else None for path in said]
    add_model(ws, cfg, truth, model_id=model_id)
    for path, content in zip(said, before, strict=True):
        path.unlink()
        if content is not None:
            write_bytes(path, content)
    path = ws.models / model_id / "predictions.parquet"
    rows = manifests.read(path, "predictions").rows()
    for i, row in enumerate(r for r in rows if r["split"] == "valid"):
        other = next(c for c in cfg.labels if c != row["label"])
        row["predicted"] = other if i in wrong else row["label"]
    manifests.write(path, rows, Header("predictions", "train", model_id))
    about = ws.models / model_id / "model.json"
    write_bytes(about, json.dumps(read_json(about) | record).encode())


def promotions(ws: Workspace) -> list[str]:
    return [r["what"]["model_id"] for r in ws.audit_log() if r["action"] == "promote"]


def test_the_first_model_is_promoted(space: Space) -> None:
    model(space, OLD, range(3))
    result = compare_and_promote(space[0], space[1], OLD)
    assert result.changed
    assert result.summary["promote"] is True
    assert space[0].promoted() == OLD
    assert "first model" in result.message


@pytest.mark.parametrize(
    ("before", "after", "fixed", "broken", "p", "promoted"),
    [
        (range(0), range(8), 0, 8, 2 / 2**8, False), (range(0), range(5), 0, 5, 0.0625, True),  # a little worse: chance
        (range(3), range(3, 6), 3, 3, 1.0, True),
    ],
)  # fmt: skip
def test_a_model_is_refused_where_it_is_worse_than_chance_explains(
    space: Space, before: range, after: range, fixed: int, broken: int, p: float, promoted: bool
) -> None:
    ws, cfg, _ = space
    model(space, OLD, before)
    compare_and_promote(ws, cfg, OLD)
    model(space, NEW, after)
    result = compare_and_promote(ws, cfg, NEW)
    assert ws.promoted() == (NEW if promoted else OLD)
    assert result.summary == {"promote": promoted, "fixed": fixed, "broken": broken, "p_value": p}
    assert ("the old model stays in use" in result.message) is not promoted
    assert "changed data" not in result.message
    assert len(read_json(ws.models / NEW / "comparison.json")["broken_images"]) == broken


def test_changed_data_is_named_where_it_changed(space: Space) -> None:
    ws, cfg, _ = space
    model(space, OLD, range(3))
    compare_and_promote(ws, cfg, OLD)
    model(space, NEW, range(3, 6), dataset_revision=2)
    assert "changed data" in compare_and_promote(ws, cfg, NEW).message


def test_the_message_says_what_the_model_before_was_wrong_on_in_its_own_time(space: Space) -> None:
    ws, cfg, _ = space
    model(space, OLD, range(0), metrics={"valid": {"errors": 2, "n": 18}})
    compare_and_promote(ws, cfg, OLD)
    model(space, NEW, range(0))
    message = compare_and_promote(ws, cfg, NEW).message
    assert "0 mistakes before, 0 now on the same 24 held-out pictures" in message
    assert "the model before was wrong on 2 of 18." in message


@pytest.mark.parametrize("wrong", [range(2), range(9)], ids=["promoted", "refused"])
def test_twice_is_once(space: Space, wrong: range) -> None:
    ws, cfg, _ = space
    model(space, OLD, range(0))
    compare_and_promote(ws, cfg, OLD)
    model(space, NEW, wrong)
    first = compare_and_promote(ws, cfg, NEW)
    log, found = promotions(ws), (ws.models / NEW / "comparison.json").read_bytes()
    second = compare_and_promote(ws, cfg, NEW)
    assert first.changed
    assert not second.changed
    assert second.summary == first.summary
    assert second.message == f"up to date: {first.message}"
    assert promotions(ws) == log
    assert (ws.models / NEW / "comparison.json").read_bytes() == found


def test_a_kill_between_comparison_and_promotion_is_healed(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    ws, cfg, _ = space
    model(space, OLD, range(4))
    compare_and_promote(ws, cfg, OLD)
    model(space, NEW, range(1))
    with monkeypatch.context() as m:
        m.setattr(Workspace, "promote", _killed)
        with pytest.raises(KeyboardInterrupt):
            compare_and_promote(ws, cfg, NEW)
    assert (ws.models / NEW / "comparison.json").exists()
    assert ws.promoted() == OLD
    log = promotions(ws)
    compare_and_promote(ws, cfg, NEW)
    assert ws.promoted() == NEW
    assert promotions(ws) == [*log, NEW]


def test_an_older_comparison_does_not_take_back_a_later_promotion(space: Space) -> None:
    ws, cfg, _ = space
    for model_id in (OLD, NEW):
        model(space, model_id, range(2))
        compare_and_promote(ws, cfg, model_id)
    again = compare_and_promote(ws, cfg, OLD)
    assert ws.promoted() == NEW
    assert again.message == f"up to date: a later model, {NEW}, stays in use."


def test_an_unknown_model_is_an_error_in_words(space: Space) -> None:
    with pytest.raises(ModelError, match="no finished model"):
        compare_and_promote(space[0], space[1], "c" * 16)


@pytest.mark.parametrize(
    ("fixed", "broken", "p"), [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 0.0625), (0, 6, 0.03125), (1, 9, 22 / 1024)]
)
def test_mcnemar_is_the_exact_binomial(fixed: int, broken: int, p: float) -> None:
    assert mcnemar(fixed, broken) == pytest.approx(p) == pytest.approx(mcnemar(broken, fixed))


def _killed(*_: Any, **__: Any) -> None:  # stands for the kill, exactly between the two writes
    raise KeyboardInterrupt


def test_a_model_of_an_earlier_config_is_compared_with_the_one_in_use_now(space: Space) -> None:
    ws, config, _ = space
    model(space, OLD, range(3), config=config.part("train"), seed=config.seed)
    compare_and_promote(ws, config, OLD)
    model(space, NEW, range(3, 5))
    assert compare_and_promote(ws, config, NEW).changed
    back = compare_and_promote(ws, config, OLD)  # the run config went back, so this model is the config's again
    assert (back.changed, ws.promoted()) == (True, OLD)
    assert "first model" not in back.message
    assert "2 mistakes before, 3 now" in back.message
    assert not compare_and_promote(ws, config, OLD).changed
    assert promotions(ws) == [OLD, NEW, OLD]
