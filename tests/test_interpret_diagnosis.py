"""Things that can go wrong: the rules on made-up courses, and on real trainings that were made to go wrong."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keepset import manifests
from keepset.config import RunConfig
from keepset.demo.draw import draw
from keepset.files import read_json, write_bytes
from keepset.interpret import interpret
from keepset.interpret.diagnosis import diagnose
from keepset.manifests import Header
from keepset.train import train
from keepset.workspace import Workspace
from tests import factories

NAN = float("nan")


@pytest.mark.parametrize(
    ("train", "valid", "errors", "classes", "kinds"),
    [
        pytest.param([], [], [], 3, [], id="linear head only"),
        pytest.param([0.9, 12.0], [0.8, 0.9], [0.2, 0.6], 3, ["rate_too_high"], id="exploded"),
        pytest.param([0.9, NAN], [0.8, 0.9], [0.2, 0.6], 3, ["rate_too_high"], id="nan"),
        pytest.param([1.1, 1.09, 1.08], [1.1] * 3, [0.6] * 3, 3, ["rate_too_low"], id="too low"),
        pytest.param([0.9, 0.8], [0.7, 0.6], [0.3, 0.2], 3, ["too_few_epochs"], id="too few epochs"),
        pytest.param([0.5, 0.3, 0.1, 0.05, 0.01], [0.5, 0.4, 0.5, 0.6, 0.7], [0.2] * 5, 3, ["overfitting"], id="overfitting"),
        pytest.param([0.5, 0.3, 0.1, 0.05, 0.01], [0.5, 0.5, 0.3, 0.5, 0.5], [0.2] * 5, 3, ["healthy"], id="one lucky epoch"),
        pytest.param([0.5, 0.3, 0.1, 0.05, 0.01], [0.5] * 5, [0.2, 0.1, 0.15, 0.18, 0.2], 3, ["healthy"], id="the error alone got worse"),
        pytest.param([0.5, 0.3, 0.1], [0.5, 0.4, 0.39], [0.2, 0.15, 0.1], 3, ["healthy"], id="healthy"),
        pytest.param([0.5, 0.3, 0.1, 0.05], [0.5, 0.5, 0.6, 0.7], [0.2, 0.2, 0.15, 0.12], 3, ["healthy"], id="loss rises, and the error falls"),
        pytest.param([0.2, 0.1], [0.2, 0.15], [0.0, 0.0], 1, ["healthy"], id="one class"),
    ],
)  # fmt: skip
def test_rules_on_a_history_without_the_plain_loss(
    train: list[float], valid: list[float], errors: list[float], classes: int, kinds: list[str]
) -> None:
    history = [
        {"train_loss": t, "valid_loss": v, "error_rate": e} for t, v, e in zip(train, valid, errors, strict=True)
    ]
    facts = {"history": history, "classes": ["c"] * classes, "metrics": {"valid": {"n": 100}}}
    assert [d["kind"] for d in diagnose(facts)] == kinds


def course(
    plain: list[float], valid: list[float], errors: list[float], rate: float = 1e-3, **model: Any
) -> dict[str, Any]:
    """Augmented training losses stand well above the plain ones, and must decide nothing."""
    history = [
        {"train_loss": p + 0.6, "train_plain_loss": p, "valid_loss": v, "error_rate": e, "lr": rate, "rates": [rate]}
        for p, v, e in zip(plain, valid, errors, strict=True)
    ]
    finder = {"chosen": 1e-3, "valley": 2e-3}
    valid_facts = {"valid": {"n": 100}}
    return {"history": history, "classes": ["a", "b", "c"], "metrics": valid_facts, "lr_find": finder, "model": model}


@pytest.mark.parametrize(
    ("facts", "kind", "says"),
    [
        pytest.param(
            course([0.30, 0.295, 0.294], [0.5, 0.45, 0.43], [0.2, 0.18, 0.18]), "healthy", "as it should",
            id="an augmented loss above the validation loss is not too few epochs",
        ),
        pytest.param(
            course([0.5, 0.3], [0.5, 0.45], [0.2, 0.15]), "too_few_epochs", "10 % off the held-out loss", id="still learning"
        ),
        pytest.param(
            course([0.5, 0.3], [0.5, 0.52], [0.2, 0.15]), "healthy", "", id="held-out loss climbs, one error fewer"
        ),
        pytest.param(
            course([0.1, 0.05, 0.005], [0.15, 0.162, 0.172], [0.06, 0.06, 0.053], winner="linear_head",
                   candidates={"linear_head": {"nll": 0.123}}),
            "no_gain", "held-out loss 0.172, linear head 0.123", id="the linear head is better and is kept",
        ),
        pytest.param(
            course([0.5, 0.3], [0.5, 0.45], [0.2, 0.15], winner="linear_head", candidates={"linear_head": {"nll": 0.40}}),
            "too_few_epochs", "not yet better than the linear head (0.400)", id="it falls, and is still worse than the linear head",
        ),
        pytest.param(course([0.5, 0.3], [0.5, 0.4], [0.1, 0.0]), "healthy", "", id="no error left to learn from"),
        pytest.param(
            course([0.3] * 3, [0.5] * 3, [0.2] * 3, rate=1e-7), "rate_too_low", "1.0e-07", id="a rate of nothing"
        ),
        pytest.param(course([0.01] * 3, [0.2] * 3, [0.0] * 3), "healthy", "", id="nothing to learn at a good rate"),
        pytest.param(
            course([0.1, 0.4, 0.5], [0.3, 0.6, 0.8], [0.1, 0.3, 0.3], rate=0.1), "rate_too_high", "above the 0.30 of the linear head", id="unlearned"
        ),
        pytest.param(
            course([0.1, 3.0], [0.3, 2.0], [0.1, 0.1], rate=1.0), "rate_too_high", "rose to 3.6", id="worse than guessing"
        ),
        pytest.param(
            course([0.1, 0.099, 0.098], [0.30, 0.31, 0.32], [0.1] * 3, winner="linear_head",
                   candidates={"linear_head": {"nll": 0.29}}),
            "no_gain", "held-out loss 0.320, linear head 0.290", id="fine-tuning without a gain",
        ),
    ],
)  # fmt: skip
def test_rules_with_the_plain_loss(facts: dict[str, Any], kind: str, says: str) -> None:
    (found,) = diagnose(facts)
    assert found["kind"] == kind
    assert says in found["words"]


SMALL = {"threads": 1, "size": 64, "batch_size": 16, "augment": False}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "wrong_labels", "kind", "says"),
    [
        pytest.param({"lr": 1e3, "epochs": 1}, 0.0, "rate_too_high", "guessing gives 1.10", id="too high"),
        pytest.param({"lr": 2e-3, "epochs": 12}, 0.4, "overfitting", "has risen since", id="too many"),
    ],
)
def test_real_trainings_made_to_go_wrong(
    tmp_path: Path, section: dict[str, Any], wrong_labels: float, kind: str, says: str
) -> None:
    """Wrong labels among the training images are what a network can only learn by heart, given the epochs."""
    ws, cfg = workspace(tmp_path, wrong_labels, SMALL | section)
    model_id = train(ws, cfg).outputs["model_id"]
    interpret(ws, cfg)
    facts = read_json(ws.reports / model_id / "report.json")
    (found,) = facts["diagnosis"]
    assert re.fullmatch(kind, found["kind"]), facts["history"]
    assert re.search(says, found["words"])


def workspace(root: Path, wrong_labels: float, section: dict[str, Any]) -> tuple[Workspace, RunConfig]:
    """A third of the pictures is held out, and rightly labelled."""
    cfg = factories.config(root, train=section)
    ws = Workspace.create(root / "ws", cfg.name)
    rng = np.random.default_rng(5)
    images, rows = [], []
    for i in range(90):
        k, held_out = i % 3, i // 3 % 3 == 0
        picture = draw(cfg.labels[k], i, width=96, height=72)
        data = factories.jpeg(picture)
        sha = hashlib.sha256(data).hexdigest()
        write_bytes(ws.blob(sha), data)
        wrong = not held_out and rng.random() < wrong_labels
        label = cfg.labels[(k + int(wrong) * (1 + int(rng.integers(2)))) % 3]
        rows.append(factories.dataset_row(sha, label, i, 3) | {"split": "valid" if held_out else "train"})
        images.append(factories.image_row(sha, label, data, picture, i))
    manifests.write(ws.images, images, Header("images", "validate", "factory"))
    factories.add_revision(ws, rows)
    return ws, cfg
