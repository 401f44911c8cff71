"""Gates: good data pass; each kind of bad data fails at its own expectation, with how far off and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import GateFailed
from keepset.gates import check
from keepset.gates.leaks import Straddling
from keepset.gates.suites import run_suite
from keepset.manifests import Header
from keepset.reasons import Action
from keepset.review import Mark, mark, submit
from keepset.workspace import Workspace
from tests.factories import CLASSES, add_revision, config, dataset_workspace
from tests.review_fixtures import Case, edit_images

Row = dict[str, Any]
Frame = pd.DataFrame
N = 36


def good(gate: str) -> Frame:
    """What a stage hands to its gate: 36 rows, nothing wrong."""
    sha = [f"{i:064x}" for i in range(N)]
    label = [CLASSES[i % 3] for i in range(N)]
    if gate == "dataset":
        split = ["valid" if i // 3 % 5 == 0 else "train" for i in range(N)]
        fold = [i // 3 % 5 for i in range(N)]
        columns: dict[str, Any] = {"sha256": sha, "label": label, "split": split, "fold": fold, "group_id": sha}
        return Frame(columns | {"active": True})
    if gate == "images":
        columns = {"sha256": sha, "label": label, "status": "ok", "dup_of": None, "width": 160, "height": 120}
        return Frame(columns | {"group_id": sha})
    return Frame({"url_id": sha, "label": label, "status": "ok"})


def put(column: str, value: Any, rows: slice = slice(0, 1)) -> Callable[[Frame], None]:
    def spoil(frame: Frame) -> None:
        frame[column] = frame[column].astype(object)
        frame.loc[frame.index[rows], column] = value

    return spoil


def twice(column: str) -> Callable[[Frame], None]:
    return lambda frame: put(column, frame[column].iloc[1])(frame)


NONE_OF_EACH = {
    g: {f"at least {n} {what} of '{c}'" for c in CLASSES}
    for g, n, what in (
        ("urls", 1, "URLs"),
        ("downloads", 10, "downloaded images"),
        ("images", 10, "good images"),
        ("dataset", 10, "active images"),
    )
}
SIDES, FOLDS = "no duplicate group on both sides of the split", "no duplicate group in two folds"
ORIGINS = "no pictures of one origin (page, observation, creator) on both sides"
CASES: list[tuple[str, list[Callable[[Frame], None]], set[str], str]] = [
    ("urls", [twice("url_id")], {"each url_id once"}, "2 of 36 rows"),
    ("urls", [put("status", "rejected", slice(None))], NONE_OF_EACH["urls"], "0, 1 too few"),
    ("downloads", [twice("url_id")], {"each url_id once"}, "2 of 36 rows"),
    ("downloads", [put("status", "failed", slice(0, 34))],
     NONE_OF_EACH["downloads"] | {"at most 90 % failed downloads"}, "94.4 %, 4.4 points too many"),
    ("images", [twice("sha256")], {"each sha256 once"}, "2 of 36 rows"),
    ("images", [put("status", "rejected", slice(0, 30))],
     NONE_OF_EACH["images"] | {"at most 50 % rejected images"}, "83.3 %, 33.3 points too many"),
    ("images", [put("dup_of", "f" * 64, slice(0, 27))], {"at most 70 % duplicates"}, "75 %, 5.0 points too many"),
    ("dataset", [twice("sha256")], {"each sha256 once"}, "2 of 36 rows"),
    ("dataset", [put("active", False, slice(0, 34))], NONE_OF_EACH["dataset"] | {"the smallest class at least 2 % of the largest"},
     "0 %, 2.0 points too few"),
    ("dataset", [put("label", "zebra")], {"only classes of the run config"}, "1 of 36 rows otherwise (zebra)"),
]  # fmt: skip


def outcome(gate: str, frame: Frame, cfg: RunConfig, apart: Straddling | None = None) -> dict[str, Any]:
    return {o.expectation: o for o in run_suite(gate, frame, cfg, apart)}


@pytest.fixture(scope="module")
def cfg(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    return config(tmp_path_factory.mktemp("gates"))


@pytest.mark.parametrize("gate", NONE_OF_EACH)
def test_good_data_pass_and_no_expectation_is_without_a_case(gate: str, cfg: RunConfig) -> None:
    found = outcome(gate, good(gate), cfg)
    assert [o for o in found.values() if not o.passed] == []
    covered = set().union(*(words for g, _, words, _ in CASES if g == gate))
    covered |= {SIDES, FOLDS, ORIGINS} if gate == "dataset" else set()
    assert set(found) == covered
    assert all(o.remedy for o in found.values())


@pytest.mark.parametrize("case", range(len(CASES)))
def test_bad_data_fail_at_their_own_expectations_and_at_no_other(case: int, cfg: RunConfig) -> None:
    gate, spoils, words, observed = CASES[case]
    frame = good(gate)
    for spoil in spoils:
        spoil(frame)
    failed = [o for o in outcome(gate, frame, cfg).values() if not o.passed]
    assert {o.expectation for o in failed} == words
    assert any(observed in o.observed for o in failed)


def test_groups_on_two_sides_or_in_two_folds_fail(cfg: RunConfig) -> None:
    apart = Straddling((("a" * 64, "b" * 64),), (("c" * 64, "d" * 64),), (("e" * 64, "f" * 64),))
    failed = [o for o in outcome("dataset", good("dataset"), cfg, apart).values() if not o.passed]
    assert [(o.expectation, o.observed) for o in failed] == [(SIDES, "1"), (FOLDS, "1"), (ORIGINS, "1")]
    assert "aaaaaaaaaaaa, bbbbbbbbbbbb" in failed[0].remedy
    assert "keepset review" in failed[0].remedy
    assert "keepset split" in failed[1].remedy
    assert "eeeeeeeeeeee, ffffffffffff" in failed[2].remedy


# -- through `check`, on a workspace ---------------------------------------------------------------


def rewrite(ws: Workspace, spoil: Callable[[list[Row]], None]) -> None:
    """A new revision of the data set, spoilt."""
    rows = ws.current_dataset().rows()
    spoil(rows)
    add_revision(ws, rows, "by hand")


def pair(ws: Workspace) -> tuple[str, str]:
    rows = ws.current_dataset().rows()
    return tuple(next(r["sha256"] for r in rows if r["split"] == s) for s in ("train", "valid"))  # type: ignore[return-value]


def merge_today(ws: Workspace, a: str, b: str, *, same_look: bool) -> None:
    """As if a later validation had put both into one group."""
    rows = manifests.read(ws.images, "images").rows()
    one = next(r for r in rows if r["sha256"] == a)
    other = next(r for r in rows if r["sha256"] == b)
    other["group_id"] = one["group_id"]
    if same_look:
        other["phash"] = one["phash"]
        ws.thumb(b).write_bytes(ws.thumb(a).read_bytes())
    manifests.write(ws.images, rows, Header("images", "validate", "merged"))


def test_a_good_workspace_passes_and_is_not_checked_again(tmp_path: Path) -> None:
    ws, cfg, _ = dataset_workspace(tmp_path)
    first = check(ws, cfg, "dataset")
    assert first.passed
    assert check(ws, cfg, "images").passed
    written = (ws.root / "gates" / "dataset.json").stat().st_mtime_ns
    assert check(ws, cfg, "dataset").outcomes == first.outcomes
    assert (ws.root / "gates" / "dataset.json").stat().st_mtime_ns == written


def test_a_recorded_group_on_both_sides_fails(tmp_path: Path) -> None:
    ws, cfg, _ = dataset_workspace(tmp_path)
    train, valid = pair(ws)

    def leak(rows: list[Row]) -> None:
        next(r for r in rows if r["sha256"] == train)["group_id"] = valid

    rewrite(ws, leak)
    with pytest.raises(GateFailed) as caught:
        check(ws, cfg, "dataset")
    assert f"expected {SIDES}; found 1" in caught.value.message
    assert train[:12] in caught.value.remedy


def test_groups_count_as_they_are_today_not_only_as_they_were_recorded(tmp_path: Path) -> None:
    ws, cfg, _ = dataset_workspace(tmp_path)
    assert check(ws, cfg, "dataset").passed
    train, valid = pair(ws)
    merge_today(ws, train, valid, same_look=True)
    with pytest.raises(GateFailed, match="on both sides of the split; found 1") as caught:
        check(ws, cfg, "dataset")
    assert train[:12] in caught.value.remedy
    assert valid[:12] in caught.value.remedy


def test_images_that_only_an_unused_one_ties_together_are_no_leak(tmp_path: Path) -> None:
    ws, cfg, _ = dataset_workspace(tmp_path)
    merge_today(ws, *pair(ws), same_look=False)
    assert check(ws, cfg, "dataset").passed


def test_copies_that_a_reviewer_kept_on_both_sides_are_no_leak(case: Case) -> None:
    """The remedy of the gate, followed: the two are different pictures, so both are kept."""
    ws, cfg = case.ws, case.config
    train, valid = case.clean_ones(1)[0], case.clean_ones(1, "valid")[0]
    ws.thumb(valid).write_bytes(ws.thumb(train).read_bytes())
    edit_images(case, {valid: {"group_id": case.row(train)["group_id"], "dup_of": train, "dup_kind": "near"}})
    with pytest.raises(GateFailed, match="on both sides"):
        check(ws, cfg, "dataset")
    batch = case.open_batch()
    assert valid in {r["sha256"] for r in batch.candidates().rows()}
    mark(batch, [Mark(valid, Action.KEEP)], who="ann")
    submit(batch, "approve", who="ann")
    assert check(ws, cfg, "dataset").passed
