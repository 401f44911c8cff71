"""What the model looks at: the map that comes with an export, in the gallery and in the report."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from keepset.errors import ModelError
from keepset.export.onnx import export_model
from keepset.files import read_json
from keepset.images.heat import laid_over, seen_part
from keepset.images.pixels import Preprocess
from keepset.interpret import interpret
from keepset.predict import Predictor, load
from keepset.review import Batch, load_batch, review
from keepset.train import train
from keepset.train.networks import averages_of, build, features_and_logits, head_of
from keepset.workspace import Workspace
from tests.browser_fixtures import Browser, expect
from tests.factories import dataset_workspace
from tests.processes import PATIENCE_S
from tests.web_fixtures import served

SECTION = {"arch": "lite0+lite1", "epochs": 0, "threads": 1, "size": 64}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a model of two networks side by side, and an open batch."""
    ws, cfg, _ = dataset_workspace(tmp_path_factory.mktemp("heat"), per_class=8, flips=3, size=(96, 72), train=SECTION)
    export_model(ws, train(ws, cfg).outputs["model_id"])
    review(ws, cfg)
    return ws.root


@pytest.fixture
def batch(trained: Path, tmp_path: Path) -> Batch:
    """A copy of it."""
    shutil.copytree(trained, tmp_path / "ws")
    ws = Workspace.open(tmp_path / "ws")
    (folder,) = ws.batches.iterdir()
    return load_batch(ws, folder.name)


def _model(batch: Batch) -> Predictor:
    return load(batch.ws.models / batch.record.model_id)


def _address(batch: Batch, place: int = 0, query: str = "") -> str:
    return f"/batches/{batch.id}/pictures/{list(batch.rows())[place]}/heat.jpg{query}"


def test_what_the_positions_say_adds_up_to_what_the_model_says(batch: Batch) -> None:
    """Of any picture the mean of a class's map is its logit, but for the same constant."""
    model, rng = _model(batch), np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    pixels[1, :32] //= 3
    logits, maps = model._session.run(["logits", "maps"], {"pixels": pixels})
    assert maps.shape == (3, len(model.classes), 2, 2)
    constant = logits - maps.mean((2, 3))
    assert np.ptp(logits, axis=0).max() > 0.05
    assert np.allclose(constant, constant[0], atol=1e-4)
    heat = model.heat(pixels[0], model.classes[1])
    assert np.allclose(heat, maps[0, 1].clip(0) / maps[0, 1].max(), atol=1e-5)
    with pytest.raises(ModelError, match="does not know the class 'lynx'"):
        model.heat(pixels[0], "lynx")


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "dla46_c", "convnext_atto", "test_vit"])
def test_maps_come_from_networks_that_average_over_positions(name: str) -> None:
    import torch

    torch.manual_seed(0)
    network: Any = build(name, 3).eval()
    side = network.pretrained_cfg["input_size"][-1] if name == "test_vit" else 64
    found = averages_of(network, side)
    assert len(found) == (
        name not in ("mobilenetv3_small_050", "convnext_atto", "test_vit")
    )  # a layer follows the average
    if found:
        x, grids = torch.rand(2, 3, side, side), list[Any]()
        found[0].register_forward_pre_hook(lambda _, given: grids.append(given[0]))
        with torch.no_grad():
            logits = features_and_logits(network, x)[1]
            maps = torch.einsum("kd,ndhw->nkhw", head_of(network).weight.flatten(1), grids[0])
        assert torch.allclose(maps.mean((2, 3)) + head_of(network).bias, logits, atol=1e-4)


def test_the_gallery_lays_it_over_the_picture(batch: Batch) -> None:
    place, row = next((i, r) for i, r in enumerate(batch.rows().values()) if r["label"] != r["predicted"])
    with served(batch.ws.root) as url, httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S) as c:
        answer = c.get(_address(batch, place))
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/jpeg"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert Image.open(io.BytesIO(answer.content)).size == (96, 72)
        assert c.get(_address(batch, place)).content == answer.content
        assert c.get(_address(batch, place, "?for=given")).content != answer.content
        assert c.post(_address(batch)).status_code == 405
        assert c.get(_address(batch, place).replace(row["sha256"], "f" * 64)).status_code == 404
        batch.ws.blob(row["sha256"]).write_bytes(b"gone bad")
        asked = {"accept": "image/jpeg, application/json"}
        assert "gone or damaged" in c.get(_address(batch, place), headers=asked).json()["message"]
        (batch.ws.models / batch.record.model_id / "model.onnx").unlink()
        answer = c.get(_address(batch), headers=asked)
        assert answer.status_code == 400
        assert answer.json()["message"] == "The model of this batch is not exported yet."


