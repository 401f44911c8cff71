"""The report: right for odd models, safe with hostile texts, valid JSON, and redone when what it shows changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keepset import manifests
from keepset.config import RunConfig
from keepset.files import read_json, write_bytes, write_json
from keepset.interpret import interpret
from keepset.interpret.diagnosis import diagnose
from keepset.manifests import Header
from keepset.workspace import Workspace
from tests.factories import add_model, dataset_workspace

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
    ws, cfg = finished(tmp_path, per_class=60, size=(256, 192), flips=9)
    facts, html = report(ws, cfg)
    assert 20_000 < len(html.encode()) < 3_000_000
    assert "<script" not in html.lower()
    assert not re.search(
        r"""(?:src|href)=["'](?!data:image/webp)""", html
    )  # nothing is loaded from elsewhere
    assert facts["metrics"]["valid"]["n"] == sum(map(sum, facts["confusion"])) == 36
    assert facts["verdict"] in html.replace("&#39;", "'")


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
        ("javascript:alert(1)", False),
        ("  javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("https://creativecommons.org/licenses/by/4.0/", True),
    ],
)
def test_only_a_web_address_becomes_a_link(tmp_path: Path, url: str, linked: bool) -> None:
    ws, cfg = finished(tmp_path)
    change_rows(ws.images, "images", lambda r: r | {"license_url": url, "creator": "Ada <b>"})
    facts, html = report(ws, cfg)
    assert (f'href="{url}"' in html) is linked
    assert ("href=" in html) is linked
    assert "by Ada &lt;b&gt;" in html
    (credit,) = facts["dataset"]["attributions"]
    expected = {"license": "cc-by-4.0", "url": url if linked else None, "n": 36, "creators": ["Ada <b>"]}
    assert credit == expected


def test_a_class_without_validation_images(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path)
    gone = cfg.labels[1]

    def keep(row: Row) -> Row | None:
        return None if row["split"] == "valid" and gone in (row["label"], row["predicted"]) else row

    change_rows(predictions(ws), "predictions", keep)
    facts, html = report(ws, cfg)
    last = facts["per_class"][-1]  # what cannot be judged comes after what can
    assert (last["label"], last["n"], last["recall"], last["f1"]) == (gone, 0, None, None)
    assert "nan" not in re.sub(r"base64,[^\"]*", "", html)


def test_no_validation_images(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path)
    change_rows(predictions(ws), "predictions", lambda r: r | {"split": "train"})
    change_record(ws, lambda r: r["metrics"].update(valid={"n": 0}))
    facts, html = report(ws, cfg)
    assert "no validation images" in facts["verdict"]
    assert facts["top_losses"] == facts["pairs"] == facts["reliability"] == []
    assert facts["verdict"] in html


def test_a_perfect_model(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path)
    change_rows(predictions(ws), "predictions", lambda r: r | {"predicted": r["label"]})
    change_record(ws, lambda r: r["metrics"]["valid"].update(errors=0, error_rate=0.0))
    facts, _ = report(ws, cfg)
    assert "No mistake was seen" in facts["verdict"]
    assert facts["pairs"] == []
    assert [c["f1"] for c in facts["per_class"]] == [1.0] * 3
    assert all(c["recall_interval"][0] < 1 for c in facts["per_class"])  # few images prove little


def test_the_card_shows_the_data_the_model_was_trained_on(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path)
    rows = manifests.read(ws.dataset(1), "dataset").rows()
    header = Header("dataset", "clean", "later", extra={"revision": 2, "before": 1, "cause": "clean"})
    manifests.write(ws.dataset(2), [r | {"active": i > 4} for i, r in enumerate(rows)], header)
    facts, _ = report(ws, cfg)
    assert (facts["dataset"]["revision"], facts["dataset"]["images"]) == (1, 36)


