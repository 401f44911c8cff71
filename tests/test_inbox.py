"""Corrections: off unless wanted, bounded, kept safely; and from the page to a candidate that a person approves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from keepset.clean import clean, purge
from keepset.config import RunConfig
from keepset.demo.draw import draw
from keepset.download import download
from keepset.predict import load
from keepset.reasons import Action
from keepset.review import Mark, load_batch, mark, review, submit
from keepset.scrape import scrape
from keepset.split import split
from keepset.train import usable
from keepset.validate import validate
from keepset.web.app import create_app
from tests.browser_fixtures import Browser, expect
from tests.factories import add_model, jpeg
from tests.predict_fixtures import Served
from tests.test_web_predict import conforms
from tests.web_fixtures import asking, served


def switch_on(case: Served, tmp_path: Path, **options: Any) -> RunConfig:
    """The inbox on; the classes' own sources are empty folders, so that the stages run without a network."""
    raw = case.config.as_dict()
    for c in raw["classes"]:
        folder = tmp_path / "sources" / c["name"]
        folder.mkdir(parents=True, exist_ok=True)
        c |= {"pages": [], "folders": [str(folder)]}
    config = RunConfig.model_validate(raw | {"inbox": {"enabled": True} | options})
    case.ws.save_config(config)
    return config


@pytest.fixture
def site(model_case: Served) -> Iterator[httpx.Client]:
    with asking(model_case.ws.root) as c:
        yield c


def stranger(seed: int = 900) -> bytes:
    return jpeg(draw("house", seed, width=300, height=280))


def other(case: Served, data: bytes) -> tuple[str, str]:
    """What the model says, and another class."""
    said = load(case.ws.root).predict(data).label
    return said, next(c for c in case.config.labels if c != said)


def send(site: httpx.Client, data: bytes, label: str, **more: str) -> httpx.Response:
    fields = {"label": label, "consent": "yes", "who": "Ann", **more}
    return site.post("/api/corrections", files={"file": ("a.jpg", data, "image/jpeg")}, data=fields)


def lines(case: Served) -> list[dict[str, str]]:
    path = case.ws.root / "inbox.jsonl"
    return [json.loads(x) for x in path.read_text().splitlines()] if path.exists() else []


def test_on_by_default_for_this_machine_alone(site: httpx.Client, model_case: Served, tmp_path: Path) -> None:
    def refused(to: Any) -> None:
        found = send(to, stranger(), "apple")
        assert (found.status_code, found.json()["error"]) == (403, "inbox_off")
        page = to.post("/predict", files={"file": ("a.jpg", stranger(), "image/jpeg")}).text
        assert "Not right?" not in page
        assert "Pictures are not kept." in page

    app = create_app(model_case.ws.root, hosts=frozenset(), token="secret")  # open to others
    with TestClient(app, headers={"Authorization": "Bearer secret"}) as anybody:
        refused(anybody)
    switch_on(model_case, tmp_path, enabled=False)
    refused(site)
    assert not (model_case.ws.root / "inbox").exists()
    assert lines(model_case) == []
    switch_on(model_case, tmp_path, enabled=None)
    data = stranger()
    page = site.post("/predict", files={"file": ("a.jpg", data, "image/jpeg")}).text
    label = other(model_case, data)[1]
    assert f'<button name="label" value="{label}">' in page
    assert 'name="consent" value="yes"' in page
    assert send(site, data, label, who="").status_code == 201
    assert len(lines(model_case)) == 1