def test_the_report_shows_it(batch: Batch) -> None:
    ws, cfg = batch.ws, batch.ws.config()
    assert interpret(ws, cfg).changed
    folder = ws.reports / batch.record.model_id
    first = read_json(folder / "report.json")["top_losses"][0]["sha256"]
    ws.blob(first).write_bytes(b"gone bad")
    shutil.rmtree(folder)
    assert interpret(ws, cfg).changed
    rows = read_json(folder / "report.json")["looks"]
    assert [r["readable"] for r in rows] == [False] + [True] * (len(rows) - 1)
    assert len(rows) == 6
    assert "Where it looked" in (folder / "report.html").read_text()


def test_a_network_that_cannot_tell_is_named(tmp_path: Path) -> None:
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=4, train=SECTION | {"arch": "convnext_atto", "weights": "none"})
    export_model(ws, model_id := train(ws, cfg).outputs["model_id"])
    with pytest.raises(ModelError, match="cannot tell where it looks"):
        load(ws.models / model_id).heat(np.zeros((64, 64, 3), np.uint8), cfg.labels[0])
    interpret(ws, cfg)
    assert "cannot tell where it looks" in (ws.reports / model_id / "report.html").read_text()


def test_heat_lies_over_what_the_network_saw() -> None:
    spec = Preprocess(resize=80, crop=64)
    assert seen_part((200, 100), spec) == (60, 10, 140, 90)
    heat = np.zeros((2, 2), np.float32)
    heat[0, 0] = 1
    shown = np.asarray(laid_over(Image.new("RGB", (200, 100), (100, 100, 100)), heat, (60, 10, 140, 90)))
    assert shown.shape == (100, 200, 3)
    assert (shown[:10] == 30).all()
    assert (shown[:, :60] == 30).all()
    red = shown[..., 0].astype(int)
    assert red[20, 70] > 150 > red[20, 130]
    assert red[80, 130] < 100


@pytest.mark.browser
def test_the_full_view_shows_it(batch: Batch, browser: Browser) -> None:
    place = next(i for i, r in enumerate(batch.rows().values()) if r["label"] != r["predicted"])
    sha = list(batch.rows())[place]
    row = batch.rows()[sha]
    with served(batch.ws.root) as url, browser.page(viewport={"width": 1400, "height": 900}) as page:
        looking = page.get_by_text("Looking …")
        page.route("**/heat.jpg", lambda route: (looking.wait_for(), route.continue_()))
        page.goto(f"{url}/batches/{batch.id}?sort=suspicion&at={place}")
        page.keyboard.press("w")
        said = page.locator("#full-peek")
        expect(said).to_contain_text(re.compile(rf"speaks? for ‘{re.escape(row['predicted'])}’"))
        expect(page.locator("#full-picture[src^='blob:']")).to_have_js_property("naturalWidth", 96)
        page.keyboard.press("w")
        expect(said).to_contain_text(re.compile(rf"speaks? for ‘{re.escape(row['label'])}’"))
        page.keyboard.press("w")
        page.wait_for_selector(f"#full-picture[src*='{sha}']")
        assert said.inner_text() == ""
        page.click(f"#full-body a.heat[data-label='{row['label']}']")
        page.wait_for_selector("#full-picture[src^='blob:']")
        page.keyboard.press("ArrowRight")  # another picture is shown as it is
        page.wait_for_selector("#full-picture:not([src^='blob:'])")
    with served(batch.ws.root) as url, browser.page(java_script_enabled=False) as plain:
        plain.goto(f"{url}/batches/{batch.id}/pictures/{sha}")
        link = plain.locator("a.heat").first
        assert re.fullmatch(rf"/batches/.*/{sha}/heat.jpg", link.get_attribute("href") or "")
        with plain.expect_response("**/heat.jpg") as answer:
            link.click()
        assert answer.value.status == 200