def test_before_and_after_names_its_pictures(tmp_path: Path) -> None:
    ws, cfg = finished(tmp_path)
    valid = [r for r in manifests.read(predictions(ws), "predictions").rows() if r["split"] == "valid"]
    found = {
        "before": "f" * 16, "message": "1 fixed", "fixed_images": [valid[0]["sha256"]],
        "broken_images": [valid[1]["sha256"]],
    }  # fmt: skip
    write_json(ws.models / MODEL / "comparison.json", found)
    _, html = report(ws, cfg)
    for title, row in zip(("Fixed", "Newly wrong"), valid, strict=False):
        assert f'alt="{title}: {row["label"]}, predicted {row["predicted"]}"' in html
    assert 'alt=""' not in html


CHANGES: dict[str, Callable[[Workspace], None]] = {
    "the data set": lambda ws: change_rows(ws.dataset(1), "dataset", lambda r: r | {"active": False}),
    "images": lambda ws: change_rows(ws.images, "images", lambda r: r | {"license": "cc0"}),
    "images gone": lambda ws: ws.images.unlink(),
    "the record": lambda ws: change_record(ws, lambda r: r.update(seed=8)),
    "predictions": lambda ws: change_rows(predictions(ws), "predictions", lambda r: r | {"loss": 0.5}),
    "a comparison": lambda ws: write_json(ws.models / MODEL / "comparison.json", {"before": None}),
    "downloads": lambda ws: _none(ws.downloads, "downloads"),
    "urls": lambda ws: _none(ws.urls, "urls"),
}


def _none(path: Path, schema: str) -> None:
    manifests.write(path, [], Header(schema, "test", "none"))


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_in_what_it_shows_makes_it_anew(tmp_path: Path, what: str) -> None:
    ws, cfg = finished(tmp_path, per_class=5)
    assert interpret(ws, cfg).changed
    assert not interpret(ws, cfg).changed
    CHANGES[what](ws)
    assert interpret(ws, cfg).changed
    assert not interpret(ws, cfg).changed


NAN = float("nan")


@pytest.mark.parametrize(
    ("train", "valid", "errors", "classes", "kinds"),
    [
        pytest.param([], [], [], 3, [], id="linear head only"),
        pytest.param([0.9, 12.0], [0.8, 0.9], [0.2, 0.6], 3, ["rate_too_high"], id="exploded"),
        pytest.param([0.9, NAN], [0.8, 0.9], [0.2, 0.6], 3, ["rate_too_high"], id="nan"),
        pytest.param([1.1, 1.09, 1.08], [1.1] * 3, [0.6] * 3, 3, ["rate_too_low"], id="too low"),
        pytest.param([0.9, 0.8], [0.7, 0.6], [0.3, 0.2], 3, ["too_few_epochs"], id="too few epochs"),
        pytest.param(
            [0.5, 0.3, 0.1, 0.05, 0.01], [0.5] * 5, [0.2, 0.1, 0.15, 0.18, 0.2], 3, ["overfitting"], id="overfitting"
        ),
        pytest.param([0.5, 0.3, 0.1], [0.5, 0.4, 0.35], [0.2, 0.15, 0.1], 3, ["healthy"], id="healthy"),
        pytest.param(
            [0.5, 0.3, 0.1, 0.05], [0.5, 0.5, 0.6, 0.7], [0.1] * 4, 3, ["healthy"], id="loss rises, error does not"
        ),
        pytest.param([0.2, 0.1], [0.2, 0.15], [0.0, 0.0], 1, ["healthy"], id="one class"),
    ],
)  # fmt: skip
def test_diagnosis(
    train: list[float], valid: list[float], errors: list[float], classes: int, kinds: list[str]
) -> None:
    history = [
        {"train_loss": t, "valid_loss": v, "error_rate": e}
        for t, v, e in zip(train, valid, errors, strict=True)
    ]
    facts = {"history": history, "classes": ["c"] * classes, "metrics": {"valid": {"n": 100}}}
    assert [d["kind"] for d in diagnose(facts)] == kinds
