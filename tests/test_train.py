from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keepset import manifests
from keepset.errors import ModelError, TrainingError
from keepset.models import list_models, load_record
from keepset.review import review
from keepset.train import train
from keepset.train.finder import DEFAULT, SANE, advice
from keepset.train.head import cross_validate, fit_head, softmax
from keepset.workspace import Workspace
from tests.factories import add_revision, dataset_workspace
from tests.factories import config as drawn_config
from tests.processes import ran

QUICK = {"arch": "lite0", "epochs": 0, "threads": 1}
LRS = np.geomspace(1e-4, 1.0, 16)


def relabel(ws: Workspace, change: Any) -> None:
    """A second revision with changed rows."""
    rows = ws.current_dataset().rows()
    for r in rows:
        change(r)
    add_revision(ws, rows, "batch:x")


def test_a_model_is_trained_once_and_knows_how_good_it_is(tmp_path: Path) -> None:
    ws, cfg, truth = dataset_workspace(tmp_path, per_class=14, flips=2, train=QUICK)
    done = train(ws, cfg)
    again = train(ws, cfg)
    assert (done.changed, again.changed) == (True, False)
    assert done.outputs == again.outputs
    record = load_record(ws, done.outputs["model_id"])
    assert record.classes == cfg.labels
    assert record.winner == "linear_head"
    assert (record.seed, record.threads) == (cfg.seed, 1)
    folder = ws.models / record.id
    rows = manifests.read(folder / "predictions.parquet", "predictions").rows()
    assert {r["sha256"] for r in rows} == set(truth)
    for r in rows:
        assert np.isclose(sum(r["model_probs"]), 1, atol=1e-4)
        assert np.isclose(sum(r["cv_probs"]), 1, atol=1e-4)
        assert r["predicted"] == cfg.labels[int(np.argmax(r["model_probs"]))]
    valid = [r for r in rows if r["split"] == "valid"]
    assert record.metrics["valid"]["errors"] == sum(r["predicted"] != r["label"] for r in valid)
    right = np.mean([r["cv_predicted"] == truth[r["sha256"]] for r in rows])
    assert right > 0.8  # a pretrained body tells drawn apples, boats and houses apart
    assert ws.promoted() is None  # putting it in use is another stage's business


@pytest.mark.slow
def test_fine_tuning_learns_and_the_better_contender_is_kept(tmp_path: Path) -> None:
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=10, train={**QUICK, "epochs": 1, "size": 128, "batch_size": 8})
    record = load_record(ws, train(ws, cfg).outputs["model_id"])
    assert [(h["phase"], h["epoch"]) for h in record.history] == [("head", 0), ("fine_tune", 0)]
    assert all(np.isfinite(h["train_loss"]) and h["train_loss"] < 3 for h in record.history)
    assert all(0 < h["train_plain_loss"] < 3 for h in record.history)
    assert all(1 <= len(h["rates"]) <= 24 and h["rates"][-1] == h["lr"] for h in record.history)
    held_out = {k: v["nll"] for k, v in record.candidates.items() if k != "why"}
    assert record.winner == min(held_out, key=lambda k: held_out[k])
    curve = [np.array(record.lr_find[k]) for k in ("lrs", "losses")]
    assert record.lr_find == advice(*curve)  # what the record says was read off this curve
    assert 0.3 < max(record.history[-1]["rates"]) / record.lr_find["chosen"] <= 0.5  # three steps, half the rate
    assert len(record.lr_find["lrs"]) == len(record.lr_find["losses"]) > 5


