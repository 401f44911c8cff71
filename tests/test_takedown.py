"""`keepset remove` and `trace`: nothing is left of what was taken down, nothing comes back, and no model has learnt it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keepset import manifests
from keepset.clean import restore
from keepset.clean.matching import Wanted, match
from keepset.clean.takedown import take_down
from keepset.config import RunConfig, parse_config
from keepset.demo.draw import draw
from keepset.demo.pictures import Plant, Planted
from keepset.demo.server import serve
from keepset.download import download
from keepset.errors import ModelError, ReviewError
from keepset.export.dataset import Format, export_dataset
from keepset.export.model_file import copy_model
from keepset.export.onnx import export_model
from keepset.history.timeline import timeline
from keepset.history.trace import trace
from keepset.interpret import interpret
from keepset.models.features import ModelFeatures
from keepset.models.promote import compare_and_promote
from keepset.pipeline.followup import pending
from keepset.predict.model import Predictor
from keepset.scrape import scrape
from keepset.split import split
from keepset.status import troubles
from keepset.train import train
from keepset.validate import validate
from keepset.workspace import Workspace
from tests.factories import jpeg
from tests.test_cli import run

EVE = "Eve Ödegård"
N = 16
EVES = (1, 5, 9)
"""Which apples are hers."""


def collected(base: Path, web: str, without: tuple[int, ...] = ()) -> tuple[Workspace, RunConfig]:
    """Apples and boats from lists with authors, trained on and reported. ``without``: apples that never were in the list."""
    base.mkdir(parents=True, exist_ok=True)
    lines = ["url,title,creator,license,landing_page,thumbnail"]
    lines += [
        f"{web}/apple{i}.jpg,apple {i},{EVE if i in EVES else 'Bo'},cc-by-4.0,http://p.example/{i},http://s.example/{'hers' if i in EVES else 'his'}{i}"
        for i in range(N)
        if i not in without
    ]
    (base / "apple.csv").write_text("\n".join(lines))
    (base / "boat.csv").write_text("url,creator\n" + "\n".join(f"{web}/boat{i}.jpg,Bo" for i in range(N)))
    raw: dict[str, Any] = {
        "seed": 3, "classes": {k: {"lists": [f"{k}.csv"]} for k in ("apple", "boat")},
        "train": {"arch": "lite0", "epochs": 0, "size": 64, "threads": 1},
        "download": {"allow_private": [web.removeprefix("http://")], "per_host_rate": 1000.0, "retries": 0},
    }  # fmt: skip
    config = parse_config(raw, base=base)
    ws = Workspace.create(base / "ws", "fruit")
    ws.save_config(config)
    for stage in (scrape, download, validate, split):
        stage(ws, config)
    return ws, config


def learnt(ws: Workspace, config: RunConfig) -> str:
    model = str(train(ws, config).outputs["model_id"])
    compare_and_promote(ws, config, model)
    return model


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    pictures = [
        Planted(f"/{k}{i}.jpg", k, Plant.NOTHING, k, jpeg(draw(k, i, width=160, height=120)))
        for k in ("apple", "boat")
        for i in range(N)
    ]
    with serve(pictures) as base:
        yield base


@pytest.fixture(scope="module")
def before(web: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a workspace with a model, a report, an export and a card; and the model's id."""
    base = tmp_path_factory.mktemp("takedown")
    ws, config = collected(base, web)
    model = learnt(ws, config)
    interpret(ws, config)
    export_dataset(ws, Format.IMAGEFOLDER, base / "out")
    export_model(ws, model)
    return base, model


def held_by_eve(ws: Workspace) -> set[str]:
    rows = manifests.read(ws.images, "images").rows()
    return {r["sha256"] for r in rows if r["creator"] == EVE}


def learnt_by(ws: Workspace, model: str) -> str:
    """One of her pictures that the model was trained on."""
    rows = manifests.read(ws.models / model / "predictions.parquet", "predictions").rows()
    return next(r["sha256"] for r in rows if r["split"] == "train" and r["sha256"] in held_by_eve(ws))


def everything(folder: Path) -> bytes:
    return b"\0".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


