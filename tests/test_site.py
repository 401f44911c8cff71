"""The exported site in a real Chromium: the same answers as Python, from static files alone, at last without a server."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from PIL import Image

import keepset.site as site_of
from keepset import manifests
from keepset.errors import StageError, WorkspaceError
from keepset.export.dataset import Format, export_dataset
from keepset.models import load_record
from keepset.predict import Predictor, load
from keepset.site import SiteOptions, export_site
from keepset.site.fitting import fitted
from keepset.site.pictures import credits_of
from keepset.site.runtime import PACKAGE, VERSION, browser_runtime
from keepset.site.smaller import Precision, variants
from tests.browser_fixtures import Browser
from tests.factories import saved
from tests.predict_fixtures import Served
from tests.processes import serving_folder
from tests.test_cli import run
from tests.test_gallery_browser import _troubles
from tests.test_hostile_images import GOOD

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_PIXELS = """async (names) => {
  const facts = await (await fetch("site.json")).json();
  const { prepared } = await import(location.origin + "/worker.js");
  const files = await Promise.all(names.map(async (name) => (await fetch("given/" + name)).blob()));
  const found = await Promise.all(files.map((file) => prepared(file, facts)));
  return found.map((pixels) => btoa(Array.from(pixels, (x) => String.fromCharCode(x)).join("")));
}"""


@pytest.fixture(scope="module")
def site(template_case: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        browser_runtime(None)
    except StageError as e:
        pytest.skip(f"{PACKAGE} is neither in the cache nor to be had: {e.message}")
    to = tmp_path_factory.mktemp("exported") / "site"
    assert export_site(template_case.ws, to).changed
    return to


def _pictures(case: Served) -> dict[str, bytes]:
    """As a person has them: turned by a phone, of several megapixels, tall, transparent, and of every format."""
    drawn = Image.open(io.BytesIO(case.pictures[0])).convert("RGB")
    found = {f"good-{name}": data for name, data in GOOD.items() if name in ("jpeg", "png", "gif", "webp", "bmp")}
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        turned = drawn.resize((1277 + turn, 1011))
        found[f"turned-{turn}"] = saved(turned, exif=exif, quality=90, subsampling=0)
    for name, size in (("large", (4000, 3000)), ("tall", (300, 1500)), ("tiny", (40, 30))):
        found[name] = saved(drawn.resize(size, Image.Resampling.BICUBIC), "PNG")
    return found


def test_the_same_answers_as_python_without_any_server(
    browser: Browser, site: Path, template_case: Served, tmp_path: Path
) -> None:
    pictures, model = _pictures(template_case), load(template_case.ws.root)
    shutil.copytree(site, tmp_path / "site")
    (tmp_path / "site" / "given").mkdir()
    for name, data in pictures.items():
        (tmp_path / "site" / "given" / name).write_bytes(data)
    (tmp_path / "broken.jpg").write_bytes(template_case.pictures[0][:2000])
    server = contextlib.ExitStack()
    url = f"http://127.0.0.1:{server.enter_context(serving_folder(tmp_path / 'site'))}/"
    asked: list[str] = []
    with browser.page(color_scheme="dark", viewport={"width": 360, "height": 740}) as page:
        page.on("request", lambda r: asked.append(r.url))
        page.goto(url)
        page.set_input_files("#files", [tmp_path / "site" / "given" / n for n in pictures] + [tmp_path / "broken.jpg"])
        page.get_by_text(f"{len(pictures) + 1} of {len(pictures) + 1} done.").wait_for()
        for name, data in pictures.items():
            python, card = (
                model.predict(data),
                page.locator(".answer", has_text=name).filter(has=page.get_by_text(name, exact=True)),
            )
            names = [t.strip() for t in card.locator(".bars th").all_inner_texts()]
            shares = [int(t.split()[-2]) / 100 for t in card.locator(".bars .share").all_inner_texts()]
            # an untrained head makes much of a byte that was rounded the other way
            assert dict(zip(names, shares, strict=True)) == pytest.approx(python.probabilities, abs=0.05), name
            if python.probability > 0.6:
                assert card.locator("h2").inner_text().split()[0] == python.label
            if abs(python.distance - model.far) > 0.02:
                assert card.locator(".doubt.unfamiliar").is_visible() == python.unfamiliar, name
            if abs(python.probability - model.unsure_below) > 0.05:
                assert card.locator(".doubt.unsure").is_visible() == (python.outcome == "unsure"), name
        assert "This is not a picture that this browser can read" in page.locator(".answer.failed").inner_text()
        for name, text in zip(pictures, page.evaluate(_PIXELS, list(pictures)), strict=True):
            off = np.frombuffer(base64.b64decode(text), np.uint8).astype(int) - model.prepare(pictures[name]).ravel()
            assert np.abs(off).max() <= (3 if name.startswith("turned") else 1), (
                name
            )  # libjpeg's own smaller scales round
            assert np.abs(off).mean() < (0.3 if name.startswith("turned") else 0.01), name
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        server.close()
        page.goto(url)
        page.locator(".sample").first.click()
        card = page.locator(".answer:not(.waiting)")
        card.wait_for()
        said = card.locator("h2").inner_text().split()[0]
        assert said == model.predict((site / "sample-1.jpg").read_bytes()).label
        assert card.locator(".similar li").count() == 3
        assert "cc-by-4.0" in card.locator(".similar li").first.inner_text()
        assert page.evaluate("crossOriginIsolated")  # several threads, from the second visit on
        page.goto(url + "about.html")
        assert "cc-by-4.0" in page.inner_text("main")
        page.goto(url + "no/such/page")
        assert page.url == url
    assert {a for a in asked if not a.startswith((url, f"blob:{url}"))} == set()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 320)])
def test_axe_finds_nothing(browser: Browser, site: Path, scheme: Any, width: int) -> None:
    size = {"width": width, "height": 800}
    with serving_folder(site) as port, browser.page(color_scheme=scheme, viewport=size, bypass_csp=True) as page:
        page.goto(f"http://127.0.0.1:{port}/about.html")
        assert _troubles(page) == []
        page.goto(f"http://127.0.0.1:{port}/")
        page.locator(".sample").first.click()
        page.locator(".answer:not(.waiting)").wait_for()
        assert _troubles(page) == []


def test_a_site_is_whole_small_and_says_whom_to_credit(
    site: Path, template_case: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "export", "site", "--to", site, "-w", template_case.ws.root, "--json")
    assert (code, json.loads(out)["changed"]) == (0, False)
    with pytest.raises(WorkspaceError, match="holds another export: site of the data set"):
        export_dataset(template_case.ws, Format.CSV, site)
    code, _, err = run(capsys, "export", "csv", "--to", site, "-w", template_case.ws.root, "--all-pictures")
    assert code == 2
    assert "are about a site" in err
    assert sum(p.stat().st_size for p in site.rglob("*")) <= site_of.MOST
    page = (site / "index.html").read_text()
    assert "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'" in page
    assert "http" not in page.replace("http-equiv", "").replace("http.server", "")
    front = (site / "README.md").read_text().split("---")[1]
    assert 'sdk: "static"' in front
    facts = json.loads((site / "site.json").read_text())
    shown = [k for k in facts["pictures"] if k]
    assert {k["license"] for k in shown} == {"cc-by-4.0"}
    assert (site / "attribution.csv").read_text().count("cc-by-4.0") == len(shown) + len(list(site.glob("sample-*")))


def test_pictures_that_nobody_licensed_are_not_shown(model_case: Served) -> None:
    rows = manifests.read(model_case.ws.images, "images").rows()
    licences = ["", "cc0", "cc-by-nc-4.0", "CC BY-SA 3.0", "cc-by-nd-4.0", "all rights reserved"]
    for row, licence in zip(rows, licences, strict=False):
        row["license"] = licence
    manifests.write(model_case.ws.images, rows, manifests.read_header(model_case.ws.images))
    free = credits_of(model_case.ws, every=False)
    assert [r["sha256"] in free for r in rows[: len(licences)]] == [False, True, False, True, False, False]
    assert len(credits_of(model_case.ws, every=True)) == len(rows)


def test_weights_are_only_as_coarse_as_the_room_asks_for(
    template_case: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = template_case.ws
    record = load_record(ws, str(ws.promoted()))
    path = ws.models / record.id / "model.onnx"
    predictor = Predictor(path)
    pixels = predictor.prepare(template_case.pictures[0])[None]
    exact, *coarser = list(variants(onnx.load(str(path))))
    wanted = ort.InferenceSession(exact[1]).run(None, {"pixels": pixels})
    sizes, off = [len(exact[1])], []
    for precision, data in coarser:
        found = ort.InferenceSession(data).run(None, {"pixels": pixels})
        off.append(max(float(np.abs(a - b).max()) for a, b in zip(wanted, found, strict=True)))
        sizes.append(len(data))
        assert precision in Precision
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 3.5
    assert 0 < off[0] < off[-1] < 1
    assert fitted(ws, record, path, 10**9).model == exact[1]
    for limit, coarsest in ((1.0, Precision.INT8), (-1.0, Precision.FLOAT32)):  # every error is small enough, and none
        monkeypatch.setattr("keepset.site.fitting.wilson", lambda errors, n, limit=limit: (0.0, limit))
        assert fitted(ws, record, path, sizes[-2] - 1).precision == coarsest


def test_without_the_runtime_the_remedy_is_named(
    template_case: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEEPSET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StageError, match="comes from npm, which is not installed") as e:
        export_site(template_case.ws, tmp_path / "out")
    assert f"npm pack {PACKAGE}@{VERSION}" in e.value.remedy
    assert "--runtime" in e.value.remedy
    package = tmp_path / "package"
    (package / "dist").mkdir(parents=True)
    with pytest.raises(StageError, match="is not the package"):
        browser_runtime(package)
    (package / "package.json").write_text('{"version": "0.0.1"}')
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        (package / "dist" / name).write_bytes(b"x")
    with pytest.raises(StageError, match=f"holds {PACKAGE} 0.0.1; {VERSION} is needed"):
        browser_runtime(package)
    (package / "package.json").write_text(json.dumps({"version": VERSION}))
    assert export_site(template_case.ws, tmp_path / "out", SiteOptions(runtime=package)).changed
    (tmp_path / "npm").write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n")
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(StageError, match=f"npm could not fetch {PACKAGE} {VERSION}: code ENOTFOUND"):
        browser_runtime(None)
    (tmp_path / "other.tgz").write_bytes(b"x")
    with pytest.raises(StageError, match="as npm published it"):
        browser_runtime(tmp_path / "other.tgz")
    assert not (tmp_path / "cache").exists()
