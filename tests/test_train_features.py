"""Features: flat cache files that survive kills, packaged bodies without a data set, several bodies side by side."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keepset import manifests
from keepset.errors import ModelError
from keepset.models import load_record
from keepset.models.features import ModelFeatures, units
from keepset.train import features, train
from keepset.train.networks import bodies_of, build, features_and_logits, parts
from keepset.train.rows_file import RowsFile
from keepset.train.weights import create_network, imagenet_head
from tests.factories import Told, dataset_workspace
from tests.processes import started

SMALL = {"arch": "lite0+lite1", "epochs": 0, "threads": 1, "size": 64}


def names(n: int, first: int = 0) -> list[str]:
    return [f"{i:064x}" for i in range(first, first + n)]


def test_rows_are_read_in_any_order_and_kept_once(tmp_path: Path) -> None:
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    one, other = RowsFile(tmp_path, 3), RowsFile(tmp_path, 3)
    one.append(names(4), rows)
    other.append(names(3, first=2), rows[:3] + 100)  # two of them stand already
    assert one.missing([*names(6), names(1)[0]]) == names(1, first=5)
    assert np.array_equal(one.read(names(5)[::-1]), np.vstack([rows[2:3] + 100, rows[::-1]]))
    assert np.array_equal(RowsFile(tmp_path, 3).read(names(4)), rows)
    assert one.read([]).shape == (0, 3)


@pytest.mark.parametrize(("shas_cut", "rows_cut", "left"), [(7, 0, 3), (0, 5, 3), (40, 0, 2), (0, 0, 4)])
def test_what_a_kill_left_half_written_is_written_again(
    tmp_path: Path, shas_cut: int, rows_cut: int, left: int
) -> None:
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    RowsFile(tmp_path, 3).append(names(4), rows)
    for name, cut in (("shas", shas_cut), ("rows", rows_cut)):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) - cut])
    found = RowsFile(tmp_path, 3)
    assert found.missing(names(4)) == names(4 - left, first=left)
    found.append(names(4), rows)
    assert np.array_equal(RowsFile(tmp_path, 3).read(names(4)), rows)
    assert (tmp_path / "rows").stat().st_size == 4 * 3 * 4


def test_several_processes_append_to_one_cache(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path; from keepset.train.rows_file import RowsFile\n"
        "store, of = RowsFile(Path(sys.argv[1]), 8), int(sys.argv[2])\n"
        "for i in range(of, 300 + of): store.append([f'{i:064x}'], np.full((1, 8), i, np.float32))"
    )
    running = [started(code, tmp_path, of) for of in (0, 100, 200)]
    assert [(p.communicate(), p.returncode)[1] for p in running] == [0, 0, 0]
    found = RowsFile(tmp_path, 8).read(names(500))
    assert np.array_equal(found, np.repeat(np.arange(500, dtype=np.float32)[:, None], 8, axis=1))
    assert (tmp_path / "shas").stat().st_size == 500 * 32


def test_packaged_features_need_no_data_set_and_training_uses_them(tmp_path: Path) -> None:
    ws, cfg, truth = dataset_workspace(tmp_path, per_class=4, train=SMALL)
    kept = ws.dataset(1).rename(tmp_path / "kept")
    shas, told = list(truth), Told()
    found = features.of_packaged(ws, "lite0", shas, told, cfg.train)
    assert (found.shape, found.dtype) == ((12, 1280), np.float32)
    assert ("computing image features", 12) in told.begun
    again = Told()
    assert np.array_equal(features.of_packaged(ws, "lite0", shas[::-1], again, cfg.train), found[::-1])
    assert again.begun == []
    kept.rename(ws.dataset(1))
    model_id = train(ws, cfg).outputs["model_id"]
    kept = ModelFeatures.of(ws, model_id)
    order, raw = kept.sha256, kept.all()
    assert ModelFeatures.of(ws, model_id).widths == (1280, 1280)
    assert np.array_equal(raw[:, :1280], found[[shas.index(s) for s in order]])
    blocks = np.split(units(raw, (1280, 1280)), 2, axis=1)
    assert all(np.allclose(np.linalg.norm(b, axis=1), 1, atol=1e-5) for b in blocks)
    assert len(list((ws.cache / "features").iterdir())) == 2  # one per body, not one per combination
    with pytest.raises(ModelError, match="No weights are packaged"):
        features.of_packaged(ws, "resnet18", shas)


def test_the_packaged_head_is_the_network_s_own() -> None:
    import torch

    head = imagenet_head("lite0")
    weight, bias = head
    assert (weight.shape, bias.shape) == ((1000, 1280), (1000,))
    network: Any = create_network("lite0", 1000, "packaged").eval()
    with torch.no_grad():
        raw, logits = features_and_logits(network, torch.randn(2, 3, 64, 64))
    assert np.allclose(raw.numpy() @ weight.T + bias, logits.numpy(), atol=1e-4)
    assert imagenet_head("resnet18") is None
    assert imagenet_head("lite0+lite1") is None


def test_several_networks_are_one_classifier_that_is_served_too(tmp_path: Path) -> None:
    """timm's and torchvision's mix; the exported file gives the features that training saved, and the distance to them."""
    from keepset.export.onnx import export_model, load_network
    from keepset.predict import load

    section = {**SMALL, "arch": "resnet10t+torchvision.shufflenet_v2_x0_5", "weights": "none"}
    ws, cfg, truth = dataset_workspace(tmp_path, per_class=5, train=section)
    record = load_record(ws, train(ws, cfg).outputs["model_id"])
    kept = ModelFeatures.of(ws, record.id)
    order, raw = kept.sha256, kept.all()
    widths = ModelFeatures.of(ws, record.id).widths
    assert widths == (512, 1024)
    network = load_network(ws, record)
    assert len(bodies_of(network)) == 2
    predictor = load(export_model(ws, record.id))  # which compares it with torch
    pixels = np.stack([predictor.prepare(ws.blob(s)) for s in order])
    served = predictor._session.run(["features"], {"pixels": pixels})[0]
    assert np.allclose(served, raw, atol=1e-3)
    rows = manifests.read(ws.models / record.id / "predictions.parquet", "predictions").rows()
    said = {r["sha256"]: r["predicted"] for r in rows}
    away = {r["sha256"]: r["ood_distance"] for r in rows if r["split"] == "valid"}
    assert all(predictor.predict(ws.blob(s)).distance == pytest.approx(d, abs=1e-3) for s, d in away.items())
    assert [predictor.predict(ws.blob(s)).label for s in truth] == [said[s] for s in truth]


def test_names_are_split_and_wrong_ones_named() -> None:
    assert parts("lite0 + torchvision.resnet18") == ("tf_efficientnet_lite0", "torchvision.resnet18")
    for arch in ("lite0+resnet3f", "lite0+"):
        with pytest.raises(ModelError, match=r"No classifier is called '(resnet3f|)'"):
            build(arch, 3)


@pytest.mark.parametrize("odd", ["deit_tiny_distilled_patch16_224", "levit_128s"])
def test_a_network_without_one_linear_head_is_refused_beside_others_too(tmp_path: Path, odd: str) -> None:
    section = {**SMALL, "arch": f"resnet10t+{odd}", "weights": "none", "size": 224}
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=4, train=section)
    with pytest.raises(ModelError, match="does not end in one linear layer"):
        train(ws, cfg)


def test_features_do_not_depend_on_the_number_of_cores(tmp_path: Path) -> None:
    import torch

    before, found = torch.get_num_threads(), []
    for threads in (1, 3):
        ws, cfg, truth = dataset_workspace(tmp_path / str(threads), per_class=60, train=SMALL)
        torch.set_num_threads(threads)
        found.append(features.of_packaged(ws, "lite0", sorted(truth), config=cfg.train))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert np.array_equal(*found)


def test_features_do_not_depend_on_what_else_was_asked_for(tmp_path: Path) -> None:
    """Validation asks for all images, training for those in use, a later run for the new ones: to the last bit the same."""
    ws, cfg, truth = dataset_workspace(tmp_path, per_class=7, train=SMALL)
    shas = list(truth)
    together = features.of_packaged(ws, "lite0", shas, config=cfg.train)
    for some in (shas[:1], shas[3:6], shas[::-2]):
        shutil.rmtree(ws.cache / "features")
        apart = features.of_packaged(ws, "lite0", some, config=cfg.train)
        assert np.array_equal(apart, together[[shas.index(s) for s in some]])
