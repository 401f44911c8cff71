"""The report: right for odd models, safe with hostile texts, valid JSON, and redone when what it shows changed."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import ModelError
from keepset.files import read_json, write_bytes, write_json
from keepset.interpret import contact_sheet, interpret
from keepset.interpret.markdown import as_markdown
from keepset.interpret.verdict import next_thing, verdict
from keepset.manifests import Header
from keepset.workspace import Workspace
from tests.browser_fixtures import Browser
from tests.factories import add_model, add_revision, config, dataset_workspace

MODEL = "0" * 16
Row = dict[str, Any]


def finished(root: Path, **options: Any) -> tuple[Workspace, RunConfig]:
    ws, cfg, truth = dataset_workspace(root, **({"size": (64, 48)} | options))
    add_model(ws, cfg, truth)
    return ws, cfg


def change_record(ws: Workspace, change: Callable[[dict[str, Any]], None]) -> None:
    path = ws.models / MODEL / "model.json"
    record = read_json(path)
    change(record)
    write_bytes(path, json.dumps(record).encode())


def change_rows(path: Path, schema: str, change: Callable[[Row], Row | None]) -> None:
    found = manifests.read(path, schema)
    rows = [new for r in found.rows() if (new := change(dict(r))) is not None]
    header = Header(schema, found.header.stage, "changed", extra=found.header.extra)
    manifests.write(path, rows, header)


def predictions(ws: Workspace) -> Path:
    return ws.models / MODEL / "predictions.parquet"


def report(ws: Workspace, cfg: RunConfig) -> tuple[dict[str, Any], str]:
    assert interpret(ws, cfg).changed
    folder = ws.reports / MODEL
    facts = json.loads((folder / "report.json").read_text(), parse_constant=_no_constant)
    return facts, (folder / "report.html").read_text()


def _no_constant(name: str) -> None:
    raise AssertionError(f"report.json holds {name}, which is no JSON")


def test_a_report_is_one_small_file_without_script(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path, per_class=30, size=(256, 192), flips=5)
    facts, html = report(ws, cfg)
    assert 20_000 < len(html.encode()) < 3_000_000
    assert "<script" not in html.lower()
    assert not re.search(r"""(?:src|href)=["'](?!data:image/webp|#)""", html)  # nothing is loaded from elsewhere
    for anchor in re.findall(r'href="#([^"]+)"', html):
        assert f'id="{anchor}"' in html
    assert facts["metrics"]["valid"]["n"] == sum(map(sum, facts["confusion"])) == 18
    assert facts["verdict"] in html.replace("&#39;", "'")
    first = html.index("Which class is taken for which")
    assert html.index(facts["verdict"]) < html.index(facts["next"]["title"]) < first < html.index('id="worst"')
    for jargon in ("nats", "ECE", "temperature"):  # folded
        assert html.index(jargon) > html.index("<details>")
    worst = facts["top_losses"][:6]
    shown = re.findall(r'<small class="file">([^<]+)</small>', html)[:6]
    assert shown == [r["name"] for r in worst]
    assert all(re.fullmatch(r"\w+/\d+\.jpg", name) for name in shown)
    assert sum(r["label"] != r["predicted"] for r in worst) == min(6, facts["metrics"]["valid"]["errors"])
    for r in worst:  # each opens large, and leads back
        assert html.count(f'id="p-{r["sha256"][:16]}"') == html.count(f'id="t-{r["sha256"][:16]}"') == 1


def test_losses_that_are_no_numbers(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path)

    def explode(record: dict[str, Any]) -> None:
        record["history"][1] |= {"train_loss": float("nan"), "valid_loss": float("inf")}
        record["lr_find"]["losses"][-3:] = [float("nan"), float("inf"), 1e30]

    change_record(ws, explode)
    facts, html = report(ws, cfg)
    assert facts["history"][1]["train_loss"] is None
    assert facts["history"][1]["valid_loss"] is None
    assert facts["diagnosis"][0]["kind"] == "rate_too_high"
    drawn = re.findall(r'(?:points|cx|cy|x1|x2|y1|y2)="([^"]*)"', html)
    assert drawn
    assert not [d for d in drawn if "nan" in d or "inf" in d]