def test_kept_once_with_what_the_model_said(site: httpx.Client, model_case: Served, tmp_path: Path) -> None:
    switch_on(model_case, tmp_path)
    data = stranger()
    said, label = other(model_case, data)
    for _ in range(2):
        found = send(site, data, label, who="  Ann\nB ")
        assert found.status_code == 201
        done = conforms(found, site)
        assert done == {"sha256": hashlib.sha256(data).hexdigest(), "known": False, "predicted": said, "label": label}
    (row,) = lines(model_case)
    assert {k: row[k] for k in ("sha256", "predicted", "label", "who")} == {
        "sha256": done["sha256"], "predicted": said, "label": label, "who": "Ann B"
    }  # fmt: skip
    (file,) = (p for p in (model_case.ws.root / "inbox").rglob("*") if p.is_file())
    assert (file.name, file.read_bytes()) == (f"{done['sha256']}.jpg", data)
    mine = model_case.pictures[0]
    known = send(site, mine, other(model_case, mine)[1]).json()
    assert known["known"]
    assert len([p for p in (model_case.ws.root / "inbox").rglob("*") if p.is_file()]) == 1


def test_what_is_no_correction_is_refused_in_words(site: httpx.Client, model_case: Served, tmp_path: Path) -> None:
    switch_on(model_case, tmp_path)
    data = stranger()
    said, label = other(model_case, data)
    cases = {
        "no_correction": (409, send(site, data, said)),
        "bad_label": (400, send(site, data, "no class")),
        "no_consent": (400, send(site, data, label, consent="")),
        "format_not_supported": (422, send(site, b"<svg onload=alert(1)>", label)),
        "nothing_given": (400, site.post("/api/corrections", files={"label": (None, label)})),
        "unsupported_media_type": (415, site.post("/api/corrections", json={"label": label})),
        "other_site": (403, site.post("/api/corrections", headers={"sec-fetch-site": "cross-site"})),
        "bad_form": (400, site.post("/api/corrections", content=b"--x\r\nno", headers={"content-type": "multipart/form-data; boundary=x"})),
    }  # fmt: skip
    for error, (status, answer) in cases.items():
        assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
        conforms(answer, site)
    two = [("file", ("a.jpg", data, "image/jpeg"))] * 2
    assert site.post("/api/corrections", files=two, data={"label": label}).json()["error"] == "too_many"
    blocked = site.post("/api/corrections", files={"url": (None, "http://10.0.0.1/a.jpg"), "label": (None, label)})
    assert (blocked.status_code, blocked.json()["error"]) == (422, "blocked_address")
    assert lines(model_case) == []
    assert not (model_case.ws.root / "inbox").exists()


def test_a_flood_is_bounded(site: httpx.Client, model_case: Served, tmp_path: Path) -> None:
    switch_on(model_case, tmp_path, max_pictures=2)
    answers = [send(site, d, other(model_case, d)[1]) for d in map(stranger, range(900, 903))]
    assert [a.status_code for a in answers] == [201, 201, 507]
    assert conforms(answers[2], site)["error"] == "inbox_full"
    again = stranger(900)
    assert send(site, again, other(model_case, again)[1]).status_code == 201  # it is there already
    noise = jpeg(Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)), 95)
    switch_on(model_case, tmp_path, max_mb=1)
    first = send(site, noise, other(model_case, noise)[1])
    assert (len(noise) > 500_000, first.status_code) == (True, 507 if len(noise) > 900_000 else 201)
    with asking(model_case.ws.root) as c:
        switch_on(model_case, tmp_path, per_minute=2)
    with asking(model_case.ws.root) as c:
        statuses = [send(c, b"x", "apple").status_code for _ in range(4)]
        late = send(c, b"x", "apple")
        assert statuses == [422, 422, 429, 429]
        assert 1 <= int(late.headers["retry-after"]) <= 31
        assert c.post("/api/predict", files={"file": ("a.jpg", again)}).status_code == 200  # predicting goes on


