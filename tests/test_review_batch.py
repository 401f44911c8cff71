"""Opening a batch, marking, undoing, deciding: the state of record, and who may change it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keepset.clean import clean
from keepset.errors import ModelError, NeedsConfirmation, ReviewError, StaleBatch
from keepset.reasons import Action
from keepset.review import (
    Batch,
    BatchStatus,
    Mark,
    changes_since,
    list_batches,
    load_batch,
    mark,
    planned,
    preview,
    redo,
    reopen,
    review,
    submit,
    undo,
)
from keepset.review.auditing import settle
from keepset.web.cards import marks_suggested
from tests.factories import dataset_workspace
from tests.processes import race
from tests.review_fixtures import Case, delete, make_case, top_up

SOON = timedelta(days=15)


def shas(batch: Batch) -> list[str]:
    return [r["sha256"] for r in batch.candidates().rows()]


def late(batch: Batch) -> Batch:
    """The same batch, looked at after its deadline."""
    return load_batch(batch.ws, batch.id, clock=lambda: datetime.now(UTC) + SOON)


# -- opening ----------------------------------------------------------------------------------------------


def test_one_revision_and_model_give_one_batch(case: Case) -> None:
    first, again = review(case.ws, case.config), review(case.ws, case.config)
    assert (first.changed, again.changed) == (True, False)
    assert first.outputs["batch_id"] == again.outputs["batch_id"]
    assert again.message.startswith("up to date")
    batch = list_batches(case.ws)[0]
    assert batch.id.startswith("b0001-")
    assert batch.status == BatchStatus.OPEN
    assert batch.labels == case.config.labels
    assert batch.record.counts == {"label_issue": 4}
    assert batch.deadline - batch.record.opened_at == timedelta(days=14)
    assert [r["what"]["batch"] for r in case.audit("open")] == [batch.id]


def test_review_without_a_model_says_what_to_do(tmp_path: Path) -> None:
    ws, config, _ = dataset_workspace(tmp_path)
    with pytest.raises(ModelError, match="keepset train"):
        review(ws, config)


def test_a_clean_set_opens_no_batch(tmp_path: Path) -> None:
    clean_case = make_case(tmp_path, flips=0)
    result = review(clean_case.ws, clean_case.config)
    assert (result.changed, dict(result.outputs)) == (False, {})
    assert list_batches(clean_case.ws) == []


@pytest.mark.parametrize("name", ["b0009-00000000", "../../etc", "", "b0001-" + "0" * 400])
def test_an_unknown_batch_is_refused(case: Case, name: str) -> None:
    with pytest.raises(ReviewError, match="no batch"):
        load_batch(case.ws, name)


def test_a_folder_without_batch_json_is_no_batch(case: Case) -> None:
    batch = case.open_batch()
    (batch.folder / "batch.json").unlink()
    assert list_batches(case.ws) == []
    assert case.open_batch().id == batch.id


# -- every image on request -------------------------------------------------------------------------------


def open_all(case: Case) -> Batch:
    return load_batch(case.ws, review(case.ws, case.config, everything=True).outputs["batch_id"])


def test_a_batch_of_every_image_begins_with_what_is_proposed(case: Case) -> None:
    ordinary = case.open_batch()
    opened = review(case.ws, case.config, everything=True)
    whole = load_batch(case.ws, opened.outputs["batch_id"])
    assert whole.id != ordinary.id
    assert f"Also open: {ordinary.id}" in opened.message
    n = len(ordinary.candidates().rows())
    rows = whole.candidates().rows()
    assert rows[:n] == ordinary.candidates().rows()
    assert {r["sha256"] for r in rows} == {r["sha256"] for r in case.active()}
    assert (whole.proposed, whole.record.on_request, len(rows)) == (4, 32, 36)
    rest = rows[n:]
    assert [r["rank"] for r in rows] == list(range(36))
    assert [r["score"] for r in rows] == sorted((r["score"] for r in rows), reverse=True)
    assert {(*r["reasons"], r["suggestion"], r["suggested_label"]) for r in rest} == {("not_suspected", "keep", None)}
    assert all(r["explanation"].endswith("shown because all images were asked for.") for r in rest)
    again = review(case.ws, case.config, everything=True)
    assert (again.changed, again.outputs["batch_id"]) == (False, whole.id)
    assert review(case.ws, case.config).outputs["batch_id"] == ordinary.id


def test_of_every_image_the_cap_hides_none_that_is_suspected(tmp_path: Path) -> None:
    capped = make_case(tmp_path, flips=6, review={"max_candidates": 2})
    whole = open_all(capped)
    assert set(shas(whole)[: whole.proposed]) == capped.wrong
    assert review(capped.ws, capped.config).outputs["batch_id"] == whole.id  # it holds the proposed ones too


def test_approving_leaves_what_nobody_proposed_or_marked(case: Case) -> None:
    whole = open_all(case)
    marked, looked_at = shas(whole)[-2:]
    mark(whole, [*delete(marked), Mark(looked_at, Action.KEEP)], who="ann")
    approval = submit(whole, "approve", who="ann", undecided="suggested", confirm=True)
    assert set(approval.decisions) == {*case.wrong, marked, looked_at}
    assert set(approval.changes()) == {*case.wrong, marked}


def test_a_batch_of_every_image_can_be_asked_for_again(tmp_path: Path) -> None:
    clean_case = make_case(tmp_path, flips=0)
    for _ in range(2):  # who asks again after a decision sees all of them again
        whole = open_all(clean_case)
        assert (whole.proposed, whole.record.on_request) == (0, 36)
        mark(whole, [Mark(s, Action.KEEP) for s in shas(whole)], who="ann")
        submit(whole, "approve", who="ann")
        clean(clean_case.ws, clean_case.config)
    assert len(list_batches(clean_case.ws)) == 2
    assert {r["reasons"][0] for r in whole.candidates().rows()} == {"decided_before"}


def test_what_was_decided_counts_also_where_it_is_shown_again(case: Case) -> None:
    first = case.open_batch()
    decided = set(shas(first))
    mark(first, [Mark(s, Action.KEEP) for s in decided], who="ann")
    submit(first, "approve", who="ann")
    clean(case.ws, case.config)
    new = "f" * 64
    top_up(case, new, "boat")
    rows = {r["sha256"]: r for r in open_all(case).candidates().rows()}
    assert {s for s, r in rows.items() if r["reasons"] == ["decided_before"]} == decided
    assert "a person decided it before" in rows[first.candidates().rows()[0]["sha256"]]["explanation"].lower()
    assert "has not seen it" in rows[new]["explanation"]
    submit(load_batch(case.ws, list_batches(case.ws)[-1].id), "approve", who="ann", undecided="suggested")
    assert review(case.ws, case.config).outputs == {}  # neither they nor the rest come back


# -- marking ----------------------------------------------------------------------------------------------


def test_marks_add_up_and_survive_another_reader(case: Case) -> None:
    batch = case.open_batch()
    one, two, three, _ = shas(batch)
    assert mark(batch, delete(one, two), who="ann") == 1
    assert mark(batch, [Mark(two, Action.RELABEL, "boat"), Mark(three, Action.KEEP)], who="ann") == 2
    seen = load_batch(case.ws, batch.id).marks()
    assert {s: (m.action, m.label, m.who) for s, m in seen.items()} == {
        one: (Action.DELETE, None, "ann"),
        two: (Action.RELABEL, "boat", "ann"),
        three: (Action.KEEP, None, "ann"),
    }
    p = batch.progress()
    assert (p.total, p.marked, p.undecided, p.kept, p.deleted, p.relabelled, p.found) == (4, 3, 1, 1, 1, 1, 2)


def test_undo_and_redo_go_step_by_step_and_are_ones_own(case: Case) -> None:
    """Whatever several people do in whatever order: ``test_review_log.py``."""
    batch = case.open_batch()
    one, two, three, _ = shas(batch)
    mark(batch, delete(one), who="ann")
    mark(batch, delete(two, three), who="ann")
    assert undo(batch, who="ann") == 3
    assert set(batch.marks()) == {one}
    undo(batch, who="ann")
    with pytest.raises(ReviewError, match="nothing"):
        undo(batch, who="ann")
    redo(batch, who="ann")
    assert redo(batch, who="ann") == 6
    assert set(batch.marks()) == {one, two, three}
    with pytest.raises(ReviewError, match="nothing"):
        redo(batch, who="ann")
    mark(batch, [Mark(two, Action.KEEP)], who="bob")
    undo(batch, who="ann")
    assert {s: m.who for s, m in batch.marks().items()} == {one: "ann", two: "bob"}
    mark(batch, [Mark(one, None)], who="ann")  # taken away, which ends what can be redone
    assert set(batch.marks()) == {two}
    with pytest.raises(ReviewError, match="nothing"):
        redo(batch, who="ann")
    undo(batch, who="ann")
    assert batch.marks()[one].action == Action.DELETE


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (Mark("f" * 64, Action.DELETE), "not in"),
        (Mark("", Action.RELABEL, "unicorn"), "not a class"),
        (Mark("", Action.RELABEL), "not a class"),
    ],
)
def test_a_mark_that_makes_no_sense_is_refused_whole(case: Case, bad: Mark, words: str) -> None:
    batch = case.open_batch()
    good = shas(batch)[0]
    bad = bad if bad.sha256 else Mark(good, bad.action, bad.label)
    with pytest.raises(ReviewError, match=words):
        mark(batch, [*delete(good), bad], who="ann")
    assert batch.version == 0


def test_a_torn_line_is_passed_over_and_nothing_is_glued_to_it(case: Case) -> None:
    batch = case.open_batch()
    one, two, *_ = shas(batch)
    mark(batch, delete(one), who="ann")
    with (batch.folder / "decisions.jsonl").open("a") as f:
        f.write('{"at": "2026-11-23T10:00:00", "who": "a')
    assert mark(batch, delete(two), who="ann") == 3
    assert set(batch.marks()) == {one, two}
    assert batch.version == 3


# -- two people -------------------------------------------------------------------------------------------


def test_a_stale_mark_shows_the_difference_and_overwrites_nothing(case: Case) -> None:
    batch = case.open_batch()
    one, two, *_ = shas(batch)
    seen = batch.version
    mark(batch, delete(one), who="ann", expected_version=seen)
    with pytest.raises(StaleBatch) as e:
        mark(batch, [Mark(one, Action.KEEP), Mark(two, Action.KEEP)], who="bob", expected_version=seen)
    assert e.value.difference == [{"sha256": one, "mine": "keep", "theirs": "delete", "who": "ann"}]
    assert {s: m.who for s, m in batch.marks().items()} == {one: "ann"}
    assert json.loads(json.dumps(e.value.as_dict()))["difference"]


def test_the_difference_names_who_took_a_mark_away_not_who_came_last(case: Case) -> None:
    batch = case.open_batch()
    one, two, three, *_ = shas(batch)
    mark(batch, delete(one, two), who="ann")
    undo(batch, who="ann")
    mark(batch, [Mark(three, Action.KEEP)], who="cleo")
    with pytest.raises(StaleBatch) as e:
        submit(batch, "approve", who="bob", expected_version=1)
    assert {d["sha256"]: (d["theirs"], d["who"]) for d in e.value.difference} == {
        one: (None, "ann"),
        two: (None, "ann"),
        three: ("keep", "cleo"),
    }


def test_marks_on_other_images_and_the_same_mark_are_no_conflict(case: Case) -> None:
    batch = case.open_batch()
    one, two, *_ = shas(batch)
    mark(batch, delete(one), who="ann", expected_version=0)
    assert mark(batch, delete(one, two), who="bob", expected_version=0) == 2
    assert set(changes_since(batch, 1)) == {one, two}


def test_a_submit_from_a_stale_tab_decides_nothing(case: Case) -> None:
    batch = case.open_batch()
    one = shas(batch)[0]
    mark(batch, delete(one), who="ann")
    with pytest.raises(StaleBatch) as e:
        submit(batch, "approve", who="bob", expected_version=0)
    assert e.value.difference == [{"sha256": one, "mine": None, "theirs": "delete", "who": "ann"}]
    assert batch.status == BatchStatus.OPEN
    submit(batch, "approve", who="bob", expected_version=1)


# -- deciding ---------------------------------------------------------------------------------------------


def test_an_approval_is_a_whole_snapshot(case: Case) -> None:
    batch = case.open_batch()
    one, two, three, _ = shas(batch)
    mark(batch, [*delete(one), Mark(two, Action.RELABEL, "boat"), *delete(three)], who="ann")
    done = submit(batch, "approve", who="bob", note="why not", keep=(three[:12],), via="gallery")
    assert batch.status == BatchStatus.APPROVED
    assert {s: (d["action"], d["label"], d["by"], d["who"]) for s, d in done.decisions.items()} == {
        one: ("delete", None, "mark", "ann"),
        two: ("relabel", "boat", "mark", "ann"),
        three: ("keep", None, "keep", ""),
    }
    assert load_batch(case.ws, batch.id).approval() == done
    (row,) = case.audit("review")
    assert (row["who"], row["why"]) == ("bob", "why not")
    assert {k: row["what"][k] for k in ("decision", "via", "delete", "relabel", "keep")} == {
        "decision": "approve", "via": "gallery", "delete": 1, "relabel": 1, "keep": 1,
    }  # fmt: skip


def test_suggestions_apply_only_to_unmarked_images(case: Case) -> None:
    batch = case.open_batch()
    one = shas(batch)[0]
    mark(batch, [Mark(one, Action.KEEP)], who="ann")
    done = submit(batch, "approve", who="ann", undecided="suggested")
    assert done.decisions[one]["action"] == "keep"
    assert {d["action"] for s, d in done.decisions.items() if s != one} == {"relabel"}
    assert all(d["label"] == case.truth[s] for s, d in done.decisions.items() if s != one)


@pytest.mark.parametrize("decision", ["approve", "reject", "send_back"])
def test_a_decided_batch_takes_nothing_more(case: Case, decision: str) -> None:
    batch = case.open_batch()
    submit(batch, decision, who="ann")
    with pytest.raises(ReviewError, match="not open"):
        submit(batch, "approve", who="bob")
    with pytest.raises(ReviewError, match="not open"):
        mark(batch, delete(shas(batch)[0]), who="bob")
    with pytest.raises(ReviewError, match="not open"):
        undo(batch, who="bob")


@pytest.mark.parametrize(
    ("decision", "given", "words"),
    [
        ("delete everything", {}, "is not a decision"), ("approve", {"undecided": "maybe"}, "undecided"),
        ("approve", {"keep": ("beefbeefbeef",)}, "is not in"), ("approve", {"keep": ("",)}, "is not in"),
        ("reject", {"who": ""}, "name"),
    ],
)  # fmt: skip
def test_strange_decisions_are_refused(case: Case, decision: str, given: dict[str, Any], words: str) -> None:
    batch = case.open_batch()
    with pytest.raises(ReviewError, match=words):
        submit(batch, decision, **{"who": "ann"} | given)
    with pytest.raises(ReviewError, match="name"):
        mark(batch, delete(shas(batch)[0]), who=" ")
    assert batch.status == BatchStatus.OPEN


def test_a_rejected_batch_stays_rejected_and_opens_no_other(case: Case) -> None:
    batch = case.open_batch()
    submit(batch, "reject", who="ann")
    again = review(case.ws, case.config)
    assert (again.changed, dict(again.outputs)) == (False, {})
    with pytest.raises(ReviewError, match="can be reopened"):
        reopen(batch, who="ann")


def test_a_new_batch_supersedes_an_older_one_in_which_nothing_was_marked(case: Case) -> None:
    marked = case.open_batch()
    mark(marked, delete(shas(marked)[0]), who="ann")
    case.train_again("1" * 16)
    idle = case.open_batch()
    assert marked.status == idle.status == BatchStatus.OPEN
    case.train_again("2" * 16)
    opened = review(case.ws, case.config)
    assert f"It supersedes {idle.id}, where nothing was marked. Also open: {marked.id};" in opened.message
    assert (marked.status, idle.status) == (BatchStatus.OPEN, BatchStatus.REJECTED)
    assert [(r["who"], r["why"]) for r in case.audit("review")] == [
        ("keepset", f"superseded by {opened.outputs['batch_id']}")
    ]


def test_an_open_batch_offers_the_classes_of_today(case: Case) -> None:
    batch = case.open_batch()
    first, second, *_ = shas(batch)
    gone, *left = batch.labels
    mark(batch, [Mark(first, Action.RELABEL, gone)], who="ann")
    case.ws.save_config(
        case.config.model_copy(update={"classes": tuple(c for c in case.config.classes if c.name != gone)})
    )
    assert batch.labels == tuple(left)
    with pytest.raises(ReviewError, match="is not a class of this data set"):
        mark(batch, [Mark(second, Action.RELABEL, gone)], who="ann")
    with pytest.raises(ReviewError, match=f"1 picture in {batch.id} would become '{gone}', which is no longer a class"):
        submit(batch, "approve", who="ann", confirm=True)
    assert gone not in {d["label"] for d in planned(batch, undecided="suggested").values() if d["by"] == "suggestion"}
    mark(batch, marks_suggested(batch, {}, batch.marks()), who="bob")  # the gallery's button goes on
    undo(batch, who="bob")
    mark(batch, [Mark(first, Action.RELABEL, left[0])], who="ann")  # the remedy, followed
    assert submit(batch, "approve", who="ann", confirm=True).decision == "approve"


def test_a_sent_back_batch_reopens_with_its_marks(case: Case) -> None:
    batch = case.open_batch()
    one = shas(batch)[0]
    mark(batch, delete(one), who="ann")
    submit(batch, "send_back", who="bob", note="look again at the first")
    assert batch.status == BatchStatus.SENT_BACK
    assert review(case.ws, case.config).outputs["batch_id"] == batch.id
    reopen(batch, who="ann")
    assert batch.status == BatchStatus.OPEN
    assert set(batch.marks()) == {one}
    submit(batch, "approve", who="ann")
    assert [r["what"]["decision"] for r in case.audit("review")] == ["send_back", "approve"]
    assert len(case.audit("reopen")) == 1
    assert len(list(batch.folder.glob("approval-*.json"))) == 1


def test_an_expired_batch_is_closed_until_reopened(case: Case) -> None:
    batch = late(case.open_batch())
    assert batch.status == BatchStatus.EXPIRED
    with pytest.raises(ReviewError, match="expired"):
        submit(batch, "approve", who="ann")
    reopen(batch, who="ann")
    assert batch.status == BatchStatus.OPEN
    assert batch.deadline > datetime.now(UTC) + SOON
    submit(batch, "approve", who="ann")


def test_expiry_and_what_a_kill_left_out_come_into_the_audit_log_once(case: Case) -> None:
    batch = case.open_batch()
    record = batch.folder / "batch.json"
    old = json.loads(record.read_text())
    record.write_text(json.dumps(old | {"deadline": "2026-01-02T00:00:00+00:00"}))
    (case.ws.root / "audit.jsonl").unlink()
    for _ in range(2):
        settle(case.ws)
    assert [(r["action"], r["what"]["batch"]) for r in case.ws.audit_log()] == [
        ("open", batch.id),
        ("expire", batch.id),
    ]


# -- guards -----------------------------------------------------------------------------------------------


def test_a_large_deletion_needs_a_tick(tmp_path: Path) -> None:
    big = make_case(tmp_path, flips=9, review={"large_share": 0.2, "min_per_class": 2})
    batch = big.open_batch()
    rows = [r for r in batch.candidates().rows() if r["label"] == "boat"]
    assert len(rows) == 3
    mark(batch, delete(*(r["sha256"] for r in rows[:2])), who="ann")
    assert preview(batch).guards == ()
    mark(batch, delete(rows[2]["sha256"]), who="ann")
    assert preview(batch).guards == ("3 of the 12 images of 'boat' would be deleted.",)
    with pytest.raises(NeedsConfirmation, match="3 of the 12"):
        submit(batch, "approve", who="ann")
    assert batch.status == BatchStatus.OPEN
    assert submit(batch, "approve", who="ann", confirm=True).guards == preview(batch).guards


def test_a_class_under_its_minimum_needs_a_tick_also_by_relabelling(tmp_path: Path) -> None:
    small = make_case(tmp_path, flips=3, review={"min_per_class": 12})
    batch = small.open_batch()
    (row,) = [r for r in batch.candidates().rows() if r["label"] == "boat"]
    mark(batch, [Mark(row["sha256"], Action.RELABEL, "apple")], who="ann")
    assert preview(batch).guards == ("'boat' would keep 11 images, fewer than the 12 it should have.",)
    seen = preview(batch)
    assert seen.by_class["apple"]["after"] == 13
    assert seen.by_class["boat"] == {"before": 12, "after": 11, "deleted": 0}


def test_deletions_from_validation_are_counted_apart(tmp_path: Path) -> None:
    case = make_case(tmp_path, flips=3, review={"min_per_class": 2})
    batch = case.open_batch()
    assert {r["split"] for r in batch.candidates().rows()} == {"valid"}
    mark(batch, delete(*shas(batch)), who="ann")
    seen = preview(batch)
    assert (seen.deleted, seen.deleted_valid) == (3, 3)
    assert any("not measured on the same" in g for g in seen.guards)


# -- several processes ------------------------------------------------------------------------------------

SUBMIT = """
import sys, time
from pathlib import Path
from keepset.errors import ReviewError
from keepset.review import load_batch, submit
from keepset.workspace import Workspace