def test_a_hostile_class_name_is_escaped(tmp_path: Path) -> None:
    evil = '<img src=x onerror="alert(1)">'
    ws, cfg = finished(tmp_path, per_class=20, flips=6)

    def rename(row: Row) -> Row:
        return {k: evil if v == cfg.labels[0] else v for k, v in row.items()}

    change_rows(predictions(ws), "predictions", rename)
    change_rows(ws.dataset(1), "dataset", rename)
    change_record(ws, lambda r: r.update(classes=[evil, *cfg.labels[1:]]))
    facts, html = report(ws, cfg)
    assert evil in facts["classes"]
    assert "&lt;img src=x" in html
    assert "<img src=x" not in html
    assert 'onerror="' not in html


@pytest.mark.parametrize(
    ("url", "linked"),
    [
        ("  javascript:alert(1)", False), ("data:text/html,x", False), ("https://creativecommons.org/licenses/by/4.0/", True),
    ],
)  # fmt: skip
def test_only_a_web_address_becomes_a_link(tmp_path: Path, url: str, linked: bool) -> None:
    ws, cfg = finished(tmp_path)
    change_rows(ws.images, "images", lambda r: r | {"license_url": url, "creator": "Ada <b>"})
    facts, html = report(ws, cfg)
    assert (f'href="{url}"' in html) is linked
    assert (re.search('href="[^#]', html) is not None) is linked
    assert "Ada &lt;b&gt;" in html
    (credit,) = facts["dataset"]["licenses"]
    said = {"license": "cc-by-4.0", "url": url if linked else None, "images": 36, "creators": 1, "names": ["Ada <b>"]}
    assert credit == said


def test_a_class_without_validation_images(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path)
    gone = cfg.labels[1]

    def keep(row: Row) -> Row | None:
        return None if row["split"] == "valid" and gone in (row["label"], row["predicted"]) else row

    change_rows(predictions(ws), "predictions", keep)
    facts, html = report(ws, cfg)
    last = facts["per_class"][-1]  # what cannot be judged comes after what can
    assert (last["label"], last["n"], last["recall"], last["f1"]) == (gone, 0, None, None)
    assert f"There are no held-out pictures of '{gone}', so mistakes there are not counted." in facts["verdict"]
    assert "nan" not in re.sub(r"base64,[^\"]*", "", html)


def test_no_validation_images(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path)
    change_rows(predictions(ws), "predictions", lambda r: r | {"split": "train"})
    change_record(ws, lambda r: r["metrics"].update(valid={"n": 0}))
    facts, html = report(ws, cfg)
    assert "no held-out pictures" in facts["verdict"]
    assert facts["top_losses"] == facts["pairs"] == facts["reliability"] == []
    assert facts["verdict"] in html


def test_a_perfect_model(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path)
    change_rows(predictions(ws), "predictions", lambda r: r | {"predicted": r["label"]})
    change_record(ws, lambda r: r["metrics"]["valid"].update(errors=0, error_rate=0.0))
    facts, html = report(ws, cfg)
    assert facts["verdict"].startswith("No mistakes on 9 held-out pictures; the true error could still be up to 30 %.")
    assert "No mistakes. The 6 it was least sure of" in html
    assert facts["next"]["title"] == "Collect more pictures"
    assert facts["pairs"] == []
    assert [c["f1"] for c in facts["per_class"]] == [1.0] * 3
    assert all(c["recall_interval"][0] < 1 for c in facts["per_class"])  # few images prove little


