"""What the model looks at, asked in the gallery: the real app, the real process, a really trained model."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from keepset.errors import MissingExtra, ModelError
from keepset.images.heat import laid_over, seen_part
from keepset.images.pixels import Preprocess, decode, model_input
from keepset.machine import extras
from keepset.machine.programs import environment, program
from keepset.models import load_record
from keepset.predict.queueing import Busy
from keepset.review import Batch, load_batch, review
from keepset.train import train
from keepset.web import cam_questions
from keepset.web.cam_questions import CamQuestion, CamQuestions
from keepset.workspace import Workspace
from tests.browser_fixtures import Browser, expect
from tests.factories import dataset_workspace
from tests.processes import PATIENCE_S, wait_for
from tests.web_fixtures import served

SECTION = {"arch": "lite0+lite1", "epochs": 0, "threads": 1, "size": 64}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a model of two networks side by side, and an open batch."""
    ws, cfg, _ = dataset_workspace(tmp_path_factory.mktemp("heat"), per_class=8, flips=3, size=(96, 72), train=SECTION)
    train(ws, cfg)
    review(ws, cfg)
    return ws.root


@pytest.fixture
def batch(trained: Path, tmp_path: Path) -> Batch:
    """A copy of it that nobody has asked anything of."""
    shutil.copytree(trained, tmp_path / "ws")
    ws = Workspace.open(tmp_path / "ws")
    (folder,) = ws.batches.iterdir()
    return load_batch(ws, folder.name)


@pytest.fixture
def questions(batch: Batch) -> Iterator[CamQuestions]:
    made = CamQuestions(batch.ws)
    yield made
    made.close()


def _address(batch: Batch, place: int = 0, query: str = "") -> str:
    return f"/batches/{batch.id}/pictures/{list(batch.rows())[place]}/heat.jpg{query}"


def _question(batch: Batch, place: int = 0) -> CamQuestion:
    row = batch.rows()[list(batch.rows())[place]]
    return CamQuestion(batch.record.model_id, row["sha256"], row["predicted"])


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _processes(ws: Workspace) -> list[str]:
    """Ids of the processes that look at pictures of ``ws``."""
    out = subprocess.run(["ps", "-ewwo", "pid,args"], capture_output=True, text=True, check=True).stdout
    lines = [x for x in out.splitlines() if "keepset.interpret.cam_process" in x and str(ws.root) in x]
    return [x.split()[0] for x in lines]


def test_two_requests_start_one_process_and_the_next_pictures_are_ready(batch: Batch) -> None:
    row = batch.rows()[next(iter(batch.rows()))]
    with served(batch.ws.root) as url, httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S) as c:
        with ThreadPoolExecutor() as pool:
            asked = [pool.submit(c.get, _address(batch, i)) for i in (0, 0, 1)]
            wait_for(lambda: _processes(batch.ws), "the process to start")
            answers = [a.result() for a in asked]
        assert [a.status_code for a in answers] == [200] * 3
        assert answers[0].content == answers[1].content != answers[2].content
        assert answers[0].headers["content-type"] == "image/jpeg"
        assert "default-src 'none'" in answers[0].headers["content-security-policy"]
        assert Image.open(io.BytesIO(answers[0].content)).size == (96, 72)
        pids = _processes(batch.ws)
        assert len(pids) == 1
        folder = batch.ws.cache / "heat" / batch.record.model_id
        wait_for(lambda: len(list(folder.glob("*.json"))) == batch.proposed, "all others to be looked at")
        for known in list(folder.glob("*.json")):
            if not known.name.startswith(row["sha256"]):
                known.unlink()
        assert c.get(_address(batch)).content == answers[0].content  # known, and the next ones are asked for again
        wait_for(lambda: len(list(folder.glob("*.json"))) == batch.proposed, "them to be looked at once more")
        if row["label"] != row["predicted"]:
            assert c.get(_address(batch, 0, "?for=given")).content != answers[0].content
        assert c.post(_address(batch)).status_code == 405
        unknown = _address(batch).replace(row["sha256"], "f" * 64)
        assert c.get(unknown).status_code == 404
        assert _processes(batch.ws) == pids
    wait_for(lambda: not _alive(int(pids[0])), "the process to end with the gallery")


