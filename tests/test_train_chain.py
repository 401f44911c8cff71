"""A network as a chain: its frozen front apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from keepset.models import load_record
from keepset.train import train
from keepset.train.chain import chain_of, front_of
from keepset.train.layers import freeze, groups, train_mode
from keepset.train.networks import build, features_and_logits
from tests.factories import dataset_workspace

CHAINS = ["tf_efficientnet_lite0", "torchvision.resnet18", "torchvision.mobilenet_v3_small", "convnext_atto"]
OTHERS = [("test_vit", 160), ("hrnet_w18_small", 64), ("pit_ti_224", 224)]


def network_of(arch: str) -> Any:
    torch.manual_seed(0)
    network = build(arch, 3).eval()
    for module in network.modules():  # as after pretraining: not the zeros and ones of fresh statistics
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return network


@pytest.mark.parametrize("arch", CHAINS)
def test_front_and_rest_are_the_network(arch: str) -> None:
    network = network_of(arch)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    x = torch.randn(2, 3, 64, 64)
    chain = chain_of(network, 64)
    with torch.no_grad():
        features, logits = features_and_logits(network, x)
        near = 1e-3 * float(features.abs().max())
        assert torch.allclose(chain.features(network, x), features, rtol=0, atol=near)
        freeze(network, 0.65)
        with front_of(network, chain, narrow=False) as front:
            assert 0 < front.count < len(chain.copies)
            found = network(chain.run(x, 0, front.count))
            assert torch.allclose(found, logits, rtol=0, atol=1e-3 * float(logits.abs().max()) + 1e-4)
            assert torch.equal(front.learning(x), chain.run(x, 0, front.count))
        assert torch.equal(network(x), logits)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert not any("forward" in vars(m) for m in network.modules())


@pytest.mark.parametrize(("arch", "side"), [(CHAINS[0], 64), ("maxvit_rmlp_pico_rw_256", 256), *OTHERS])
def test_any_network_learns_behind_its_front(arch: str, side: int) -> None:
    """Cut off where it is a chain, and otherwise whole: one step changes what learns, and nothing else."""
    network = network_of(arch)
    chain = chain_of(network, side)
    assert (chain is None) == (arch in dict(OTHERS))
    freeze(network, 0.65)
    assert [depth for _, depth in groups(network)] == sorted(depth for _, depth in groups(network))
    learns = {k: p.requires_grad for k, p in network.named_parameters()}
    assert set(learns.values()) == {True, False}
    x = torch.randn(2, 3, side, side)
    with torch.no_grad():
        want = network(x)
    with front_of(network, chain, narrow=True) as front:
        train_mode(network)
        got = network(front.learning(x) if front else x)
        torch.nn.functional.cross_entropy(got.float(), torch.tensor([0, 1])).backward()
        network.eval()
        near = network(front.learning(x) if front else x)
    assert torch.allclose(near, want, rtol=0.1, atol=0.1 * float(want.abs().max()))
    assert not any(p.grad is not None for k, p in network.named_parameters() if not learns[k])
    assert any(float(p.grad.abs().sum()) > 0 for p in network.parameters() if p.grad is not None)


def test_the_front_of_a_trained_network_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file, save_file

    torch.manual_seed(1)
    weights = tmp_path / "w.safetensors"
    save_file(build("test_resnet", 3).state_dict(), weights)
    section = {
        "arch": "test_resnet", "weights": str(weights), "size": 64, "epochs": 1, "threads": 1, "precision": "fp32",
    }  # fmt: skip
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=8, train=section)
    monkeypatch.setattr("keepset.train.head.STRENGTHS", (1e-8,))  # so weak that fine-tuning wins
    record = load_record(ws, train(ws, cfg).outputs["model_id"])
    assert record.winner == "fine_tuned"
    a, start = load_file(ws.models / record.id / "weights.safetensors"), load_file(weights)
    moved = {k for k in a if k in start and a[k].shape == start[k].shape and not torch.equal(a[k], start[k])}
    assert moved
    assert not any(k.startswith(("conv1", "bn1", "layer1")) for k in moved)


def test_what_the_model_is_judged_by_has_no_part_in_choosing_it(tmp_path: Path) -> None:
    """Other labels on validation and test images leave the linear head, its strength with it, as it is."""
    from tests.test_train import relabel

    ws, cfg, _ = dataset_workspace(
        tmp_path, per_class=10, train={"arch": "lite0", "epochs": 0, "threads": 1, "size": 64}
    )
    held_out = [r["sha256"] for r in ws.current_dataset().rows() if r["split"] != "train"]
    weights = [(ws.models / train(ws, cfg).outputs["model_id"] / "weights.safetensors").read_bytes()]
    others = dict(zip(cfg.labels, np.roll(cfg.labels, 1).tolist(), strict=True))

    def change(r: dict[str, Any]) -> None:
        if r["sha256"] in held_out:
            r.update(label=others[r["label"]], split="test" if r["sha256"] == held_out[0] else r["split"])

    relabel(ws, change)
    weights.append((ws.models / train(ws, cfg).outputs["model_id"] / "weights.safetensors").read_bytes())
    assert len(set(weights)) == 1