def test_nothing_is_left_nothing_comes_back_and_the_new_model_has_not_learnt_it(
    before: tuple[Path, str], web: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(before[0], base := tmp_path / "base")
    ws = Workspace.open(base / "ws")
    config, model = ws.config(), before[1]
    shas = held_by_eve(ws)
    assert len(shas) == len(EVES)
    features = ModelFeatures.of(ws, model)
    vectors = [features.at([features.sha256.index(s)])[0].tobytes() for s in shas]
    secrets = [
        *(ws.blob(s).read_bytes() for s in shas), *(ws.thumb(s).read_bytes() for s in shas), *vectors, EVE.encode(),
    ]  # fmt: skip
    served = Predictor(ws.models / model / "model.onnx")
    assert served.predict(ws.blob(learnt_by(ws, model)).read_bytes()).similar[0][1] > 0.999
    probe = ws.blob(learnt_by(ws, model)).read_bytes()
    whole = everything(ws.root)
    assert all(s in whole for s in secrets), "the scan would find them"
    assert sum(v in (ws.cache / "features").rglob("rows").__next__().read_bytes() for v in vectors) == len(EVES)

    code, out, _ = run(capsys, "remove", "--creator", EVE, "-w", ws.root)  # a dry run
    assert code == 0
    assert "3 pictures, 3 of them in use" in out
    assert model in out
    assert f"{before[0] / 'out'} (imagefolder, revision 1)" in out
    assert "Nothing was touched" in out
    assert everything(ws.root) == whole

    code, out, _ = run(
        capsys, "remove", "--creator", f" {EVE.upper()} ", "--yes", "--who", "Ann", "--no-retrain", "-w", ws.root
    )
    assert code == 0, out
    assert "Took down 3 pictures and 3 lines; revision 2 is without them" in out
    after = everything(ws.root)
    assert [i for i, s in enumerate(secrets) if s in after] == []
    said = Predictor(ws.models / model / "model.onnx").predict(probe)
    assert all(cosine < 0.999 for _, cosine in said.similar), "the served model keeps no features of it"
    assert said.probabilities == served.predict(probe).probabilities
    assert not (ws.reports / model).exists() or not list((ws.reports / model).iterdir())
    assert {r["sha256"] for r in ws.current_dataset().rows() if not r["active"]} == shas
    certificate = next(r for r in ws.audit_log() if r["action"] == "certificate")["what"]
    assert set(certificate["sha256"]) == shas
    assert certificate["models"] == [model]
    events = [(e.who, e.words) for e in timeline(ws) if e.words.startswith(("took down", "Asked", "Finished"))]
    assert events == [("Ann", "took down 3 pictures")]
    with pytest.raises(ReviewError, match="purged"):
        restore(ws, sorted(shas), who="Ann")
    assert pending(ws).revision == 2  # as after an approval: a model is to be trained
    with pytest.raises(ModelError, match="learnt from pictures that were taken down"):
        copy_model(ws, tmp_path / "sent.onnx")
    assert "learnt from pictures that were taken down" in troubles(ws)[0]

    for stage in (scrape, download, validate, split):  # nothing comes back, from wherever
        stage(ws, config)
    (base / "apple.csv").write_text(f"url,creator\n{web}/apple{EVES[0]}.jpg,\nhttp://other.example/x.jpg,{EVE}\n")
    scrape(ws, config)
    rows = manifests.read(ws.urls, "urls").rows()
    fresh = [r for r in rows if r["reason"] == "taken_down"]
    assert len(fresh) >= 2
    assert any(r["thumbnail"] for r in rows)
    assert not any(EVE in str(r) or "hers" in str(r) or r["url"] in {f"{web}/apple{i}.jpg" for i in EVES} for r in rows)
    download(ws, config)
    assert not any(ws.blob(s).exists() for s in shas)
    assert EVE.encode() not in everything(ws.root)
    again = take_down(ws, Wanted("creator", EVE), who="Ann")
    assert again.message.startswith("up to date")
    assert ws.revisions() == [1, 2]

    new = learnt(ws, config)
    other, its_config = collected(tmp_path / "never", web, without=EVES)
    # How many of a class are held out depends on how many there are, so the sides are given; all else is its own.
    rows = [r for r in ws.current_dataset().rows() if r["active"]]
    assert {r["sha256"] for r in rows} == {r["sha256"] for r in other.current_dataset().rows()}
    header = other.current_dataset().header
    other.dataset(1).unlink()
    manifests.write(other.dataset(1), rows, header)
    same = learnt(other, its_config)
    from safetensors.numpy import load_file

    mine, never = (load_file(w.models / m / "weights.safetensors") for w, m in ((ws, new), (other, same)))
    assert mine.keys() == never.keys()
    assert all(np.array_equal(mine[k], never[k]) for k in mine)
    assert ws.promoted() == new
    assert "learnt from pictures that were taken down" in ws.audit_log()[-1]["why"]
    assert troubles(ws) == []
    copy_model(ws, tmp_path / "sent.onnx")


def test_a_picture_is_traced_from_its_line_to_what_holds_it(
    before: tuple[Path, str], web: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ws = Workspace.open(before[0] / "ws")
    everybody = trace(ws, EVE.lower())
    assert {t.sha256 for t in everybody} == held_by_eve(ws)
    one = everybody[0]
    assert [t.sha256 for t in trace(ws, one.sha256[:10])] == [one.sha256]
    address = manifests.read(ws.images, "images").rows()
    url = next(r["url"] for r in address if r["sha256"] == one.sha256)
    assert [t.sha256 for t in trace(ws, url)] == [one.sha256]
    assert one.sha256 in [t.sha256 for t in trace(ws, one.name)]
    assert [t.sha256 for t in trace(ws, str(ws.blob(one.sha256)))] == [one.sha256]
    assert [(f["source"], f["query"]) for f in one.found] == [("list", "apple.csv")]
    assert one.held["models"] == one.held["reports"] == [before[1]]
    assert one.held["exports"]
    assert one.sides[1].startswith("apple (")
    code, out, _ = run(capsys, "trace", one.sha256[:8], "-w", ws.root)
    assert code == 0
    assert "found by:\n    list apple.csv (line" in out
    assert json.loads(run(capsys, "trace", EVE, "-w", ws.root, "--json")[1])["pictures"][0]["sha256"] == one.sha256
    for nobody in ("nobody", "nobody" * 100):
        with pytest.raises(ReviewError, match="No picture here is of 'nobody"):
            trace(ws, nobody)


def test_the_report_says_what_each_source_brought(before: tuple[Path, str]) -> None:
    page = (before[0] / "ws" / "reports" / before[1] / "report.html").read_text(encoding="utf-8")
    row = f"<td>list <small>apple.csv</small></td><td>{N}</td><td>{N}</td><td>0</td>"
    assert row in page


def test_what_is_named_is_found_with_its_exact_copies(before: tuple[Path, str], web: str) -> None:
    ws = Workspace.open(before[0] / "ws")
    by_url = match(ws, Wanted.one_of(url=f"{web}/apple3.jpg"))
    assert (len(by_url.pictures), len(by_url.lines)) == (1, 1)
    assert match(ws, Wanted.one_of(url="http://p.example/3")).pictures == by_url.pictures
    assert match(ws, Wanted.one_of(sha256=by_url.pictures[0][:9])).pictures == by_url.pictures
    assert len(match(ws, Wanted.one_of(license="CC BY 4.0")).pictures) == N
    assert match(ws, Wanted.one_of(license="cc-by-nc")).pictures == ()
    with pytest.raises(ReviewError, match="is not in this workspace"):
        match(ws, Wanted.one_of(sha256="0" * 64))
    for wrong in ({}, {"creator": "a", "url": "b"}):
        with pytest.raises(ReviewError, match="Give one of --creator"):
            Wanted.one_of(**wrong)


def test_a_class_may_be_emptied_and_what_names_no_licence_is_refused(
    web: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ws, _ = collected(tmp_path, web)
    with pytest.raises(ReviewError, match=r"under the licence 'unknown'.*[\s\S]*Licences here: cc-by-4.0"):
        match(ws, Wanted.one_of(license="unknown"))
    code, out, _ = run(capsys, "remove", "--licence", "CC BY 4.0", "-w", ws.root)
    assert (code, "no model can be trained on what is left: The class 'apple' has 0" in " ".join(out.split())) == (
        0,
        True,
    )
    code, out, _ = run(capsys, "remove", "--licence", "CC BY 4.0", "--yes", "--who", "Ann", "-w", ws.root)
    assert (code, "take the class out of the config" in " ".join(out.split())) == (0, True)
    assert {r["label"] for r in ws.current_dataset().rows() if r["active"]} == {"boat"}
    assert take_down(ws, Wanted.one_of(license="CC BY 4.0"), who="Ann").message.startswith("up to date")


def test_a_licence_is_blocked_before_anything_of_it_was_found(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "a.csv").write_text("url,license\nhttp://a.example/1.jpg,CC BY-NC 4.0\nhttp://a.example/2.jpg,cc-by-4.0\n")
    (base / "b.csv").write_text("http://b.example/1.jpg\n")
    config = parse_config({"classes": {k: {"lists": [f"{k}.csv"]} for k in "ab"}}, base=base)
    ws = Workspace.create(base / "ws", "x")
    done = take_down(ws, Wanted.one_of(license="CC BY-NC"), who="Ann")
    assert done.pictures == done.lines == ()
    scrape(ws, config)
    rows = [(r["url"].partition(":")[0], r["reason"]) for r in manifests.read(ws.urls, "urls").rows()]
    assert rows == [("removed", "taken_down"), ("http", None), ("http", None)]
    assert not scrape(ws, config).changed
    assert [r["action"] for r in ws.audit_log()] == ["takedown", "certificate"]


def test_a_takedown_that_was_killed_is_not_forgotten(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "x")
    ws.audit("takedown", who="eve", what={"id": "t0001-0", "by": "sha256", "sha256": [], "urls": []})
    assert "t0001-0 is not finished" in " ".join(troubles(ws))
    ws.audit("certificate", who="eve", what={"id": "t0001-0", "models": []})
    assert troubles(ws) == []
