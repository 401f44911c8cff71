"""kill -9 in the middle of training: the next run goes on, and ends as if nothing had happened."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from keepset.config import RunConfig
from keepset.models import load_record
from keepset.train import train
from keepset.workspace import Workspace
from tests.factories import Told, dataset_workspace
from tests.factories import config as drawn_config
from tests.processes import ran

TUNED = {"arch": "test_resnet", "size": 64, "epochs": 2, "batch_size": 8, "threads": 1, "lr": 2e-3}
DYING = """
import os, signal, sys
from pathlib import Path
left = int(sys.argv[2])
def watch(event, args):
    global left
    if event == "os.rename" and str(args[1]).endswith("checkpoint.safetensors"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
from keepset.train import head, train
from keepset.workspace import Workspace
head.STRENGTHS = (1e-8,)
ws = Workspace.open(Path(sys.argv[1]))
train(ws, ws.config())
"""


@pytest.fixture(autouse=True)
def _a_weak_linear_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """So weak that fine-tuning wins, and the weights that are kept are those that the checkpoint was about."""
    monkeypatch.setattr("keepset.train.head.STRENGTHS", (1e-8,))


def kill_while_training(ws: Workspace, writes: int) -> None:
    """A real process that trains, and is killed when it has written ``writes`` checkpoints, one a step."""
    ran(DYING, ws.root, writes, KEEPSET_CHECKPOINT_S="0", ends=-signal.SIGKILL)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The section ``[train]``, with weights of a file: their front stays frozen, and is trained behind."""
    import torch
    from safetensors.torch import save_file

    from keepset.train.networks import build

    torch.manual_seed(2)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_file(build("test_resnet", 3).state_dict(), path)
    return {**TUNED, "weights": str(path)}


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory, tuned: dict[str, Any]) -> tuple[Workspace, RunConfig]:
    """A workspace whose training was killed in the second epoch of fine-tuning (3 steps an epoch, a head epoch first)."""
    ws, cfg, _ = dataset_workspace(tmp_path_factory.mktemp("cut"), per_class=10, train=tuned)
    kill_while_training(ws, 7)
    return ws, cfg


def copied(cut_off: tuple[Workspace, RunConfig], tmp_path: Path) -> Workspace:
    shutil.copytree(cut_off[0].root, tmp_path / "ws", dirs_exist_ok=True)
    return Workspace.open(tmp_path / "ws")


def test_a_killed_training_ends_as_an_undisturbed_one(
    cut_off: tuple[Workspace, RunConfig], tuned: dict[str, Any], tmp_path: Path
) -> None:
    ws, cfg, _ = dataset_workspace(tmp_path / "whole", per_class=10, train=tuned)
    whole = load_record(ws, train(ws, cfg).outputs["model_id"])
    again = copied(cut_off, tmp_path)
    assert (again.cache / "checkpoint.safetensors").exists()
    assert not (again.models / whole.id / "model.json").exists()
    told = Told()
    resumed = load_record(again, train(again, cut_off[1], progress=told).outputs["model_id"])
    assert resumed.id == whole.id
    assert "goes on at phase 2, epoch 2" in told
    assert any("goes on at phase 2" in note for note in resumed.machine["notes"])
    losses = [[(h["train_loss"], h["valid_loss"]) for h in r.history] for r in (whole, resumed)]
    assert losses[0] == losses[1]  # the last is of the fine-tuned weights, whichever contender is kept
    assert whole.winner == resumed.winner
    weights = [(w.models / whole.id / "weights.safetensors").read_bytes() for w in (ws, again)]
    assert weights[0] == weights[1]
    assert not (again.cache / "checkpoint.safetensors").exists()


@pytest.mark.parametrize(("labels", "section"), [(("apple", "boat", "car"), {}), (None, {"lr": 3e-3})])
def test_a_checkpoint_of_another_training_is_never_used(
    cut_off: tuple[Workspace, RunConfig], tuned: dict[str, Any], tmp_path: Path, labels: Any, section: dict[str, Any]
) -> None:
    from tests.test_train import relabel

    ws = copied(cut_off, tmp_path)
    cfg = drawn_config(tmp_path, labels or cut_off[1].labels, train={**tuned, "epochs": 1, **section})
    if labels:
        relabel(ws, lambda r: r.update(label="car" if r["label"] == "house" else r["label"]))
    told = Told()
    record = load_record(ws, train(ws, cfg, progress=told).outputs["model_id"])
    assert "An unfinished training is left, of other data or another config: training restarts." in told.notes
    assert len(record.history) == 2


def test_a_damaged_checkpoint_is_told_and_not_used(cut_off: tuple[Workspace, RunConfig], tmp_path: Path) -> None:
    ws = copied(cut_off, tmp_path)
    path = ws.cache / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    told = Told()
    train(ws, cut_off[1], progress=told)
    assert any("cannot be read" in n and "training restarts" in n for n in told.notes)
