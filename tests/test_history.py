"""The history in plain sentences with pictures, on the pages and on the command line; and the way back from there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from keepset.clean import clean, purge, restore
from keepset.files import read_json, write_json
from keepset.history.timeline import named, timeline
from keepset.models.promote import compare_and_promote
from keepset.reasons import Action
from keepset.review import Batch, Mark, load_batch, mark, submit
from keepset.text import many, share
from tests.review_fixtures import Case
from tests.test_cli import run
from tests.web_fixtures import asking


def test_each_step_of_a_cleaning_is_a_sentence(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    batch = case.open_batch()
    first, second, *_ = batch.candidates().rows()
    mark(batch, [Mark(first["sha256"], Action.DELETE), Mark(second["sha256"], Action.KEEP)], who="ann")
    submit(batch, "approve", who="ann", note="a boat", confirm=True, via="gallery")
    clean(case.ws, case.config)
    restore(case.ws, batch.id, who="bob")
    assert [(e.who, e.words) for e in timeline(case.ws)[::-1] if not e.words.startswith("took in")] == [
        ("keepset", "put a new model in use: right on 6 of 9 held-out pictures"),
        ("keepset", "proposed 4 pictures for review"),
        ("ann", "deleted 1 picture"),
        ("bob", "restored 1 picture"),
    ]
    with asking(case.ws.root) as c:
        home = c.get("/").text
    assert "deleted 1, relabelled 0, kept 1, 2 not decided" in home
    assert run(capsys, "purge", "-w", case.ws.root)[1].startswith("· purge ")
    code, out, _ = run(capsys, "review", "log", "-w", case.ws.root)
    assert code == 0
    assert "restored 1 picture" in " ".join(out.split())


def test_a_purge_says_how_much_is_gone_and_a_row_of_another_version_is_still_told(case: Case) -> None:
    batch = case.open_batch()
    mark(batch, [Mark(batch.candidates().rows()[0]["sha256"], Action.DELETE)], who="ann")
    submit(batch, "approve", who="ann", confirm=True)
    clean(case.ws, case.config)
    purge(case.ws, who="ann", dry_run=False)
    case.ws.audit("open", who="later", what={"batch": "b0009-00000000"})
    case.ws.audit("later", who="later", what={"new_fact": 3, "none": None})
    later, opened, purged, *_ = (e.words for e in timeline(case.ws))
    assert purged.startswith("deleted the files of 1 picture (")
    assert (opened, later) == ("batch: b0009-00000000", "new fact: 3")
    assert (many(1, "error"), many(0, "error")) == ("1 error", "0 errors")


# -- the page --------------------------------------------------------------------------------------


def cleaned(case: Case) -> Batch:
    """Ann deletes the first candidate and takes the other suggestions; a model follows."""
    batch = case.open_batch()
    mark(batch, [Mark(batch.candidates().rows()[0]["sha256"], Action.DELETE)], who="ann")
    submit(batch, "approve", who="Ann", note="<b>boats</b>", undecided="suggested", confirm=True, via="gallery")
    clean(case.ws, case.config)
    case.train_again("1" * 16, seed=3)
    write_json(case.ws.models / "promoted.json", {"model_id": "0" * 16, "why": "", "before": None})
    compare_and_promote(case.ws, case.config, "1" * 16)
    return load_batch(case.ws, batch.id)


@pytest.fixture
def client(case: Case, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # else it would be retrained here
    with asking(case.ws.root) as c:
        yield c


def test_a_decision_and_what_came_of_it_are_one_event_with_its_pictures(case: Case, client: httpx.Client) -> None:
    batch = cleaned(case)
    found = timeline(case.ws)
    (event,) = [e for e in found if e.batch == batch.id and not e.quiet]
    facts = read_json(case.ws.models / ("1" * 16) / "comparison.json")
    before, after = (facts[k] / facts["n"] for k in ("errors_before", "errors_after"))
    assert (event.who, event.words) == ("Ann", "deleted 1 picture and relabelled 3 pictures")
    assert event.effect.startswith(f"error {share(before)} → {share(after)} on {facts['n']} held-out")
    assert {"took in 36 pictures", "proposed 4 pictures for review"} <= {e.words for e in found}
    page = client.get("/log").text
    rows = {r["sha256"]: r for r in batch.candidates().rows()}
    names = named(case.ws, rows)
    for sha, decision in batch.approval().changes().items():  # type: ignore[union-attr]
        assert f"/thumbs/{sha}.jpg" in page
        assert names[sha] in page
        assert names[sha].endswith(".jpg")
        if decision["label"]:
            assert f'<span>{rows[sha]["label"]} → </span><b class="rel">{decision["label"]}</b>' in page
    assert "&lt;b&gt;boats&lt;/b&gt;" in page
    assert not re.search(r"[0-9a-f]{8}(?![0-9a-f]*\.jpg)", re.sub(r"<[^>]*>|b0\d+-\w+", "", page))  # no hashes


def test_single_pictures_and_then_the_rest_are_restored_from_the_page(case: Case, client: httpx.Client) -> None:
    before = {r["sha256"]: (r["label"], r["active"]) for r in case.ws.current_dataset().rows()}
    batch = cleaned(case)
    changed = list(batch.approval().changes())  # type: ignore[union-attr]
    one = changed[0]
    answer = client.post("/restore", data={"what": "ticked", "image": one, "who": "Zoë"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/log?restored=1")
    page = client.get("/log?restored=1").text
    assert "Restored 1 picture." in page
    assert '<b class="who">Zoë</b> restored 1 picture' in page
    assert f'value="{one}"' not in page  # it is back: nothing is left to restore
    assert all(f'value="{s}"' in page for s in changed[1:])
    back = client.post("/restore", data={"what": "all", "batch": batch.id, "who": "Zoë"})
    assert back.headers["location"] == f"/log?restored={len(changed) - 1}"
    now = {r["sha256"]: (r["label"], r["active"]) for r in case.ws.current_dataset().rows()}
    assert now == before
    assert "Restore …" not in client.get("/log").text
    assert (
        client.post("/restore", data={"what": "all", "batch": batch.id, "who": "Zoë"})
        .headers["location"]
        .endswith("=0")
    )


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"what": "ticked", "who": "ann"}, "No picture is ticked."),
        ({"what": "all", "batch": "b9-x", "who": "ann"}, "There is no batch"),
        ({"what": "ticked", "image": "f" * 64, "who": "ann"}, "f" * 12),
        ({"what": "ticked", "image": "f" * 64, "who": " "}, "name"),
    ],
)
def test_what_cannot_be_restored_is_said_and_changes_nothing(
    case: Case, client: httpx.Client, form: dict[str, str], words: str
) -> None:
    answer = client.post("/restore", data=form)
    assert answer.status_code == 400
    assert words in answer.text
    assert case.ws.revisions() == [1]
    assert client.post("/restore", data=form, headers={"origin": "http://evil.example"}).status_code == 403


def test_long_histories_come_in_pages(case: Case, client: httpx.Client) -> None:
    for i in range(95):
        case.ws.audit("later", who=f"person {i}", what={"new_fact": i})
    seen, at = 0, "/log"
    while at:
        page = client.get(at).text
        seen += len(re.findall(r"<li[ >]", page))
        at = next(iter(re.findall(r'href="(/log\?from=\d+)"', page)), "")
    assert seen == len(timeline(case.ws)) == 97
    for odd in ("x", "-1", "9" * 30, "٣", "999"):
        assert client.get(f"/log?from={odd}").status_code == 200
