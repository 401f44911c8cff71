"""Memory that is not enough, and number formats."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from keepset.errors import TrainingError
from keepset.models import load_record
from keepset.train import train
from keepset.train.layers import freeze, groups
from keepset.train.machine import Chunks, machine_for
from keepset.train.networks import build
from keepset.train.shortage import out_of_memory, told
from keepset.workspace import Workspace
from tests.factories import Told, dataset_workspace
from tests.factories import config as drawn_config

TUNED = {
    "arch": "test_resnet",
    "weights": "none",
    "size": 64,
    "epochs": 1,
    "batch_size": 8,
    "threads": 1,
    "precision": "fp32",
}


def hungry(most: int) -> Callable[..., torch.nn.Module]:
    """Networks that really ask for a petabyte when more than ``most`` images go through at once.

    One that stands alone is let through until the network is known to fit: the first looks at it send one through.
    """
    looks = 0

    def ask(_: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        nonlocal looks
        looks += len(given[0]) == 1
        if len(given[0]) > most and (len(given[0]) > 1 or looks > 12):
            torch.empty(2**50, dtype=torch.uint8)

    def made(arch: str, classes: int, weights: str) -> torch.nn.Module:
        from keepset.train.weights import create_network

        network = create_network(arch, classes, weights)
        network.register_forward_pre_hook(ask)
        network.conv1[0].register_forward_pre_hook(ask)  # type: ignore[index,union-attr,operator]  # its copies too
        return network

    return made


def weights_of(ws: Workspace, model_id: str) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(ws.models / model_id / "weights.safetensors")


def tuned(ws: Workspace, cfg: Any, told: Told | None = None) -> Any:
    return load_record(ws, train(ws, cfg, progress=told or Told()).outputs["model_id"])


def test_short_memory_halves_what_goes_through_and_the_model_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws, cfg, _ = dataset_workspace(tmp_path / "a", per_class=8, train=TUNED)
    enough = tuned(ws, cfg)
    monkeypatch.setattr("keepset.train.recipe.create_network", hungry(3))
    short_ws, cfg, _ = dataset_workspace(tmp_path / "b", per_class=8, train=TUNED)
    heard = Told()
    short = tuned(short_ws, cfg, heard)
    assert (enough.machine["at_once"], short.machine["at_once"]) == (8, 2)  # 32, 16, 8, 4, then 2
    assert any("Out of memory" in n and "at most 2 images" in n for n in heard.notes)
    assert any("Out of memory" in n for n in short.machine["notes"])
    for a, b in zip(enough.history, short.history, strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-3)
    a, b = weights_of(ws, enough.id), weights_of(short_ws, short.id)
    assert max(float(np.abs(a[k].astype(float) - b[k]).max()) for k in a) < 1e-3


def test_memory_short_for_one_image_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepset.train.recipe.create_network", hungry(0))
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=4, train={**TUNED, "epochs": 0})
    with pytest.raises(TrainingError, match="single image") as e:
        train(ws, cfg)
    assert "size" in e.value.remedy


def test_what_counts_as_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as real:
        torch.empty(2**50, dtype=torch.uint8)
    assert out_of_memory(real.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"))
    assert out_of_memory(RuntimeError("could not create a primitive"))  # seen under a limit of 2 GB
    assert not out_of_memory(RuntimeError("could not create a primitive descriptor for a convolution"))
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        Chunks(8, Told()).fitting(lambda: torch.ones(2, 3) @ torch.ones(2, 3))  # not taken for short memory


def test_memory_that_runs_out_anywhere_else_is_an_error_with_a_remedy() -> None:
    with pytest.raises(TrainingError, match="Memory ran out") as e, told():
        torch.empty(2**50, dtype=torch.uint8)
    assert "memory" in e.value.remedy
    with pytest.raises(TrainingError, match="Memory ran out"), told():
        mmap.mmap(-1, 2**60)
    with pytest.raises(FileNotFoundError), told():
        Path("/nowhere").open().close()


def test_layers_learn_slower_the_deeper_they_lie() -> None:
    network = build("test_resnet", 3)
    freeze(network, 0)
    assert [round(depth, 1) for _, depth in groups(network)] == [0.0, 0.5, 1.0]
    freeze(network, 0.65)
    assert not network.conv1[0].weight.requires_grad  # type: ignore[index,union-attr]
    learns = [p for p in network.parameters() if p.requires_grad]
    found = groups(network)
    assert sum(len(ps) for ps, _ in found) == len(learns)
    assert 0.5 < found[0][1] < found[1][1] < found[2][1] == 1.0


def test_precision_is_what_was_asked_for_and_what_pays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    depthwise, plain = build("tf_efficientnet_lite0", 2), build("test_resnet", 2)

    def picked(network: torch.nn.Module, **section: Any) -> tuple[bool, bool]:
        machine = machine_for(drawn_config(tmp_path, train={"device": "cpu", **section}).train, network)
        return machine.front, machine.rest

    monkeypatch.setattr("keepset.train.machine.cpu_has_bf16", lambda: True)
    assert picked(depthwise) == (True, False)
    assert picked(plain) == (True, True)
    assert picked(plain, precision="fp32") == (False, False)
    monkeypatch.setattr("keepset.train.machine.cpu_has_bf16", lambda: False)
    assert picked(plain) == (False, False)
    assert picked(depthwise, precision="bf16") == (True, True)
