"""Grad-CAM: it works on bodies of every kind, and it points at the thing that the network goes by."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keepset import manifests
from keepset.errors import ModelError
from keepset.files import read_json
from keepset.images.pixels import Preprocess
from keepset.interpret import interpret
from keepset.interpret.cam import grad_cam, spread
from keepset.interpret.cam_pictures import where_it_looked
from keepset.models import load_record
from keepset.stages import SILENT
from keepset.train import train
from tests.factories import dataset_workspace

SPEC = Preprocess(resize=96, crop=64)


def pixels(side: int = 64) -> Any:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "convnext_atto", "test_vit", "test_vit2", "test_mambaout"])
def test_timm_bodies_of_every_kind(name: str) -> None:
    import timm
    import torch

    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=3)
    torch.nn.init.normal_(network.get_classifier().weight)
    side = network.pretrained_cfg["input_size"][-1] if "test" in name else 64
    seen = grad_cam(network, pixels(side), Preprocess(resize=side, crop=side), 1)
    assert min(seen.heat.shape) >= 2
    assert 0 <= seen.heat.min() <= seen.heat.max() <= 1
    assert 0 < spread(seen.heat) <= 1


@pytest.mark.parametrize("name", ["resnet18", "swin_t", "squeezenet1_0"])
def test_torchvision_bodies_too(name: str) -> None:
    import torch
    import torchvision

    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(num_classes=3)
    assert min(grad_cam(network, pixels(), SPEC, 0).heat.shape) >= 2


def test_a_network_without_positions_is_named() -> None:
    import torch

    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64 * 64 * 3, 3))
    with pytest.raises(ModelError, match="no grid of positions in Sequential"):
        grad_cam(network, pixels(), SPEC, 0)


def test_it_points_at_what_the_network_goes_by() -> None:
    """A network that answers by how bright a place is must be seen to look at the bright place."""
    import torch

    class Bright(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool, self.gain = torch.nn.AvgPool2d(8), torch.nn.Parameter(torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.pool(x.clamp(min=0)).mean((1, 2, 3))[:, None] * self.gain

    dark = np.zeros((64, 64, 3), np.uint8)
    dark[40:56, 8:24] = 255
    x, y = grad_cam(Bright(), dark, SPEC, 2).centre()
    assert (x, y) == pytest.approx((0.25, 0.75), abs=0.01)


def test_networks_side_by_side_are_looked_at_together() -> None:
    """The map is the sum of theirs: one with hardly any weight in the head adds hardly anything."""
    import torch

    from keepset.train.networks import bodies_of, build, width

    torch.manual_seed(0)
    both = build("torchvision.resnet18+tf_efficientnet_lite0", 3).eval()
    head: Any = both.get_submodule("head")
    torch.nn.init.normal_(head.weight, std=0.1)
    together = grad_cam(both, pixels(), SPEC, 1).heat
    with torch.no_grad():
        head.weight[:, width(bodies_of(both)[0]) :] *= 1e-6
    first = grad_cam(both, pixels(), SPEC, 1).heat
    assert first.shape == together.shape
    assert not np.allclose(first, together, atol=1e-3)
    alone = build("torchvision.resnet18", 3).eval()
    state = {k.removeprefix("bodies.0."): v for k, v in both.state_dict().items() if k.startswith("bodies.0.")}
    alone.load_state_dict(state, strict=False)
    with torch.no_grad():
        alone.get_submodule("fc").weight.copy_(head.weight[:, : width(alone)])  # type: ignore[operator, union-attr]
    assert np.allclose(first, grad_cam(alone, pixels(), SPEC, 1).heat, atol=1e-5)


def test_the_report_shows_where_a_trained_model_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = {"epochs": 0, "threads": 1, "size": 64}
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=8, flips=3, size=(96, 72), train=section)
    record = load_record(ws, train(ws, cfg).outputs["model_id"])
    said = manifests.read(ws.models / record.id / "predictions.parquet", "predictions").rows()
    held_out = sorted(
        (r for r in said if r["split"] == "valid"), key=lambda r: (r["label"] == r["predicted"], -r["loss"])
    )
    ws.blob(held_out[0]["sha256"]).write_bytes(b"gone bad")
    assert interpret(ws, cfg).changed
    rows = read_json(ws.reports / record.id / "report.json")["looks"]
    html = (ws.reports / record.id / "report.html").read_text()
    assert [r["readable"] for r in rows] == [False] + [True] * (len(rows) - 1)
    assert all(0 < r["spread"] <= 1 for r in rows[1:])
    assert len(rows) == 6
    assert "Where it looked" in html
    monkeypatch.setattr("time.process_time", itertools.count(0, 10).__next__)  # each takes ten seconds or more
    few = where_it_looked(ws, record, read_json(ws.reports / record.id / "report.json")["top_losses"], SILENT, 35.0)
    assert (len(few.rows), few.left_out, few.seconds) == (2, 4, 40)
