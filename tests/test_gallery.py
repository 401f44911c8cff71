"""The gallery's pages over HTTP: pages and filters, what comes back of a mark, copies side by side, pictures."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from keepset import manifests
from keepset.files import write_bytes
from keepset.manifests import Header
from keepset.models.features import save as save_features
from keepset.reasons import Action
from keepset.review import Batch, Mark, load_batch, mark, preview, submit
from keepset.review import batch as batches
from keepset.web.cards import PAGE
from keepset.web.pictures import LARGEST, MIDDLE, holds
from tests.review_fixtures import Case, edit_images, make_case
from tests.web_fixtures import asking, large_batch

N = 5000
HERE = "/batches/b0002-00000000"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    return large_batch(make_case(tmp_path_factory.mktemp("large")), N)


@pytest.fixture(scope="module")
def client(large: Batch) -> Iterator[httpx.Client]:
    with asking(large.ws.root) as c:
        yield c


def shown(page: str) -> list[int]:
    """Ranks of the cards on a page."""
    return [int(r) for r in re.findall(r'class="card"[^>]* data-rank="(\d+)"', page)]


def test_a_page_holds_few_of_five_thousand_and_links_to_the_rest(client: httpx.Client) -> None:
    page = client.get(HERE).text
    assert shown(page) == list(range(PAGE))
    assert "0 of 5000 decided" in page
    assert len(page) < 400_000
    assert page.count("?page=") < 10
    last = client.get(HERE + "?page=42").text
    assert shown(last) == list(range(41 * PAGE, N))
    for odd in ("?page=0", "?page=-3", "?page=x", "?page=٣", "?page=" + "9" * 40, "?at=", "?next=x"):
        assert client.get(HERE + odd).status_code == 200


def test_filters_keep_the_position(client: httpx.Client) -> None:
    page = client.get(HERE + "?split=valid&at=3000").text
    ranks = shown(page)
    assert all(r % 5 == 0 for r in ranks)
    assert ranks[0] <= 3000 <= ranks[-1]
    assert re.search(r'data-focus="([0-9a-f]{64})"', page)
    assert 'name="back" value="split=valid&amp;page=6"' in page


def test_orders_and_likeness_that_make_no_sense_give_the_usual_page(client: httpx.Client) -> None:
    for odd in ("?sort=loudness", "?like=" + "0" * 64, "?like=,,", "?like=x&sort=alike", "?sort=source&page=3"):
        assert client.get(HERE + odd).status_code == 200
    assert shown(client.get(HERE + "?sort=loudness").text) == list(range(PAGE))


def test_more_tiles_are_those_that_are_not_kept(client: httpx.Client, large: Batch) -> None:
    shas = large.rows().table["sha256"].to_pylist()
    answer = client.post(HERE + "/more", json={"kept": shas[:100], "count": 20})
    assert shown(answer.text) == list(range(100, 120))
    assert "<html" not in answer.text
    for odd in ({}, {"kept": 3, "count": 1}, {"kept": [], "count": "x"}, [], {"kept": [], "count": None}):
        assert client.post(HERE + "/more", json=odd).status_code == 400
    assert shown(client.post(HERE + "/more", json={"kept": ["x", None], "count": 10**9}).text)[:1] == [0]
    assert client.post(HERE + "/more", json={"kept": [], "count": -5}).text.count("card") == 0


def test_the_next_undecided_is_found_on_whatever_page(client: httpx.Client, large: Batch) -> None:
    rows = large.candidates().rows()
    mark(large, [Mark(r["sha256"], Action.KEEP) for r in rows[:1000]], who="ann")
    page = client.get(HERE + "?next=119").text
    assert f'data-focus="{rows[1000]["sha256"]}"' in page
    assert 1000 in shown(page)


def test_of_a_mark_only_what_changed_comes_back(client: httpx.Client, large: Batch) -> None:
    rows = large.candidates().rows()
    mark(large, [Mark(r["sha256"], Action.DELETE) for r in rows[2000:4500]], who="ann")
    version = load_batch(large.ws, large.id).version
    mark(large, [Mark(rows[4990]["sha256"], Action.KEEP)], who="bob")
    body = {"marks": [{"sha256": rows[0]["sha256"], "action": "delete", "label": None}], "version": version}
    answer = client.post(HERE + "/marks", json=body)
    found = answer.json()
    assert set(found["changed"]) == {rows[0]["sha256"], rows[4990]["sha256"]}
    assert len(answer.content) < 1000
    assert found["counts"]["total"] == N
    assert found["counts"]["delete"] >= 2501
    undone = client.post(
        HERE + "/undo", params={"since": found["version"]}, headers={"accept": "application/json"}
    ).json()
    assert set(undone["changed"]) == {rows[0]["sha256"]}
    assert len(client.get(HERE + "/marks").json()["changed"]) > 2500


def test_numbers_that_make_no_sense_are_refused_without_a_fault(client: httpx.Client) -> None:
    for body in ('{"version": 1e400, "marks": []}', '{"version": "9", "marks": 5}'):
        assert client.post(HERE + "/marks", content=body).status_code == 400
    assert client.post(HERE + "/more", content='{"kept": [], "count": 1e400}').status_code == 400
    long = "9" * 5000
    assert client.get(HERE + "/marks", params={"since": long}).status_code == 200
    assert client.post(HERE + "/submit", data={"version": long, "decision": "?"}).status_code == 409


def test_taking_suggestions_writes_over_no_mark_set_meanwhile(
    client: httpx.Client, large: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keepset.web import marking

    found = marking.marks_suggested(large, {}, large.marks())
    first = found[0]
    real = marking.marks_suggested

    def slow(*args: Any) -> Any:
        given = real(*args)
        mark(large, [Mark(first.sha256, Action.KEEP)], who="bob")
        return given

    monkeypatch.setattr(marking, "marks_suggested", slow)
    assert client.post(HERE + "/suggestions").status_code == 409
    assert {s: (m.action, m.who) for s, m in large.marks().items()}[first.sha256] == (Action.KEEP, "bob")


def test_a_form_comes_back_to_its_page_and_never_elsewhere(client: httpx.Client, large: Batch) -> None:
    sha = large.candidates().rows()[-1]["sha256"]
    form = {"version": str(large.version), f"m:{sha}": "keep", "back": "split=valid&page=3"}
    assert client.post(HERE + "/form", data=form).headers["location"] == f"/batches/{large.id}?split=valid&page=3"
    evil = form | {"back": "https://evil.example/\r\nx: y"}
    location = client.post(HERE + "/form", data=evil).headers["location"]
    assert location.startswith(f"/batches/{large.id}")
    assert "\n" not in location


def test_many_classes_are_typed_not_listed(tmp_path: Path) -> None:
    labels = tuple(f"class {i:02}" for i in range(30))
    case = make_case(tmp_path, per_class=2, flips=2, labels=labels, review={"min_score": 0.0})
    batch = case.open_batch()
    sha = batch.candidates().rows()[0]["sha256"]
    with asking(case.ws.root) as c:
        page = c.get(f"/batches/{batch.id}").text
        assert page.count('type="radio"') <= 4 * batch.candidates().header.rows
        form = {"version": "0", f"m:{sha}": "relabel:", f"to:{sha}": "class 17"}
        assert c.post(f"/batches/{batch.id}/form", data=form).status_code == 303
        assert batch.marks()[sha].label == "class 17"
        wrong = form | {"version": "1", f"to:{sha}": "unicorn"}
        answer = c.post(f"/batches/{batch.id}/form", data=wrong)
        assert (answer.status_code, "not a class" in answer.text) == (400, True)


def test_copies_stand_side_by_side_with_what_differs(case: Case) -> None:
    batch = large_batch(case, 4)
    one, two = (r["sha256"] for r in batch.candidates().rows()[1:3])
    edit_images(case, {one: {"format": "PNG", "bytes": 4321}, two: {"format": "JPEG", "bytes": 1234}})
    with asking(case.ws.root) as c:
        page = c.get(f"{HERE}/pictures/{two}").text
        assert re.search(r'class="differs"><th scope="row">format ≠</th><td>\w+</td><td>\w+</td>', page)
        assert "4,321" in page
        assert re.search(r'class="same"><th scope="row">split', page)
        form = {"version": "0", f"m:{one}": "keep", f"m:{two}": "delete", "back": "at=2"}
        assert c.post(HERE + "/form", data=form).headers["location"] == f"/batches/{batch.id}?at=2"
        assert {s: str(m.action) for s, m in batch.marks().items()} == {one: "keep", two: "delete"}
        assert c.get(f"{HERE}/pictures/{'f' * 64}").status_code == 404
        assert c.get(HERE + "/pictures/..%2f..%2fetc").status_code == 404


def test_a_picture_comes_with_what_the_model_says_and_what_it_looks_like(case: Case) -> None:
    batch = case.open_batch()
    row = next(r for r in batch.candidates().rows() if r["suggestion"] == "relabel")
    shas = [r["sha256"] for r in case.active()]
    features = np.zeros((len(shas), 4), np.float32)
    for place, sha in enumerate(shas):
        features[place, batch.labels.index(case.truth[sha])] = 1
        features[place, 3] = 0.01 * place
    save_features(case.ws, batch.record.model_id, shas, features, (4,))
    with asking(case.ws.root) as c:
        part = c.get(f"/batches/{batch.id}/pictures/{row['sha256']}?part=yes").text
        whole = c.get(f"/batches/{batch.id}/pictures/{row['sha256']}").text
    assert part.lstrip().startswith('<div class="about"')
    assert part.strip() in whole
    bars = dict(re.findall(r'value="([\d.]+)" aria-label="(\w+)"', part))
    assert set(bars.values()) == set(batch.labels)
    assert sum(map(float, bars)) == pytest.approx(1, abs=0.001)
    for label in (row["label"], row["suggested_label"]):
        section = part.split(f"Most similar, labelled <bdi>{label}</bdi>")[1].split("</section>")[0]
        near = re.findall(r"/thumbs/([0-9a-f]{64})", section)
        assert len(near) == 4
        assert row["sha256"] not in near
        assert {case.row(s)["label"] for s in near} == {label}
    assert {case.truth[s] for s in near} == {row["suggested_label"]}  # of one kind, though some labels are wrong


def test_a_picture_without_a_model_is_shown_without_it(case: Case) -> None:
    batch = case.open_batch()
    sha = batch.candidates().rows()[0]["sha256"]
    shutil.rmtree(case.ws.models / batch.record.model_id)
    with asking(case.ws.root) as c:
        answer = c.get(f"/batches/{batch.id}/pictures/{sha}")
    assert answer.status_code == 200, answer.text
    assert "What the model says" not in answer.text
    assert "Most similar" not in answer.text


def test_a_decided_batch_shows_what_was_done_to_each_picture(case: Case) -> None:
    batch = case.open_batch()
    first, second, *_ = batch.candidates().rows()
    mark(batch, [Mark(first["sha256"], Action.DELETE)], who="ann")
    submit(batch, "approve", who="ann", undecided="suggested", confirm=True)
    with asking(case.ws.root) as c:
        page = c.get(f"/batches/{batch.id}").text
    assert "delete · ann" in page
    assert f"relabel to {second['suggested_label']} · as suggested" in page
    assert "left as it was" not in page
    assert "to go" not in page


def test_the_submit_page_shows_what_goes(case: Case) -> None:
    batch = case.open_batch()
    first, second, *rest = batch.candidates().rows()
    rest[-1]["suggestion"] = "keep"
    manifests.write(batch.folder / "candidates.parquet", [first, second, *rest], Header("candidates", "review", "one"))
    for kept in (batches._candidates, batches._rows):  # what no batch's file does changes here
        kept.cache_clear()
    mark(
        batch,
        [Mark(first["sha256"], Action.DELETE), Mark(second["sha256"], Action.RELABEL, second["suggested_label"])],
        who="ann",
    )
    with asking(case.ws.root) as c:
        page = c.get(f"/batches/{batch.id}/submit").text
    marked, open_ones = page.split("<form", 1)
    assert f"You decided 2 of {len(rest) + 2}: delete 1, relabel 1." in marked
    deleted, relabelled = re.findall(r'<section class="lot (?s:.*?)</section>', marked)
    assert first["sha256"] in deleted
    assert f"<bdi>{second['label']}</bdi> → <bdi>{second['suggested_label']}</bdi>" in relabelled
    assert second["sha256"] in relabelled
    assert '<span class="as-marked">Delete 1, relabel 1, then retrain</span>' in open_ones
    asked = [r for r in rest if r["suggestion"] != "keep"]
    assert asked
    assert all(r["sha256"] in open_ones for r in asked)
    assert f"keep {preview(batch, undecided='suggested').kept}" in open_ones  # recorded as kept, not left undecided
    assert "keep 0" not in open_ones
    assert first["sha256"] not in open_ones


def test_a_submit_from_a_stale_tab_is_shown_the_difference(case: Case) -> None:
    batch = case.open_batch()
    sha = batch.candidates().rows()[0]["sha256"]
    form = {"decision": "approve", "who": "ann", "version": str(batch.version)}
    mark(batch, [Mark(sha, Action.DELETE)], who="bob")
    with asking(case.ws.root) as c:
        answer = c.post(f"/batches/{batch.id}/submit", data=form)
    assert answer.status_code == 409
    assert f"{sha[:8]}</a>: bob delete" in answer.text
    assert batch.approval() is None


def test_a_picture_to_zoom_is_large_upright_and_new(case: Case) -> None:
    sha = case.active()[0]["sha256"]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    exif[0x010E] = "<script>alert(2)</script>"
    out = io.BytesIO()
    Image.new("RGB", (3000, 1000), "red").save(out, "JPEG", exif=exif, comment=b"<script>alert(1)</script>")
    write_bytes(case.ws.blob(sha), out.getvalue())
    with asking(case.ws.root) as c:
        for query, side in (("?size=640", MIDDLE), ("?size=99999", LARGEST), ("", LARGEST)):
            answer = c.get(f"/pictures/{sha}.jpg{query}")
            with Image.open(io.BytesIO(answer.content)) as seen:
                assert seen.height == side
                assert seen.width < side / 2.9
        assert b"script" in out.getvalue()
        assert b"script" not in answer.content
        assert answer.headers["content-type"] == "image/jpeg"
        for name in (sha[:63], "f" * 64, sha.upper(), "..%2f..%2faudit.jsonl", "%00"):
            assert c.get(f"/pictures/{name}.jpg").status_code == 404
        write_bytes(case.ws.blob(sha), b"<html>not a picture</html>")  # its thumbnail is better than nothing
        assert c.get(f"/pictures/{sha}.jpg").content == case.ws.thumb(sha).read_bytes()
        case.ws.blob(sha).unlink()  # purged
        assert c.get(f"/pictures/{sha}.jpg").content == case.ws.thumb(sha).read_bytes()


def test_a_hash_that_ends_in_zeros_is_found_like_any_other() -> None:
    shas = ["ab" * 31 + "00", "ab" * 30 + "0000", "ab" * 32, "00" * 32]
    known = np.sort(np.frombuffer(bytes.fromhex("".join(shas)), dtype="S32"))
    assert all(holds(known, s) for s in shas)
    assert not any(holds(known, s) for s in ("ab" * 29 + "000000", "ff" * 32, "ab" * 31 + "01"))
    assert not holds(known[:0], "00" * 32)