def test_from_the_page_to_the_data_set_through_one_approval(
    site: httpx.Client, model_case: Served, tmp_path: Path
) -> None:
    ws, config = model_case.ws, switch_on(model_case, tmp_path)
    data, also, third = stranger(), stranger(901), model_case.pictures[1]
    labels = [other(model_case, d)[1] for d in (data, also, third)]
    taken = {other(model_case, third)[0], model_case.truth[hashlib.sha256(third).hexdigest()]}
    labels[2] = next(c for c in config.labels if c not in taken)  # neither the model's word nor the data set's
    shas = [send(site, d, label).json()["sha256"] for d, label in zip((data, also, third), labels, strict=True)]
    for stage in (scrape, download, validate):
        stage(ws, config)
    done = split(ws, config)
    assert "2 of the inbox wait for a reviewer" in done.message
    rows = {r["sha256"]: r for r in ws.current_dataset().rows()}
    assert [rows[s]["active"] for s in shas] == [False, False, True]
    assert not {r["sha256"] for r in usable(list(rows.values()))} & set(shas[:2])  # nothing is trained on them yet
    assert "nothing to purge" in purge(ws, who="Bob").message
    add_model(ws, config, model_case.truth)  # with features that a review can go by
    batch = load_batch(ws, review(ws, config).outputs["batch_id"])
    found = {r["sha256"]: r for r in batch.candidates().rows()}
    for s, label in zip(shas, labels, strict=True):
        assert "user_correction" in found[s]["reasons"]
        assert (found[s]["suggestion"], found[s]["suggested_label"]) == ("relabel", label)
        assert "(Ann)" in found[s]["explanation"]
    mark(batch, [Mark(shas[0], Action.RELABEL, labels[0]), Mark(shas[1], Action.DELETE, None)], who="Bob")
    submit(batch, "approve", who="Bob", confirm=True)
    clean(ws, config)
    rows = {r["sha256"]: r for r in ws.current_dataset().rows()}
    assert [(rows[s]["active"], rows[s]["label"] == label) for s, label in zip(shas, labels, strict=True)] == [
        (True, True), (False, False), (True, False),
    ]  # fmt: skip  # the third was left undecided, which keeps
    assert "1 deleted image" in purge(ws, who="Bob").message
    assert ws.audit_log()[-1]["who"] == "Bob"
    assert not split(ws, config).changed


def test_undecided_strangers_stay_out(site: httpx.Client, model_case: Served, tmp_path: Path) -> None:
    ws, config = model_case.ws, switch_on(model_case, tmp_path)
    sha = send(site, stranger(), other(model_case, stranger())[1]).json()["sha256"]
    for stage in (scrape, download, validate, split):
        stage(ws, config)
    add_model(ws, config, model_case.truth)
    batch = load_batch(ws, review(ws, config).outputs["batch_id"])
    submit(batch, "approve", who="Bob", undecided="keep", confirm=True)
    clean(ws, config)
    assert not next(r for r in ws.current_dataset().rows() if r["sha256"] == sha)["active"]


@pytest.mark.browser
def test_correcting_on_a_phone(browser: Browser, model_case: Served, tmp_path: Path) -> None:
    switch_on(model_case, tmp_path)
    (tmp_path / "mine.jpg").write_bytes(stranger())
    _, label = other(model_case, stranger())
    with served(model_case.ws.root) as url:
        page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
        page.on("console", lambda m: "Content Security" in m.text and browser.troubles.append(m.text))
        page.goto(f"{url}/predict")
        page.set_input_files("#files", [tmp_path / "mine.jpg"])
        page.click("summary")
        page.select_option("select[name=label]", label)
        page.click("text=Send correction")  # without consent the browser itself says so
        assert lines(model_case) == []
        page.check("input[name=consent]")
        page.click("text=Send correction")
        page.locator("[role=status]:has-text('Thank you')").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.context.close()
        plain = browser.new_context(java_script_enabled=False).new_page()
        plain.goto(f"{url}/predict")
        plain.set_input_files("#files", [tmp_path / "mine.jpg"])
        plain.click("text=Predict >> nth=-1")
        plain.click("summary")
        plain.select_option("select[name=label]", label)
        plain.set_input_files("form.correction input[type=file]", [tmp_path / "mine.jpg"])
        plain.check("input[name=consent]")
        plain.click("text=Send correction")
        expect(plain.locator("#said")).to_contain_text("Thank you")
        plain.context.close()
    assert browser.troubles == []
    assert [r["label"] for r in lines(model_case)] == [label]