def test_same_seed_and_threads_give_the_same_bytes(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        ws, cfg, _ = dataset_workspace(tmp_path / name, per_class=6, train={**QUICK, "size": 96})
        model_id = train(ws, cfg).outputs["model_id"]
        weights = (ws.models / model_id / "weights.safetensors").read_bytes()
        digests.append((model_id, hashlib.sha256(weights).hexdigest()))
    assert digests[0] == digests[1]


def test_as_many_threads_as_asked_for_wherever_it_runs(tmp_path: Path) -> None:
    """BLAS takes its threads from the environment; the sums of a distance depend on how many share them."""
    code = (
        "import sys; from pathlib import Path; from keepset.workspace import Workspace\n"
        "from keepset.review import review\nfrom keepset.train import train\n"
        "ws = Workspace.open(Path(sys.argv[1])); train(ws, ws.config()); review(ws, ws.config(), everything=True)"
    )
    said = []
    for place in ("here", "there"):  # the tests themselves have one thread
        (tmp_path / place).mkdir()
        ws, cfg, _ = dataset_workspace(tmp_path / place, per_class=17, train={**QUICK, "size": 64})
        if place == "there":
            ran(code, ws.root, OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2")
        else:
            train(ws, cfg)
            review(ws, cfg, everything=True)
        paths = (*ws.models.glob("*/predictions.parquet"), *ws.batches.glob("*/candidates.parquet"))
        said.append([manifests.read_header(path).content_hash for path in paths])
    assert len(said[0]) == 2
    assert said[0] == said[1]


def test_exact_copies_count_once(tmp_path: Path) -> None:
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=6, train={**QUICK, "size": 96})
    first, second = [r["sha256"] for r in ws.current_dataset().rows() if r["label"] == "apple"][:2]

    def change(r: dict[str, Any]) -> None:
        if r["sha256"] == second:
            r.update(dup_of=first, dup_kind="exact")

    relabel(ws, change)
    folder = ws.models / train(ws, cfg).outputs["model_id"]
    rows = manifests.read(folder / "predictions.parquet", "predictions").rows()
    assert second not in {r["sha256"] for r in rows}
    assert first in {r["sha256"] for r in rows}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r.update(active=r["label"] != "boat"), "'boat' has 0 training images"),
        (lambda r: r.update(active=r["label"] != "boat" or r["fold"] == 1), "'boat' has 1 training images"),
        (lambda r: r.update(split="train"), "no validation image"),
        (lambda r: r.update(label="car" if r["label"] == "boat" else r["label"]), "'car', which is not a class"),
    ],
)
def test_data_that_cannot_be_trained_on_is_named(tmp_path: Path, change: Any, says: str) -> None:
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=4, train=QUICK)
    relabel(ws, change)
    with pytest.raises(TrainingError, match=says):
        train(ws, cfg)
    assert list_models(ws) == []


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"arch": "resnet9000"}, "No classifier is called"),
        ({"arch": "resnet18"}, "No weights are packaged"),
        ({"arch": "torchvision.resnet9000"}, "Did you mean"),
        ({"arch": "torchvision.squeezenet1_0", "weights": "none", "size": 64}, "does not end in one linear layer"),
        ({"arch": "vit_tiny_patch16_224", "weights": "none", "size": 64}, "cannot look at 64 px"),
        ({"weights": "/nowhere/w.safetensors"}, "no weights file"),
        ({"device": "mps"}, "no mps device"),
    ],
)
def test_a_wrong_recipe_is_named(tmp_path: Path, section: dict[str, Any], says: str) -> None:
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=4, train={**QUICK, **section})
    with pytest.raises(ModelError, match=says):
        train(ws, cfg)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "w.safetensors")
    ws, _, _ = dataset_workspace(tmp_path, per_class=4, train=QUICK)
    cfg = drawn_config(tmp_path, train={**QUICK, "weights": str(tmp_path / "w.safetensors")})
    with pytest.raises(ModelError, match="another architecture"):
        train(ws, cfg)


def test_the_side_heads_of_published_weights_are_left_out() -> None:
    """torchvision's Inception and GoogLeNet come with some, which ``build`` takes off."""
    from keepset.train.networks import build
    from keepset.train.weights import _load

    network = build("torchvision.mobilenet_v3_small", 3)
    state = {k: v + 1 for k, v in network.state_dict().items()}
    _load(network, state | {"aux1.fc1.weight": state["features.0.0.weight"]}, "the weights")
    assert (network.state_dict()["features.0.0.weight"] == state["features.0.0.weight"]).all()
    with pytest.raises(ModelError, match=r"for example other\.weight"):
        _load(network, state | {"other.weight": state["features.0.0.weight"]}, "the weights")