V = {"n": 153, "errors": 8, "error_rate": 8 / 153, "low": 0.027, "high": 0.1}


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ({}, "Right on 145 of 153 held-out pictures; likely 90–97 % on new pictures like them."),
        (
            {"errors_left": {"at": "2026-11-27", "count": 9.2}, "next_site": {"by": "site", "low": 0.05, "high": 0.12}},
            "Right on 145 of 153 held-out pictures; likely 88–95 % on a site it has not seen. On 2026-11-27, about 9 pictures were still wrong.",
        ),
    ],
)  # fmt: skip
def test_the_report_in_a_sentence(known: dict[str, Any], says: str) -> None:
    facts = {"metrics": {"valid": V}, "per_class": [], **known}
    assert verdict(facts).replace("\u00a0", " ") == says


NOTHING = {"changed_classes": [], "classes": [], "diagnosis": [], "review": None, "gain": None, "model": {"winner": "linear_head"}, "errors_left": None,
           "metrics": {"valid": V}}  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "title"),
    [
        ({"changed_classes": ["tree"], "review": {"proposed": 4, "expected": 3.0}}, "Train on the new classes"),
        ({"diagnosis": [{"kind": "rate_too_low", "words": "w"}]}, "Train again"),
        ({"diagnosis": [{"kind": "too_few_epochs", "words": "w"}], "review": {"proposed": 4, "expected": 3.0}}, "Review 4 pictures"),
        ({"review": {"proposed": 4, "expected": 0.6}, "gain": {"answer": "more", "words": "w"}}, "Collect more pictures"),
        ({"errors_left": {"count": 3, "words": "About 3.", "advice": "a", "command": "keepset review --random 60"}}, "Look at some more"),
        ({"metrics": {"valid": {"n": 20, "errors": 0, "high": 0.16}}}, "Collect more pictures"),
        ({}, "Use it"),
    ],
)  # fmt: skip
def test_the_one_thing_to_do(facts: dict[str, Any], title: str) -> None:
    assert next_thing(NOTHING | facts)["title"].startswith(title)


def test_the_card_shows_the_data_the_model_was_trained_on(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path)
    rows = manifests.read(ws.dataset(1), "dataset").rows()
    add_revision(ws, [r | {"active": i > 4} for i, r in enumerate(rows)], "clean")
    facts, _ = report(ws, cfg)
    assert (facts["dataset"]["revision"], facts["dataset"]["images"]["active"]) == (1, 36)


@pytest.mark.parametrize("known", [True, False], ids=["the old model stands", "the old model is gone"])
def test_before_and_after_names_its_pictures(tmp_path: Path, known: bool) -> None:
    ws, cfg = finished(tmp_path)
    before = "f" * 16
    if known:
        (ws.models / before).mkdir()
        rows = manifests.read(predictions(ws), "predictions").rows()
        old = [r | {"predicted": "boat"} for r in rows]
        manifests.write(ws.models / before / "predictions.parquet", old, Header("predictions", "train", before))
    valid = [r for r in manifests.read(predictions(ws), "predictions").rows() if r["split"] == "valid"]
    found = {
        "before": before, "promote": True, "message": "1 fixed, 1 broken", "n": 9, "errors_before": 3, "errors_after": 3,
        "fixed": 1, "broken": 1, "fixed_images": [valid[0]["sha256"]], "broken_images": [valid[1]["sha256"]],
    }  # fmt: skip
    write_json(ws.models / MODEL / "comparison.json", found)
    _, html = report(ws, cfg)
    for title, row in zip(("Fixed", "Newly wrong"), valid, strict=False):
        said = "boat" if known else "unknown"
        assert f'alt="{title}: {row["label"]}, before {said}, now {row["predicted"]}"' in html
    assert 'alt=""' not in html