def test_the_heat_is_that_of_the_report(batch: Batch, questions: CamQuestions) -> None:
    from keepset.export.onnx import load_network
    from keepset.interpret.cam import grad_cam

    question = _question(batch)
    rows = questions.ask(question).result(PATIENCE_S)
    record = load_record(batch.ws, question.model)
    image = decode(batch.ws.blob(question.sha256).read_bytes(), shortest=record.preprocess.resize)
    pixels = model_input(image, record.preprocess)
    network, number = load_network(batch.ws, record), record.classes.index(question.label)
    seen = grad_cam(network, pixels, record.preprocess, number)
    assert np.allclose(np.array(rows) / 255, seen.heat, atol=0.01)
    assert questions.known(question) == rows


def test_an_idle_process_ends_and_a_question_starts_another(batch: Batch) -> None:
    questions = CamQuestions(batch.ws, idle_s=0.1)
    try:
        future = questions.ask(_question(batch))
        wait_for(lambda: questions.pid is not None, "the process to start", every_s=0.02)
        first = questions.pid
        assert first is not None
        future.result(PATIENCE_S)
        wait_for(lambda: not _alive(first), "the process to end", every_s=0.05)
        assert questions.ask(_question(batch, 1)).result(PATIENCE_S)
    finally:
        questions.close()


def test_a_killed_process_is_reported_and_replaced(batch: Batch, questions: CamQuestions) -> None:
    future = questions.ask(_question(batch))
    wait_for(lambda: questions.pid is not None, "the process to start", every_s=0.02)
    assert questions.pid is not None
    os.kill(questions.pid, signal.SIGKILL)
    with pytest.raises(ModelError, match=r"has ended \(exit code -9\)"):
        future.result(PATIENCE_S)
    assert questions.ask(_question(batch)).result(PATIENCE_S)


def test_the_process_ends_with_its_input_and_goes_on_after_a_bad_picture(batch: Batch) -> None:
    """So a gallery that is killed leaves none behind."""
    asked = [_question(batch), _question(batch, 1)]
    batch.ws.blob(asked[0].sha256).write_bytes(b"gone bad")
    lines = "".join(json.dumps(vars(q)) + "\n" for q in asked)
    command = program("keepset.interpret.cam_process", str(batch.ws.root))
    done = subprocess.run(
        command, input=lines, capture_output=True, text=True, env=environment(), timeout=PATIENCE_S, check=True
    )
    bad, good = map(json.loads, done.stdout.splitlines())
    assert bad["message"] == "The file of this picture is gone or damaged."
    assert np.array(good["heat"]).ndim == 2


def test_weights_that_are_gone_are_named(batch: Batch) -> None:
    (batch.ws.models / batch.record.model_id / "weights.safetensors").unlink()
    with served(batch.ws.root) as url, httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S) as c:
        answer = c.get(_address(batch), headers={"accept": "image/jpeg, application/json"})
        assert answer.status_code == 400
        assert answer.json()["message"] == f"The weights of model {batch.record.model_id} are gone or damaged."
        page = c.get(_address(batch), headers={"accept": "text/html"})
        assert "are gone or damaged" in page.text


def test_without_the_extra_no_process_starts_and_what_is_known_is_shown(
    batch: Batch, questions: CamQuestions, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions.ask(_question(batch)).result(PATIENCE_S)
    monkeypatch.setattr(extras, "EXTRAS", extras.EXTRAS | {"train": ("not_installed_here",)})
    with pytest.raises(MissingExtra):
        questions.ask(_question(batch, 1))
    with served(batch.ws.root) as url, httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S) as c:
        assert c.get(_address(batch)).status_code == 200
        answer = c.get(_address(batch, 1), headers={"accept": "application/json"})
        assert "extra 'train'" in answer.json()["message"]
        assert "[train]" in answer.json()["remedy"]


def test_questions_are_bounded(batch: Batch, questions: CamQuestions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cam_questions, "_WAITING", 1)
    future = questions.ask(_question(batch))
    assert questions.ask(_question(batch)) is future
    with pytest.raises(Busy):
        questions.ask(_question(batch, 1))
    assert future.result(PATIENCE_S)


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
        expect(said).to_contain_text(f"speaks for ‘{row['predicted']}’")
        expect(page.locator("#full-picture[src^='blob:']")).to_have_js_property("naturalWidth", 96)
        page.keyboard.press("w")
        expect(said).to_contain_text(f"speaks for ‘{row['label']}’")
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
