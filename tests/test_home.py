"""The home page: state, the one next step, the error over revisions; a run from there; errors as pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from keepset import manifests
from keepset.clean import clean
from keepset.config import parse_config
from keepset.files import write_json
from keepset.history.health import data_health, error_curve, model_health
from keepset.interpret.cleaning import what_cleaning_bought
from keepset.models import list_models, load_record
from keepset.models.promote import compare_and_promote
from keepset.pipeline.atwork import Work, is_at_work, progress_of, record, teller_of, working
from keepset.pipeline.followup import State, standing
from keepset.reasons import Action
from keepset.review import BatchStatus, Mark, list_batches, load_batch, mark, review, submit
from keepset.stages import Stage, StageResult
from keepset.status import collect
from keepset.status.next_step import next_step
from keepset.text import share
from keepset.workspace import Workspace
from tests.browser_fixtures import Browser
from tests.review_fixtures import Case, edit_predictions, top_up
from tests.stack_fixtures import wait_for
from tests.test_followup import FOLLOW_UP_S, keepset_web
from tests.test_team import folders
from tests.web_fixtures import asking

PAGE = {"accept": "text/html"}


@pytest.fixture
def client(case: Case, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with asking(case.ws.root) as c:
        yield c


def big(page: str) -> list[tuple[str, str]]:
    """The big buttons of a page: where each leads, and its words."""
    links = re.findall(r'<a class="button big" href="([^"]*)">([^<]*)</a>', page)
    return links + re.findall(r'action="([^"]*)"><button class="main big">([^<]*)</button>', page)


def test_there_is_one_next_step_and_it_follows_the_state(case: Case, client: httpx.Client) -> None:
    def step() -> tuple[str, str]:
        (found,) = big(client.get("/").text)
        return found

    assert step() == ("/predict", "Predict pictures")
    batch = case.open_batch()
    shas = [r["sha256"] for r in batch.candidates().rows()]
    here = f"/batches/{batch.id}"
    assert step() == (here, "Review 4 pictures")
    mark(batch, [Mark(shas[0], Action.DELETE)], who="ann")
    assert step() == (here, "Go on: 3 left")
    mark(batch, [Mark(s, Action.KEEP) for s in shas[1:]], who="ann")
    assert step() == (f"{here}/submit", "Apply and retrain …")
    submit(batch, "send_back", who="ann")
    assert step() == (here, "Look at it")
    top_up(case, "f" * 64, case.config.labels[0])
    assert step() == ("/run", "Run the pipeline")


def test_the_state_is_told_in_plain_words(case: Case, client: httpx.Client) -> None:
    data, model = data_health(case.ws), model_health(case.ws)
    assert (data.images, sum(data.classes.values()), data.out) == (36, 36, 0)
    assert data.sides == {"train": 24, "valid": 12} or sum(data.sides.values()) == 36
    page = " ".join(client.get("/").text.split())
    assert "36 <small>pictures in 3 classes" in page
    assert re.search(r"Trained \d+ \w+ \d{4}, \d\d:\d\d UTC on revision", page)
    assert f"Right on {model.right} of {model.n} held-out pictures" in page
    assert model.right == sum(
        r["predicted"] == r["label"]
        for r in manifests.each(case.ws.models / ("0" * 16) / "predictions.parquet", "predictions")
        if r["split"] == "valid"
    )
    assert 'http-equiv="refresh"' not in page  # nothing moves


def test_the_curve_measures_every_model_on_the_same_pictures_and_todays_labels(case: Case) -> None:
    """A picture that the first model got right, and the old label wrong, counts for it once the label is mended."""
    held_out = case.clean_ones(3, "valid")
    edit_predictions(case, {s: {"predicted": "wrong"} for s in held_out[:2]})
    batch = case.open_batch()
    submit(batch, "approve", who="ann", undecided="suggested", confirm=True)
    clean(case.ws, case.config)
    case.train_again("1" * 16, seed=1)
    edit_predictions(case, {held_out[0]: {"predicted": "wrong"}}, "1" * 16)
    truth = {r["sha256"]: r["label"] for r in case.active()}
    first, second = error_curve(case.ws)

    def wrong(model: str) -> int:
        rows = manifests.each(case.ws.models / model / "predictions.parquet", "predictions")
        return sum(r["split"] == "valid" and truth.get(r["sha256"], r["predicted"]) != r["predicted"] for r in rows)

    assert (first.revision, second.revision, first.n) == (1, 2, second.n)
    assert (first.wrong, second.wrong) == (wrong("0" * 16), wrong("1" * 16))
    assert first.wrong >= 2
    bought = what_cleaning_bought(case.ws, load_record(case.ws, "1" * 16))
    (change,) = bought["changes"]
    assert (change["who"], change["revision"]) == ("ann", 2)
    assert change["changed"] >= len(change["pictures"]) > 0
    assert [p["wrong"] for p in bought["points"]] == [first.wrong, second.wrong]
    assert what_cleaning_bought(case.ws, load_record(case.ws, "0" * 16)) is None  # nothing had been changed by then
    with asking(case.ws.root) as c:
        page = c.get("/").text
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="3" class="s1"/>', page)
    (left, high), (right, low) = (map(float, d) for d in dots)
    assert left < right
    assert (high < low) == (first.rate > second.rate)  # up is more
    assert f"<title>Mistakes: revision 1 {share(first.rate)}, revision 2 {share(second.rate)}</title>" in page


@pytest.mark.browser
def test_a_new_data_set_is_run_from_the_page_to_its_first_batch(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real `keepset web`; the run is a process of its own, and the page in the browser follows it."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    ws = Workspace.create(tmp_path / "ws", "drawn")
    with keepset_web(ws) as (url, _), browser.page(viewport={"width": 390, "height": 844}) as page:
        page.goto(url)
        assert f"keepset run {ws.config_file()} -w {ws.root}" in page.inner_text("main")
        raw = {
            "name": "drawn",
            "seed": 7,
            "classes": folders(tmp_path / "pictures"),
            "train": {"arch": "lite0", "size": 64, "epochs": 0},
        }
        ws.save_config(parse_config(raw, base=tmp_path))
        page.reload()
        with ws.lock(Stage.TRAIN):  # it cannot get past the training before the page has been looked at
            page.click("text=Run the pipeline")
            page.wait_for_selector("#followup.working .steps .now")
            page.wait_for_selector("#followup.working .steps .done")
        page.wait_for_selector("#followup", state="detached", timeout=FOLLOW_UP_S * 1000)
        assert "held-out pictures" in page.inner_text(".cockpit")
        assert page.locator(".big").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        first = progress_of(ws, Work.RUN)["pid"]
        page.click("text=Run the pipeline again")  # nothing is new
        wait_for(
            lambda: (last := progress_of(ws, Work.RUN)) and last["ended"] and last["pid"] != first, "the second run"
        )
    assert len(list_models(ws)) == 1
    stages = [r["stage"] for r in progress_of(ws, Work.RUN)["results"]]
    assert stages == ["scrape", "download", "validate", "split", "train", "review", "export", "promote", "interpret"]
    assert len(list_batches(ws)) <= 1


def test_a_run_that_fails_says_why_and_can_be_tried_again(case: Case, client: httpx.Client) -> None:
    config = case.ws.root / "config.json"
    good = config.read_text()
    config.write_text("{")
    assert client.post("/run").headers["location"] == "/"
    wait_for(lambda: standing(case.ws).state == State.FAILED, "the run to fail")
    page = client.get("/").text
    assert "Running the pipeline failed" in page
    assert "config.json is damaged" in page
    assert next_step(case.ws).startswith(
        f"keepset run -w {case.ws.root}   (continues where the last run ended). The last"
    )
    remedy = progress_of(case.ws, Work.RUN)["trouble"]["remedy"]
    assert remedy
    assert next_step(case.ws).endswith(f"\n  → {remedy}")
    assert '<form method="post" action="/run"><button class="main">Try again</button>' in page
    config.write_text(good)
    client.post("/run")
    assert standing(case.ws).state == State.WORKING
    client.post("/run")  # not beside the one that runs
    wait_for(lambda: progress_of(case.ws, Work.RUN)["ended"], "the second run")


def test_an_edited_config_is_pointed_out_where_a_run_would_not_use_it(case: Case, client: httpx.Client) -> None:
    assert "is not used" not in client.get("/").text
    config = case.ws.config_file()
    config.write_text('name = "edited"\n')
    page = client.get("/").text
    assert f"keepset run {config} -w {case.ws.root}" in page
    config.unlink()


def test_a_run_that_could_not_even_write_its_log_is_refused(case: Case, client: httpx.Client) -> None:
    log = case.ws.scratch / "logs" / "run.log"
    kept = log.rename(log.with_suffix(".kept")) if log.exists() else None
    log.mkdir(parents=True)  # as on a disk that takes nothing more
    before = progress_of(case.ws, Work.RUN)
    answer = client.post("/run", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (400, "WorkspaceNotWritable")
    assert progress_of(case.ws, Work.RUN) == before
    log.rmdir()
    if kept:
        kept.rename(log)


def test_work_is_recorded_once_within_itself_and_unseen_beside_another(case: Case) -> None:
    ws = case.ws
    with working(ws, Work.RUN) as outer:
        with working(ws, Work.FOLLOW_UP) as inner:
            assert inner is outer
        record(ws, StageResult(Stage.SCRAPE, True, "done"))
        teller_of(ws).start("downloading", 4)
        outer.last = 0.0  # twice a second at most is written
        teller_of(ws).advance(1)
        found = progress_of(ws, Work.RUN)
        assert (found["what"], found["done"], found["total"]) == ("downloading", 1, 4)
        assert found["results"] == [{"stage": "scrape", "message": "done"}]
        assert is_at_work(ws, Work.RUN, found)
    assert progress_of(ws, Work.RUN)["ended"]
    with ws.lock(Work.RUN), working(ws, Work.RUN, wait=False) as unseen:
        unseen.start("elsewhere", 2)
        record(ws, StageResult(Stage.SPLIT, True, "not here"))
    assert progress_of(ws, Work.RUN)["what"] == ""
    assert len(progress_of(ws, Work.RUN)["results"]) == 1


def test_the_strip_names_the_step_and_its_percentage(case: Case, client: httpx.Client) -> None:
    with working(case.ws, Work.RUN) as teller:
        for stage in (Stage.SCRAPE, Stage.DOWNLOAD, Stage.VALIDATE, Stage.SPLIT):
            teller.add(StageResult(stage, True, ""))
        teller.start("fine-tuning", 10)
        teller.last = 0.0
        teller.advance(4)
        found = client.get("/followup").json()
        html = " ".join(found["html"].split())
        assert found["moves"]
        assert html.count("✓") == 4
        assert "aria-current=step>Train<" in html
        assert "Fine-tuning: 40 %." in html
        teller.add(StageResult(Stage.TRAIN, True, ""))
        teller.add(StageResult(Stage.REVIEW, True, ""))
        html = client.get("/followup").json()["html"]
        assert "aria-current=step>Compare" in html  # a batch that opens early does not end the rest
        assert '<noscript><meta http-equiv="refresh"' in client.get("/").text
    assert not client.get("/followup").json()["moves"]


def test_the_end_says_what_the_cleaning_brought(case: Case, client: httpx.Client) -> None:
    batch = case.open_batch()
    submit(batch, "approve", who="ann", undecided="suggested", confirm=True)
    clean(case.ws, case.config)
    case.train_again("1" * 16, seed=3)
    write_json(case.ws.models / "promoted.json", {"model_id": "0" * 16, "why": "", "before": None})
    message = compare_and_promote(case.ws, case.config, "1" * 16).message
    report = case.ws.reports / ("1" * 16) / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("<!doctype html><html><head></head><body></body></html>")
    found = client.get("/followup").json()
    assert found["state"] == "done"
    assert message in found["html"].replace("&#39;", "'")
    assert re.search(r"\d+ mistakes? before, \d+ now on the same \d+ held-out pictures", message)
    assert load_batch(case.ws, batch.id).status == BatchStatus.APPLIED
    assert "Done: changed and retrained." in client.get(f"/batches/{batch.id}").text
    assert [client.post("/review", data={"looks": n}).status_code for n in ("0", "-1", "many")] == [400] * 3
    later = client.post("/review").headers["location"]  # every picture
    assert "Done: changed and retrained." not in client.get(later).text
    assert set(load_batch(case.ws, later.rpartition("/")[2]).rows()) == {
        r["sha256"] for r in case.ws.current_dataset().rows() if r["active"]
    }


# -- reports, pictures, errors ---------------------------------------------------------------------


def test_a_report_leads_back_and_its_pictures_into_the_gallery(case: Case, client: httpx.Client) -> None:
    from keepset.interpret import interpret
    from keepset.web.reports import wrapped

    interpret(case.ws, case.config)
    plain = (case.ws.reports / ("0" * 16) / "report.html").read_text()
    page = client.get(f"/reports/{'0' * 16}").text
    assert '<header class="back"><a href="/">← drawn</a></header>' in page
    shas = re.findall(r'<a href="/pictures/([0-9a-f]{64})">Open in the gallery</a>', page)
    assert len(shas) == plain.count("data-open=") == 6
    assert '<a class="go" href="/">Open the gallery</a>' in wrapped("<code data-go>keepset web</code>", "x", "")
    assert len(re.findall(r"data-go|class=\"go\"", page)) == 1
    collect = wrapped("<code data-go>keepset run</code>", "x", "/w/a")  # more pictures are not found in the gallery
    assert collect.endswith("<code data-go>keepset run</code>")
    assert '<a class="go" href="/w/a/predict">' in wrapped("<code data-go>keepset predict FOLDER</code>", "x", "/w/a")
    shown = client.get(f"/pictures/{shas[0]}")
    assert shown.status_code == 200
    assert "/pictures/" not in plain  # the file itself is for mail, and has no gallery
    assert client.get(f"/reports/{'1' * 16}").status_code == 404


def test_a_picture_says_what_it_is_and_where_it_is_decided(case: Case, client: httpx.Client) -> None:
    batch = case.open_batch()
    row = batch.candidates().rows()[1]
    page = " ".join(client.get(f"/pictures/{row['sha256']}").text.split())
    assert f"<b>{row['label']}</b>" in page
    assert "The model says" in page
    assert f'href="/batches/{batch.id}?at=1"' in page
    assert "Restore" not in page
    for name in ("f" * 64, "x", "..%2faudit.jsonl", row["sha256"].upper()):
        assert client.get(f"/pictures/{name}").status_code == 404


def test_errors_are_pages_for_people_json_and_text_for_programs(case: Case, client: httpx.Client) -> None:
    for path in (
        "/nope",
        "/batches/b0009-00000000",
        "/reports/x",
        f"/pictures/{'f' * 64}",
        "/pictures/x.jpg",
        f"/w/{'0' * 16}/",
    ):
        found = client.get(path, headers=PAGE)
        assert found.status_code == 404, path
        assert 'href="/">To the home page</a>' in found.text, path
        assert "default-src 'none'" in found.headers["content-security-policy"]
        assert "<" not in client.get(path).text, path
        as_json = client.get(path, headers={"accept": "application/json"}).json()
        assert set(as_json) >= {"error", "message", "remedy"}, path
    evil = client.get("/batches/<script>alert(1)<script>", headers=PAGE)
    assert "<script>alert" not in evil.text


def test_random_looks_tell_what_is_left_on_every_page_and_in_status(case: Case, client: httpx.Client) -> None:
    batch = load_batch(case.ws, review(case.ws, case.config, looks=8).outputs["batch_id"])
    here = f"/batches/{batch.id}"
    page = client.get(here).text
    assert "8 of these pictures are drawn at random" in page
    cards = re.findall(r'data-sha="([0-9a-f]{64})"[^>]* data-suggestion="(\w*)"', page)
    assert [sha for sha, _ in cards] == list(batch.rows())
    assert {said for sha, said in cards if sha in batch.drawn()} == {""}  # a key cannot take what nobody suggests
    home = client.get("/").text
    assert "Wrong pictures left" not in home
    assert f"{len(cards) - 8} may be mislabelled, out of place, or copies; 8 are drawn at random" in home
    assert collect(case.ws)["left"] is None

    slots = [i for i, (sha, _) in enumerate(cards) if sha in batch.drawn()]
    first = next(sha for sha, _ in cards if sha in case.wrong)
    mark(batch, [Mark(first, Action.DELETE)], who="ann")
    order = re.findall(r'data-sha="([0-9a-f]{64})"', client.get(here).text)
    after = [order.index(cards[i][0]) for i in slots]
    assert after == sorted(after)  # what is learnt moves the others, not these
    submitting = client.get(f"{here}/submit").text
    assert "8 undecided pictures were drawn at random" in submitting
    assert f'href="{here}?reason=random_look&amp;show=undecided"' in submitting
    narrowed = client.get(f"{here}?reason=random_look&show=undecided").text
    assert set(re.findall(r'data-sha="([0-9a-f]{64})"', narrowed)) == batch.drawn()

    mark(batch, [Mark(s, Action.KEEP) for s in batch.rows() if s != first], who="ann")
    left = collect(case.ws)["left"]
    assert left["looks"] == 8
    assert left["found"] == 1
    assert left["command"] == ("keepset", "review", "--random", "23")
    home = client.get("/").text
    shown = re.search(r"about \d+ to delete, \d+ to relabel", home)
    assert (left["wrong"] > 0) == (shown is not None)
    assert left["advice"] in home
    assert left["advice"] in client.get(here).text
    assert '<button name="looks" value="23">Review 23 random pictures</button>' in home
    submit(batch, "approve", who="ann", confirm=True)
    assert left["words"] in client.get(f"{here}?notice=recorded").text
