"""What a training keeps: whether fine-tuning is tried, and the mean of the head and the fine-tuned network as one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keepset import manifests
from keepset.models import load_record
from keepset.train import train
from keepset.train.contenders import EPOCHS, WORTH, epochs_worth
from keepset.train.head import choose_strength, fit_head, nll, softmax
from tests.factories import dataset_workspace

TINY = {"arch": "test_resnet+test_vit", "weights": "none", "size": 160, "threads": 1, "batch_size": 8, "lr": 1e-3}


def test_fine_tuning_is_tried_where_the_head_is_often_wrong_or_when_asked_for() -> None:
    assert epochs_worth(None, WORTH) == (EPOCHS, "")
    epochs, reason = epochs_worth(None, 0.021)
    assert epochs == 0
    assert "wrong on only 2.1 % of the training pictures" in reason
    assert f"set [train] epochs = {EPOCHS}" in reason
    assert epochs_worth(EPOCHS, 0.0) == (EPOCHS, "")  # what the reason says works
    assert epochs_worth(0, 0.5)[0] == 0


@pytest.mark.parametrize(
    ("wrong", "names"), [(0.0, {"linear_head"}), (0.3, {"linear_head", "fine_tuned", "mean_of_both"})]
)
def test_by_default_the_head_decides_and_the_record_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float, names: set[str]
) -> None:
    monkeypatch.setattr("keepset.train.contenders.WORTH", 1 - wrong if wrong == 0 else 0.0)
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=6, train=TINY | {"head_epochs": 0})
    record = load_record(ws, train(ws, cfg).outputs["model_id"])
    assert record.candidates.keys() - {"why"} == names
    assert ("was not tried" in record.candidates["why"]) == (wrong == 0)
    assert bool(record.history) == (wrong > 0)


def test_the_mean_of_both_is_served_as_one_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its logits are the mean of the head's and the fine-tuned network's, and ONNX gives the same."""
    from keepset.export.onnx import export_model
    from keepset.predict import load
    from keepset.train import recipe

    made: dict[str, Any] = {}
    kept = recipe.Recipe._contender

    def favoured(self: Any, name: str, arch: str, logits: Any, state: Any) -> Any:
        made[name] = (logits, self.shas)
        found = kept(self, name, arch, logits, state)
        return (
            found if name == "mean_of_both" else type(found)(name, arch, logits, {**found.held_out, "nll": 99.0}, state)
        )

    monkeypatch.setattr(recipe.Recipe, "_contender", favoured)
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=6, train=TINY | {"epochs": 1, "head_epochs": 0})
    record = load_record(ws, train(ws, cfg).outputs["model_id"])
    assert (record.winner, record.arch) == ("mean_of_both", f"{TINY['arch']}+test_resnet")
    mean = (made["linear_head"][0] + made["fine_tuned"][0]) / 2
    predictor = load(export_model(ws, record.id))
    shas = made["mean_of_both"][1]
    pixels = np.stack([predictor.prepare(ws.blob(s)) for s in shas])
    assert np.allclose(predictor._session.run(["logits"], {"pixels": pixels})[0], mean, atol=2e-3)
    rows = manifests.read(ws.models / record.id / "predictions.parquet", "predictions").rows()
    probs = softmax(mean / record.temperature)
    assert np.allclose([r["model_probs"] for r in rows], probs[[shas.index(r["sha256"]) for r in rows]], atol=1e-3)


def test_a_feature_that_slept_in_training_does_not_decide_alone() -> None:
    """One feature is almost always zero; pictures where it is not are still judged by all the others."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    features = rng.normal(0, 1, (200, 32)) + 3 * np.eye(32)[labels]
    features[:, 31] = 0
    features[0, 31] = 1e-3
    strength = choose_strength(features, labels, np.arange(200) // 4 % 5, 4)
    assert strength.error < 0.1
    head = fit_head(features, labels, 4, strength.strength)
    awake = features.copy()
    awake[:, 31] = 1
    assert nll(softmax(head.logits(awake)), labels) < nll(softmax(head.logits(features)), labels) + 0.05