def test_a_network_whose_head_is_a_convolution_trains_and_serves_too(tmp_path: Path) -> None:
    """timm's and torchvision's ordinary ones: ``test_train_features.py``."""
    from keepset.export.onnx import export_model

    section = {**QUICK, "arch": "dla46_c", "weights": "none", "size": 64}
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=4, train=section)
    record = load_record(ws, train(ws, cfg).outputs["model_id"])
    assert record.arch == "dla46_c"
    assert export_model(ws, record.id).is_file()  # which compares it with torch


def test_a_network_is_fine_tuned_from_a_file_of_torch(tmp_path: Path) -> None:
    """As torchvision saves one: a thousand classes, under its own names."""
    import torch
    import torchvision
    from safetensors.torch import load_file

    torch.manual_seed(0)
    start = torchvision.models.resnet18().state_dict()
    torch.save(start, tmp_path / "w.pth")
    section = {
        "arch": "torchvision.resnet18", "weights": str(tmp_path / "w.pth"), "size": 64, "epochs": 1, "head_epochs": 0,
        "batch_size": 8, "threads": 1,
    }  # fmt: skip
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=6, flips=1, train=section)
    record = load_record(ws, train(ws, cfg).outputs["model_id"])
    assert set(record.candidates) == {"linear_head", "fine_tuned", "mean_of_both", "why"}
    held = load_file(ws.models / record.id / "weights.safetensors")
    first = next(iter(start))
    fronts = [v for k, v in held.items() if k.split(".", 2 if k.startswith("bodies.") else 0)[-1] == first]
    assert fronts
    assert all(torch.equal(front, start[first]) for front in fronts)  # the frozen front is the file's


def test_weights_come_from_files_and_belong_to_the_model_id(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from keepset.train.networks import build

    file = tmp_path / "w.safetensors"
    section = {**QUICK, "arch": "test_resnet", "size": 64}
    ws, _, _ = dataset_workspace(tmp_path, per_class=4, train=QUICK)
    ids = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        save_file(build("test_resnet", 9).state_dict(), file)
        done = train(ws, drawn_config(tmp_path, train={**section, "weights": str(file)}))
        ids.append((done.outputs["model_id"], done.changed))
    assert ids[0][0] == ids[1][0] != ids[2][0]  # the same path, other weights: another model
    assert [changed for _, changed in ids] == [True, False, True]
    torch.save({"state_dict": build("test_resnet", 9).state_dict()}, tmp_path / "w.pth")
    assert train(ws, drawn_config(tmp_path, train={**section, "weights": str(tmp_path / "w.pth")})).changed


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("/tmp/keepset-was-owned"),))


def test_a_weights_file_that_is_none_is_refused_and_never_run(tmp_path: Path) -> None:
    import pickle

    import torch

    ws, _, _ = dataset_workspace(tmp_path, per_class=4, train=QUICK)
    (tmp_path / "cut.safetensors").write_bytes(b"\xff" * 100)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
    torch.save({"weight": Evil()}, tmp_path / "evil.pt")
    (tmp_path / "text.pth").write_text("no weights at all")
    for name, says in (
        ("cut.safetensors", "safetensors"),
        ("evil.pth", "not loaded"),
        ("evil.pt", "not loaded"),
        ("text.pth", "not"),
    ):
        cfg = drawn_config(tmp_path, train={**QUICK, "weights": str(tmp_path / name)})
        with pytest.raises(ModelError, match=says):
            train(ws, cfg)
    assert not Path("/tmp/keepset-was-owned").exists()


def test_a_loss_that_is_no_number_says_what_to_do(tmp_path: Path) -> None:
    section = {"arch": "test_resnet", "weights": "none", "size": 64, "threads": 1, "epochs": 1, "lr": 1e30}
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=6, train=section)
    with pytest.raises(TrainingError, match="loss became") as e:
        train(ws, cfg)
    assert "lower [train] lr" in e.value.remedy
    assert list_models(ws) == []


