"""The split: who has a side keeps it, groups stay together, the same seed gives the same answer."""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hypothesis
import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from keepset import manifests
from keepset.gates import check
from keepset.gates.leaks import straddling, with_todays_groups
from keepset.manifests import Header
from keepset.reasons import Split
from keepset.split import split
from keepset.workspace import Workspace
from tests import factories

Row = dict[str, Any]
LABELS = ("black", "grizzly")
quick = settings(max_examples=8, deadline=None)


def image(n: int, group: int, label: str) -> Row:
    sha = hashlib.sha256(f"i{n}".encode()).hexdigest()
    gid = hashlib.sha256(f"g{group}".encode()).hexdigest()
    return {
        "sha256": sha, "label": label, "other_labels": [], "status": "ok", "warnings": [], "bytes": 9,
        "url": f"http://127.0.0.1/{n}.jpg", "copies": 1, "source": "list", "group_id": gid,
    }  # fmt: skip


def some(n: int, per_group: int, start: int = 0) -> list[Row]:
    """``n`` images from ``start`` on, in groups of ``per_group``; a group has one label."""
    return [image(i, i // per_group, LABELS[i // per_group % 2]) for i in range(start, start + n)]


def run(ws: Workspace, rows: list[Row], seed: int, **sizes: Any) -> dict[str, Row]:
    cfg = factories.config(ws.root, LABELS, seed=seed, split=sizes)
    manifests.write(ws.images, rows, Header("images", "validate", "by hand"))
    split(ws, cfg)
    return {r["sha256"]: r for r in ws.current_dataset().rows()}


def places(rows: dict[str, Row]) -> dict[str, tuple[str, int]]:
    return {s: (r["split"], r["fold"]) for s, r in rows.items()}


def fresh(rows: list[Row], seed: int = 7, **sizes: Any) -> dict[str, Row]:
    with tempfile.TemporaryDirectory() as folder:
        return run(Workspace.create(Path(folder) / "ws", "drawn"), rows, seed, **sizes)


@quick
@hypothesis.given(n=st.integers(60, 400), per_group=st.integers(1, 4))
def test_no_survivor_moves_when_images_come_and_go(n: int, per_group: int) -> None:
    rows = some(n, per_group)
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace.create(Path(folder) / "ws", "drawn")
        before = places(run(ws, rows, 7))
        twentieth = max(1, n // 20)
        left = rows[twentieth:] + some(twentieth, 1, start=10 * n)
        after = places(run(ws, left, 7))
    assert {s: after[s] for s in before} == before
    assert len(after) == n + twentieth


@quick
@hypothesis.given(n=st.integers(40, 400), per_group=st.integers(1, 4), test=st.sampled_from([0.0, 0.1, 0.2]))
def test_no_group_on_both_sides_and_shares_within_a_group(n: int, per_group: int, test: float) -> None:
    rows = fresh(some(n, per_group), valid=0.2, test=test)
    sides: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for r in rows.values():
        sides[r["group_id"]].add((r["split"], r["fold"]))
    assert all(len(s) == 1 for s in sides.values())
    for label in LABELS:
        mine = Counter(r["split"] for r in rows.values() if r["label"] == label)
        total = sum(mine.values())
        assert abs(mine["valid"] - 0.2 * total) <= per_group
        assert abs(mine["test"] - test * total) <= per_group


@quick
@hypothesis.given(seed=st.integers(0, 2**40))
def test_same_seed_same_split_whatever_the_order(seed: int) -> None:
    rows = some(120, 2)
    assert places(fresh(rows, seed)) == places(fresh(rows[::-1], seed))
    assert places(fresh(rows, seed)) != places(fresh(rows, seed + 5))


def test_folds_cover_and_are_near_even() -> None:
    folds = Counter(r["fold"] for r in fresh(some(500, 1)).values())
    assert sorted(folds) == [0, 1, 2, 3, 4]
    assert min(folds.values()) > 60


def test_a_relabelled_image_keeps_its_side(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "drawn")
    rows = some(60, 1)
    before = run(ws, rows, 7)
    moved = rows[0]["sha256"]
    done = [r | ({"label": "grizzly"} if s == moved else {}) for s, r in before.items()]
    factories.add_revision(ws, done, "review")
    after = run(ws, rows + some(6, 1, start=1000), 7)
    assert after[moved]["label"] == "grizzly"
    assert places(after)[moved] == places(before)[moved]


def test_second_run_writes_nothing(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "drawn")
    run(ws, some(40, 1), 7)
    run(ws, some(40, 1), 7)
    assert ws.revisions() == [1]


@quick
@hypothesis.given(seed=st.integers(0, 2**20), ties=st.integers(1, 12))
def test_newcomers_share_side_and_fold_with_all_of_their_group(seed: int, ties: int) -> None:
    rows = some(60, 1)
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace.create(Path(folder) / "ws", "drawn")
        before = places(run(ws, rows, seed))
        merged, new = [dict(r) for r in rows], []
        for k in range(ties):  # image k ties the k-th group to the one after it
            a, b = merged[2 * k], merged[2 * k + 1]
            b["group_id"] = a["group_id"]
            new.append(image(1000 + k, 0, a["label"]) | {"group_id": a["group_id"]})
        after = run(ws, merged + new, seed)
    for k, tie in enumerate(new):
        pair = [merged[2 * k]["sha256"], merged[2 * k + 1]["sha256"]]
        row = after[tie["sha256"]]
        assert [after[s]["split"] for s in pair] == [before[s][0] for s in pair], "no survivor changes side"
        assert row["active"] == (len({before[s][0] for s in pair}) == 1)
        assert len({after[s]["fold"] for s in (*pair, tie["sha256"])}) == 1, "no group straddles folds"
        assert row["fold"] in {before[s][1] for s in pair}
        assert not row["active"] or row["split"] == before[pair[0]][0]


def test_old_groups_that_merge_take_one_fold_without_any_newcomer(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "drawn")
    rows = some(60, 1)
    before = places(run(ws, rows, 7))
    train = [r for r in rows if before[r["sha256"]][0] == "train"]
    one = train[0]
    other = next(r for r in train if before[r["sha256"]][1] != before[one["sha256"]][1])
    merged = [r | ({"group_id": one["group_id"]} if r is other else {}) for r in rows]
    after = places(run(ws, merged, 7))
    assert ws.revisions() == [1, 2]
    changed = {s for s in before if after[s] != before[s]}
    assert len(changed) == 1
    assert changed < {one["sha256"], other["sha256"]}
    assert after[one["sha256"]] == after[other["sha256"]]
    run(ws, merged, 7)
    assert ws.revisions() == [1, 2], "once is enough"


def test_a_class_without_a_validation_picture_is_named(tmp_path: Path) -> None:
    """A11: one duplicate group is all of a class, and fits into no validation set."""
    ws = Workspace.create(tmp_path / "ws", "drawn")
    rows = [image(i, 0, "black") for i in range(14)] + [image(100 + i, 100 + i, "grizzly") for i in range(14)]
    cfg = factories.config(ws.root, LABELS, seed=7)
    manifests.write(ws.images, rows, Header("images", "validate", "by hand"))
    said = split(ws, cfg).message
    assert "WARNING: no validation picture of 'black': mistakes there cannot be seen" in said
    more = rows + [image(200 + i, 200 + i, "black") for i in range(10)]  # the remedy: pictures that differ
    manifests.write(ws.images, more, Header("images", "validate", "by hand"))
    assert "WARNING" not in split(ws, cfg).message


def sides_given(side: dict[int, Split], rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    """A source gives these sides, by number of the row."""
    found = {rows[n]["sha256"]: s for n, s in side.items()}
    monkeypatch.setattr("keepset.split.given_sides", lambda ws, config: found)


def test_a_validation_set_is_drawn_where_only_a_test_set_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = Workspace.create(tmp_path / "ws", "drawn")
    rows = some(120, 2)
    sides_given(dict.fromkeys(range(24), Split.TEST), rows, monkeypatch)
    before = run(ws, rows, 7, test=0.3)  # what is given is the test set: none is drawn
    assert {r["sha256"] for r in rows[:24]} == {s for s, r in before.items() if r["split"] == "test"}
    assert Counter(r["split"] for r in before.values())["valid"] in range(17, 21)  # a fifth of the other 96
    assert all(r["active"] for r in before.values())
    copy = image(1000, 13, rows[26]["label"])  # of a picture for training or validation: it joins that
    leak = image(1001, 0, rows[0]["label"])  # of a test picture, on no side itself
    after = run(ws, [*rows, copy, leak], 7, test=0.3)
    assert places(after)[copy["sha256"]] == places(before)[rows[26]["sha256"]]
    assert after[copy["sha256"]]["active"]
    assert not after[leak["sha256"]]["active"]
    assert {s: places(after)[s] for s in before} == places(before)


def test_nothing_is_drawn_where_a_validation_set_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = some(60, 1)
    sides_given({0: Split.VALID, 1: Split.VALID}, rows, monkeypatch)
    after = run(Workspace.create(tmp_path / "ws", "drawn"), rows, 7)
    assert [s for s, r in after.items() if r["split"] == "valid"] == [r["sha256"] for r in rows[:2]]


def test_what_validate_writes_meanwhile_is_the_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D11: the images are read under the lock, header and rows alike."""
    ws = Workspace.create(tmp_path / "ws", "drawn")
    cfg, lock = factories.config(ws.root, LABELS, seed=7), Workspace.lock
    manifests.write(ws.images, some(40, 1), Header("images", "validate", "by hand"))

    def late(self: Workspace, name: str, *args: Any, **more: Any) -> Any:
        manifests.write(ws.images, some(60, 1), Header("images", "validate", "by hand"))
        return lock(self, name, *args, **more)

    monkeypatch.setattr(Workspace, "lock", late)
    split(ws, cfg)
    assert ws.current_dataset().header.parents["images"] == manifests.read_header(ws.images).content_hash
    assert len(ws.current_dataset().rows()) == 60


def test_the_ways_out_of_no_validation_image(tmp_path: Path) -> None:
    """What training's error says: more pictures, or a larger share in a new workspace; not in the old one."""
    ws, few = Workspace.create(tmp_path / "ws", "drawn"), some(4, 1)
    assert {r["split"] for r in run(ws, few, 7).values()} == {"train"}
    assert {r["split"] for r in run(ws, few, 7, valid=0.5).values()} == {"train"}
    assert "valid" in {r["split"] for r in run(ws, few + some(8, 1, start=100), 7).values()}
    assert "valid" in {r["split"] for r in fresh(few, valid=0.5).values()}


def origin_rows(rng: random.Random, n: int) -> list[Row]:
    """Images by creators who take 1 to 6 of both classes, each a page with up to 4; some without either."""
    rows: list[Row] = []
    while len(rows) < n:
        creator, page = f"C{rng.random()}", f"https://a.example/{rng.random()}"
        for _ in range(rng.randint(1, 6)):
            named = {"creator": creator, "landing_page": page} if rng.random() < 0.8 else {}
            rows.append(image(len(rows), len(rows), rng.choice(LABELS)) | named)
            page = page if rng.random() < 0.7 else f"https://a.example/{rng.random()}"
    return rows


@quick
@hypothesis.given(seed=st.integers(0, 2**30), n=st.integers(60, 300))
def test_pictures_of_one_page_or_creator_stay_on_one_side_and_nobody_moves(seed: int, n: int) -> None:
    rows = origin_rows(random.Random(seed), n)
    first, later = rows[: n * 2 // 3], rows
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace.create(Path(folder) / "ws", "drawn")
        before = run(ws, first, 7)
        assert places(fresh(first[::-1], 7)) == places(before), "whatever the order"
        after = run(ws, later, 7)
        apart = straddling(ws, with_todays_groups(ws, ws.current_dataset().frame()))
    assert {s: places(after)[s] for s in before} == places(before)
    assert all(r["active"] for r in after.values()), "nothing is left out for its origin"
    for label in LABELS:
        mine = [r["split"] for r in before.values() if r["label"] == label]
        assert abs(mine.count("valid") - 0.2 * len(mine)) <= max(2, 0.05 * len(mine))
    total = Counter(r["label"] for r in first)
    for key in ("landing_page", "creator"):
        for value in {r.get(key) for r in first} - {None}:
            mine = [r for r in first if r.get(key) == value]
            of_both = [r for r in first if r.get("creator") == mine[0]["creator"]]  # that is all it can be joined with
            if all(sum(r["label"] == c for r in of_both) <= max(2, total[c] // 10) for c in LABELS):
                assert len({(before[r["sha256"]]["split"], before[r["sha256"]]["fold"]) for r in mine}) == 1
    assert not apart.origins


def test_a_creator_of_most_pictures_does_not_swallow_the_split(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "drawn")
    rows = [
        r | {"creator": "Big  Agency", "landing_page": f"https://a.example/{i // 3}"} for i, r in enumerate(some(90, 1))
    ]
    rows += [r | {"creator": "Unknown", "landing_page": "https://b.example/all"} for r in some(90, 1, start=1000)]
    cfg = factories.config(ws.root, LABELS, seed=7)
    manifests.write(ws.images, rows, Header("images", "validate", "by hand"))
    said = split(ws, cfg).message
    assert (
        "too many from one place to keep on one side: https://b.example/all (50 % of 'grizzly'), Big  Agency (50 %"
        in said
    )
    got = {r["sha256"]: r for r in ws.current_dataset().rows()}
    assert 34 <= sum(r["split"] == "valid" for r in got.values()) <= 36
    pages = defaultdict(set)
    for r in rows[:90]:
        pages[r["landing_page"]].add(got[r["sha256"]]["split"])
    assert all(len(sides) == 1 for sides in pages.values()), "the finer key is kept"
    frame = with_todays_groups(ws, ws.current_dataset().frame())
    frame.loc[0, "split"] = "test"
    assert straddling(ws, frame).origins == (tuple(sorted(r["sha256"] for r in rows[:3])),)


def test_a_data_set_from_before_origins_keeps_its_sides(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "drawn")
    rows = [r | {"creator": f"c{i // 4}"} for i, r in enumerate(some(120, 1))]
    before = run(ws, [r | {"creator": None} for r in rows], 7)
    table = ws.current_dataset().table.drop_columns(["origin_id"])  # as an earlier Keepset wrote it
    header = Header("dataset", "split", "by hand", extra={"revision": 1, "before": 0, "cause": "split"}, rows=120)
    with pq.ParquetWriter(ws.dataset(1), table.schema, store_schema=False) as out:
        out.write_table(table)
        out.add_key_value_metadata({b"keepset": json.dumps(asdict(header)).encode()})
    new = [image(1000 + i, 1000 + i, LABELS[i % 2]) | {"creator": f"c{i // 2}"} for i in range(40)]
    after = run(ws, rows + new, 7)
    assert {s: places(after)[s] for s in before} == places(before)
    for i, r in enumerate(new):
        old = Counter(before[o["sha256"]]["split"] for o in rows if o["creator"] == f"c{i // 2}")
        assert after[r["sha256"]]["split"] == max(old, key=lambda s: (old[s], s))
    check(ws, factories.config(ws.root, LABELS), "dataset")