CHANGES: dict[str, Callable[[Workspace], None]] = {
    "the data set": lambda ws: change_rows(ws.dataset(1), "dataset", lambda r: r | {"active": False}),
    "images": lambda ws: change_rows(ws.images, "images", lambda r: r | {"license": "cc0"}),
    "the record": lambda ws: change_record(ws, lambda r: r.update(seed=8)),
    "predictions": lambda ws: change_rows(predictions(ws), "predictions", lambda r: r | {"loss": 0.5}),
    "a comparison": lambda ws: write_json(ws.models / MODEL / "comparison.json", {"before": None}),
    "downloads": lambda ws: _none(ws.downloads, "downloads"),
    "urls": lambda ws: _none(ws.urls, "urls"),
    "images gone": lambda ws: ws.images.unlink(),
}


def _none(path: Path, schema: str) -> None:
    manifests.write(path, [], Header(schema, "test", "none"))


def test_a_change_in_what_it_shows_makes_it_again(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path, per_class=5)
    for what, change in {"nothing": lambda ws: None, **CHANGES}.items():
        change(ws)
        assert interpret(ws, cfg).changed, what
        assert not interpret(ws, cfg).changed, what


def test_a_model_without_predictions_is_named(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path)
    predictions(ws).unlink()
    with pytest.raises(ModelError, match="has no predictions") as caught:
        interpret(ws, cfg)
    assert "keepset train" in caught.value.remedy


def test_predictions_of_other_classes_are_refused(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path)
    change_record(ws, lambda r: r.update(classes=["car", *cfg.labels[1:]]))
    with pytest.raises(ModelError, match="name the class 'apple', which the model does not know"):
        interpret(ws, cfg)
    change_record(ws, lambda r: r.update(classes=[*cfg.labels, "car"]))
    with pytest.raises(ModelError, match="probabilities"):
        interpret(ws, cfg)


def test_classes_changed_since_the_training_are_said(tmp_path: Path) -> None:
    ws, _ = finished(tmp_path)
    facts, html = report(ws, config(tmp_path, ("apple", "boat", "tree")))
    assert facts["changed_classes"] == ["house", "tree"]
    assert "The classes have changed since this model was trained (house, tree)" in html
    assert facts["next"]["command"] == "keepset train"


def test_an_unreadable_thumbnail_is_an_honest_gap(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path)
    facts, _ = report(ws, cfg)
    shas = [r["sha256"] for r in facts["top_losses"]]
    ws.thumb(shas[0]).write_bytes(b"no picture")
    ws.thumb(shas[1]).unlink()
    ws.thumb(shas[2]).write_bytes(ws.thumb(shas[2]).read_bytes()[:400])
    ws.blob(shas[3]).unlink()  # it does not open large
    _, html = report(ws, cfg.model_copy(update={"classes": cfg.classes[:2]}))
    assert "3 pictures could not be read: run <code>keepset validate</code>" in html
    assert html.count(">picture not readable<") >= 3
    assert f'data-sha256="{shas[3]}"' in html
    assert f'id="p-{shas[3][:16]}"' not in html


@pytest.mark.slow
def test_pictures_that_do_not_fit_are_left_out_and_counted(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path, per_class=150)
    valid = [r for r in manifests.read(predictions(ws), "predictions").rows() if r["split"] == "valid"]
    shas = [r["sha256"] for r in valid]
    rng = np.random.default_rng(0)
    for sha in shas:  # noise is what compresses worst
        noise = Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8))
        noise.save(ws.thumb(sha), "JPEG", quality=95)
    found = {
        "before": "f" * 16, "promote": True, "message": "", "n": 90, "errors_before": 45, "errors_after": 45, "fixed": 45,
        "broken": 45, "fixed_images": shas[:45], "broken_images": shas[45:],
    }  # fmt: skip
    write_json(ws.models / MODEL / "comparison.json", found)

    def all_wrong(row: Row) -> Row:
        return row | {"predicted": cfg.labels[(cfg.labels.index(row["label"]) + 1) % 3]}

    change_rows(predictions(ws), "predictions", all_wrong)
    _, html = report(ws, cfg)
    assert len(html.encode()) < 3_000_000
    assert ("pictures were left out" in html) is (len(html.encode()) > 2_400_000)