def test_oversampling_draws_rare_classes_as_often_and_is_off_by_default(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from keepset.train.steps import order

    labels = np.array([0] * 90 + [1] * 10)
    for wanted, rare in ((False, 10), (True, 50)):
        cfg = drawn_config(tmp_path, train={"oversample": wanted}).train
        task: Any = SimpleNamespace(config=cfg, seed=1, train_shas=["x"] * 100, train_labels=labels)
        drawn = [int((labels[order(task, 0, epoch)] == 1).sum()) for epoch in range(40)]
        assert np.mean(drawn) == pytest.approx(rare, abs=3)
    assert drawn_config(tmp_path).train.oversample is False


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    ws, _, _ = dataset_workspace(tmp_path, per_class=2)
    with pytest.raises(ModelError, match="none yet"):
        load_record(ws, "f" * 16)


def test_the_head_separates_what_is_separable_and_scores_out_of_sample() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    features = rng.normal(0, 1, (120, 16)) + np.eye(16)[labels] * 6
    head = fit_head(features, labels, 4, 0.1)
    assert (softmax(head.logits(features)).argmax(1) == labels).all()
    assert head.bias[3] < -10  # a class that was never seen is never said
    noise = rng.normal(0, 1, (120, 16))
    (probs,) = cross_validate(noise, labels, np.arange(120) % 5, 3, (0.1,))
    assert (probs.argmax(1) == labels).mean() < 0.55  # in sample it would be far better than chance


def test_bodies_that_differ_only_in_statistics_or_structure_share_no_features() -> None:
    import timm
    import torch

    from keepset.models import Preprocess
    from keepset.train.features import body_id

    spec = Preprocess(resize=224, crop=224, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bilinear")
    network = timm.create_model("resnet18", pretrained=False, num_classes=3)
    before = body_id(network, spec)
    with torch.no_grad():
        network.get_classifier().weight.add_(1.0)
    assert body_id(network, spec) == before  # the head is no part of the body
    network.bn1.running_mean.add_(1.0)
    other = body_id(network, spec)
    assert other != before
    network.act1 = torch.nn.GELU()
    assert body_id(network, spec) != other


def test_a_tiny_validation_set_makes_nothing_quite_certain() -> None:
    from keepset.train.results import calibrate

    rng = np.random.default_rng(1)
    labels = np.arange(2000) % 3
    logits = rng.normal(0, 1, (2000, 3)) + 2.0 * np.eye(3)[labels]
    right = np.flatnonzero(logits.argmax(1) == labels)[:16]
    assert 0.7 < calibrate(logits[right], labels[right]) < 1  # 0 errors of 16; without a prior 0.25, everything sure
    assert calibrate(logits * 3, labels) == pytest.approx(3 * calibrate(logits, labels), rel=0.1)  # many images decide


# -- what the rate finder reads off a curve


def test_the_valley_lies_on_the_fall_before_the_explosion() -> None:
    losses = np.array([0.36, 0.34, 0.30, 0.22, 0.10, 0.05, 0.02, 0.06, 60.0, 25.0])  # it falls again from far above
    found = advice(LRS[: len(losses)], losses)
    assert found["valley"] == pytest.approx(LRS[3])
    assert found["chosen"] == pytest.approx(LRS[3])
    assert found["lrs"] == LRS[: len(losses)].tolist()


@pytest.mark.parametrize(("shift", "end"), [(1e-3, SANE[0]), (1e3, SANE[1])])
def test_the_advice_is_kept_sane(shift: float, end: float) -> None:
    losses = np.linspace(1.0, 0.1, 10)
    assert advice(LRS[:10] * shift, losses)["chosen"] == end


@pytest.mark.parametrize("losses", [np.linspace(0.1, 2.0, 9), np.array([0.1, np.nan, 1.0, 1.0, 1.0, 1.0]), np.ones(3)])
def test_a_curve_that_says_nothing_gives_the_default(losses: np.ndarray) -> None:
    found = advice(LRS[: len(losses)], losses)
    assert (found["valley"], found["chosen"]) == (None, DEFAULT)