root, batch_id, decision, who = sys.argv[1:]
batch = load_batch(Workspace.open(Path(root)), batch_id)
batch.candidates()
print("ready", flush=True)
sys.stdin.readline()
try:
    submit(batch, decision, who=who, undecided="suggested", confirm=True)
    print("won")
except ReviewError as e:
    print("lost", e.message)
"""


@pytest.mark.slow
def test_of_four_simultaneous_decisions_exactly_one_wins(case: Case) -> None:
    batch = case.open_batch()
    decisions = ["approve", "reject", "approve", "send_back"]
    out = race(SUBMIT, [[case.ws.root, batch.id, d, f"p{i}"] for i, d in enumerate(decisions)])
    winners = [i for i, line in enumerate(out) if line == "won"]
    assert len(winners) == 1, out
    approval = batch.approval()
    assert approval.who == f"p{winners[0]}"
    assert all("not open" in line for i, line in enumerate(out) if i not in winners)
    assert [r["who"] for r in case.audit("review")] == [approval.who]


MARK = """
import sys, time
from pathlib import Path
from keepset.reasons import Action
from keepset.review import Mark, load_batch, mark
from keepset.workspace import Workspace

root, batch_id, who = sys.argv[1:]
batch = load_batch(Workspace.open(Path(root)), batch_id)
shas = [r["sha256"] for r in batch.candidates().rows()]
print("ready", flush=True)
sys.stdin.readline()
for i in range(25):
    mark(batch, [Mark(shas[i % len(shas)], Action.DELETE)], who=who)
print("done")
"""


@pytest.mark.slow
def test_marks_of_several_processes_are_all_kept(case: Case) -> None:
    batch = case.open_batch()
    assert race(MARK, [[case.ws.root, batch.id, w] for w in ("ann", "bob", "eve")]) == ["done"] * 3
    events = batch.events()
    assert batch.version == 75
    assert {w: sum(e["who"] == w for e in events) for w in ("ann", "bob", "eve")} == {"ann": 25, "bob": 25, "eve": 25}