@pytest.mark.slow
def test_hundreds_of_classes(tmp_path: Path) -> None:
    """Everything has an upper size: the matrix and the plot show the worst, the table folds away."""
    labels = tuple(f"class {i:03d}" for i in range(100))
    ws, cfg = finished(tmp_path, per_class=5, labels=labels)
    facts, html = report(ws, cfg)
    assert len(html.encode()) < 3_000_000
    assert len(facts["confusion"]) == 100
    assert len(re.findall('<rect [^>]*rx="', html)) <= 20 * 20
    assert "The 20 hardest of 100 classes" in html


def test_a_report_says_what_cannot_be_made(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path, per_class=15)
    facts, html = report(ws, cfg)
    assert len(facts["data_size"]["points"]) >= 3
    assert facts["gain"]["words"] in html
    (words,) = facts["left_out"]
    assert words.startswith("“Where it looked” cannot be made: There is no model at ")
    assert words in html


def test_fields_of_a_later_training_are_passed_on(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path)

    def add(record: dict[str, Any]) -> None:
        record["metrics"]["ema"] = {"n": 7, "errors": 1, "error_rate": 1 / 7, "from": "an average of the weights"}
        record["history"][0]["gpu_share"] = 0.5
        record["candidates"]["ensemble"] = {"nll": 0.2}

    change_record(ws, add)
    facts, html = report(ws, cfg)
    assert facts["metrics"]["ema"]["n"] == 7
    assert "an average of the weights" in html


def test_the_test_set_leads_the_verdict_if_there_is_one(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path, per_class=20)
    fold = {r["sha256"]: r["fold"] for r in ws.current_dataset().rows()}
    change_rows(predictions(ws), "predictions", lambda r: r | ({"split": "test"} if fold[r["sha256"]] == 1 else {}))
    facts, html = report(ws, cfg)
    assert facts["metrics"]["test"]["n"] == 12
    assert "12 test pictures" in facts["verdict"]
    assert "which nothing was learned from or chosen by" in html


def test_the_verdict_as_markdown_and_a_contact_sheet(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path, per_class=20, flips=5)
    facts, _ = report(ws, cfg)
    facts["verdict"] = "a|b <img> [x](http://y)"
    text = as_markdown(facts, "[The whole report](http://127.0.0.1:1/reports/x)")
    assert text.startswith("### a\\|b \\<img\\> \\[x\\](http://y)\n")
    assert facts["next"]["command"] in text
    worst = facts["top_losses"]
    ws.thumb(worst[1]["sha256"]).write_bytes(b"broken")
    with Image.open(io.BytesIO(contact_sheet(ws, [r["sha256"] for r in worst]))) as sheet:
        assert sheet.size == (6 * 128, -(-len(worst) // 6) * 144)
        assert sheet.convert("RGB").crop((0, 0, 128, 128)).entropy() > 4  # a picture
        dark = np.asarray(sheet.convert("L").crop((128, 0, 256, 128))) < 48
        assert dark.mean() > 0.85  # a crossed-out cell: two lines on dark ground


@pytest.mark.browser
def test_on_a_phone_pictures_open_large_without_a_script(browser: Browser, tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path, per_class=20, flips=5)
    facts, _ = report(ws, cfg)
    first, second = facts["top_losses"][:2]
    with browser.page(viewport={"width": 360, "height": 740}, java_script_enabled=False) as page:
        page.goto((ws.reports / MODEL / "report.html").as_uri())
        page.click("#worst .gallery a >> nth=0")
        assert page.locator(".large:visible b").inner_text() == first["name"]
        page.click(".large:visible >> text=→")
        assert page.locator(".large:visible b").inner_text() == second["name"]
        page.click(".large:visible >> text=Close")
        assert page.locator(".large:visible").count() == 0
        assert not page.is_visible("#figures")
        page.click("nav >> text=Figures")
        assert page.is_visible("#figures")  # a link opens what is folded
        width = page.locator("main").bounding_box()
        assert width["width"] <= 360
