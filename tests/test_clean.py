"""Applying, restoring, purging: one revision whatever happens, and a way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keepset import manifests
from keepset.clean import clean, purge, restore
from keepset.clean.revising import Change, write_revision
from keepset.errors import ReviewError
from keepset.files import write_bytes
from keepset.reasons import Action
from keepset.review import Batch, BatchStatus, Mark, mark, submit
from tests.factories import add_revision
from tests.review_fixtures import Case, delete, say, top_up
from tests.test_review_batch import race


def approved(case: Case) -> Batch:
    """A batch whose first image is deleted and whose others are relabelled as suggested."""
    batch = case.open_batch()
    mark(batch, delete(batch.candidates().rows()[0]["sha256"]), who="ann")
    submit(batch, "approve", who="ann", note="spring", undecided="suggested", confirm=True)
    return batch


def test_an_approval_becomes_one_revision(case: Case) -> None:
    batch = approved(case)
    one, *others = [r["sha256"] for r in batch.candidates().rows()]
    done = clean(case.ws, case.config)
    assert (done.changed, done.outputs["revision"]) == (True, "2")
    assert dict(done.summary) == {"deleted": 1, "relabelled": 3, "skipped": 0}
    assert batch.status == BatchStatus.APPLIED
    assert batch.applied_revision() == 2
    assert case.wrong == set()
    gone = case.row(one)
    assert (gone["active"], gone["changed_in"], gone["changed_by"]) == (False, 2, batch.id)
    assert [case.row(s)["label"] for s in others] == [case.truth[s] for s in others]
    untouched = [r for r in case.active() if r["sha256"] not in others]
    assert all(r["changed_in"] is None for r in untouched)
    old = manifests.read(case.ws.dataset(1), "dataset").rows()
    now = case.ws.current_dataset().rows()
    assert [r["sha256"] for r in now] == [r["sha256"] for r in old]
    assert [(r["split"], r["fold"], r["given_label"]) for r in now] == [
        (r["split"], r["fold"], r["given_label"]) for r in old
    ]
    assert case.ws.blob(one).exists()
    (row,) = case.audit("clean")
    assert (row["who"], row["why"], row["what"]["batch"]) == ("ann", "spring", batch.id)


def test_twice_is_once(case: Case) -> None:
    batch = approved(case)
    clean(case.ws, case.config)
    log = (case.ws.root / "audit.jsonl").read_bytes()
    for again in (clean(case.ws, case.config), clean(case.ws, case.config, batch_id=batch.id)):
        assert (again.changed, again.outputs["revision"]) == (False, "2")
    assert case.ws.revisions() == [1, 2]
    assert (case.ws.root / "audit.jsonl").read_bytes() == log


def test_only_approved_batches_are_applied(case: Case) -> None:
    batch = case.open_batch()
    assert clean(case.ws, case.config).changed is False
    with pytest.raises(ReviewError, match="is open, not approved"):
        clean(case.ws, case.config, batch_id=batch.id)
    submit(batch, "reject", who="ann")
    with pytest.raises(ReviewError, match="is rejected, not approved"):
        clean(case.ws, case.config, batch_id=batch.id)
    with pytest.raises(ReviewError, match="no batch"):
        clean(case.ws, case.config, batch_id="b0007-00000000")
    assert case.ws.revisions() == [1]


def test_an_approval_without_changes_writes_no_revision(case: Case) -> None:
    batch = case.open_batch()
    submit(batch, "approve", who="ann")
    done = clean(case.ws, case.config)
    assert (done.changed, done.outputs["revision"]) == (False, "1")
    assert batch.status == BatchStatus.APPLIED
    assert clean(case.ws, case.config).message.startswith("up to date")
    assert len(case.audit("clean")) == 1
    assert restore(case.ws, batch.id, who="ann").changed is False


def test_decisions_apply_to_the_current_revision(case: Case) -> None:
    """New images were split in after the batch was opened, and stay."""
    batch = approved(case)
    new = "ab" * 32
    assert top_up(case, new, "apple") == 2
    done = clean(case.ws, case.config, batch_id=batch.id)
    assert done.outputs["revision"] == "3"
    assert case.row(new)["active"] is True
    header = case.ws.current_dataset().header.extra
    assert (header["before"], header["cause"]) == (2, f"batch:{batch.id}")
    assert sum(r["changed_by"] == batch.id for r in case.ws.current_dataset().rows()) == 4


def test_a_writer_that_comes_in_between_is_built_upon(case: Case) -> None:
    """The split stage takes the next number after clean has read the current revision."""
    new, seen = "ab" * 32, []

    def edit(data: Path) -> tuple[dict[str, Change], dict[str, Any]]:
        if not seen:
            top_up(case, new, "apple")
        seen.append(data.name)
        others = (r for r in manifests.read(data, "dataset").rows() if r["sha256"] != new)
        return {r["sha256"]: Change(r["label"], False, "batch:x") for r in others}, {}

    assert write_revision(case.ws, edit, cause="batch:x", who="ann", why="") == 3
    assert seen == ["000001.parquet", "000002.parquet"]
    assert [r["sha256"] for r in case.active()] == [new]


@pytest.mark.slow
def test_a_data_set_of_several_row_groups_is_edited_in_place(case: Case) -> None:
    """It passes through in pieces; what stands afterwards is what editing all rows at once would give."""
    one, *rest = case.ws.current_dataset().rows()
    many = [one | {"sha256": f"{i:064x}", "group_id": f"{i:064x}"} for i in range(70_000)]
    add_revision(case.ws, [one, *many, *rest])
    changes = {
        many[3]["sha256"]: Change("boat", True, "batch:x"),
        many[-1]["sha256"]: Change(one["label"], False, "batch:x"),
        rest[-1]["sha256"]: Change(rest[-1]["label"], False, "batch:x"),
    }
    assert write_revision(case.ws, lambda _: (changes, {}), cause="batch:x", who="ann", why="") == 3
    wanted = [
        r | vars(changes[r["sha256"]]) | {"changed_in": 3} if r["sha256"] in changes else r for r in [one, *many, *rest]
    ]
    now = case.ws.current_dataset()
    assert now.rows() == wanted
    assert now.content_hash == manifests.content_hash("dataset", manifests.table_from_rows("dataset", wanted))


def test_two_batches_one_after_the_other(case: Case) -> None:
    """An image that the first deleted is left alone by the second, which was opened before."""
    first = case.open_batch()
    shas = [r["sha256"] for r in first.candidates().rows()]
    mark(first, delete(shas[0]), who="ann")
    case.train_again("1" * 16)
    second = case.open_batch()
    assert second.id != first.id
    mark(second, [Mark(shas[0], Action.RELABEL, case.truth[shas[0]]), *delete(shas[1])], who="bob")
    submit(first, "approve", who="ann")
    submit(second, "approve", who="bob")
    done = clean(case.ws, case.config)
    assert done.outputs["revision"] == "3"
    assert dict(done.summary) == {"deleted": 2, "relabelled": 0, "skipped": 1}
    assert case.row(shas[0])["changed_by"] == first.id


# -- the way back -----------------------------------------------------------------------------------------


def test_a_batch_is_undone_after_retraining(case: Case) -> None:
    batch = approved(case)
    clean(case.ws, case.config)
    case.train_again("1" * 16)
    before = [(r["sha256"], r["label"], r["active"]) for r in manifests.read(case.ws.dataset(1), "dataset").rows()]
    done = restore(case.ws, batch.id, who="bob", why="second thoughts")
    assert (done.changed, dict(done.summary), done.outputs["revision"]) == (True, {"restored": 4}, "3")
    assert [(r["sha256"], r["label"], r["active"]) for r in case.ws.current_dataset().rows()] == before
    (row,) = case.audit("restore")
    assert (row["who"], row["why"], row["what"]["restored"]) == ("bob", "second thoughts", 4)
    again = restore(case.ws, batch.id, who="bob")
    assert (again.changed, case.ws.revisions()) == (False, [1, 2, 3])
    assert clean(case.ws, case.config).changed is False


def test_single_images_come_back_by_name(case: Case) -> None:
    batch = approved(case)
    clean(case.ws, case.config)
    one, two, *_ = [r["sha256"] for r in batch.candidates().rows()]
    restore(case.ws, [one[:12]], who="ann")
    assert case.row(one)["active"] is True
    assert case.row(one)["changed_by"] == f"restore:{batch.id}"
    restore(case.ws, two, who="ann")
    assert case.row(two)["label"] != case.truth[two]
    assert restore(case.ws, [one, two], who="ann").changed is False
    with pytest.raises(ReviewError, match="is not in the data set"):
        restore(case.ws, ["0" * 64], who="ann")


def test_undoing_a_batch_leaves_later_decisions(case: Case) -> None:
    batch = approved(case)
    clean(case.ws, case.config)
    two = batch.candidates().rows()[1]["sha256"]
    other = next(c for c in case.config.labels if c not in (case.row(two)["label"], case.truth[two]))
    case.train_again("1" * 16)
    say(case, two, other, at="2099-01-01T00:00:00+00:00")
    later = case.open_batch()
    submit(later, "approve", who="bob", undecided="suggested")
    clean(case.ws, case.config)
    assert (case.row(two)["label"], case.row(two)["changed_by"]) == (other, later.id)
    done = restore(case.ws, batch.id, who="ann")
    assert done.summary["restored"] == 3
    assert case.row(two)["label"] == other


def test_restoring_what_was_not_applied_is_refused(case: Case) -> None:
    batch = case.open_batch()
    with pytest.raises(ReviewError, match="nothing to restore"):
        restore(case.ws, batch.id, who="ann")
    with pytest.raises(ReviewError, match="no batch"):
        restore(case.ws, "b0042-00000000", who="ann")


# -- purge ------------------------------------------------------------------------------------------------


def test_purge_touches_nothing_without_being_told(case: Case) -> None:
    batch = approved(case)
    one = batch.candidates().rows()[0]["sha256"]
    assert purge(case.ws, who="ann").message == "up to date: nothing to purge"
    clean(case.ws, case.config)
    dry = purge(case.ws, who="ann")
    assert (dry.changed, dry.summary["images"]) == (False, 1)
    assert dry.summary["bytes"] == case.ws.blob(one).stat().st_size + case.ws.thumb(one).stat().st_size
    assert case.ws.blob(one).exists()
    assert case.audit("purge") == []


def test_purge_unlinks_only_deleted_images_and_is_final(case: Case) -> None:
    batch = approved(case)
    one = batch.candidates().rows()[0]["sha256"]
    clean(case.ws, case.config)
    done = purge(case.ws, who="ann", dry_run=False)
    assert (done.changed, done.summary["images"]) == (True, 1)
    assert not case.ws.blob(one).exists()
    assert not case.ws.thumb(one).exists()
    assert all(case.ws.blob(r["sha256"]).exists() for r in case.active())
    assert case.row(one)["active"] is False
    assert case.audit("purge")[0]["what"]["sha256"] == [one]
    with pytest.raises(ReviewError, match="purged"):
        restore(case.ws, [one], who="ann")
    with pytest.raises(ReviewError, match="purged"):
        restore(case.ws, batch.id, who="ann")
    assert case.ws.revisions() == [1, 2]
    assert purge(case.ws, who="ann", dry_run=False).changed is False


def test_a_purge_that_was_killed_half_way_is_finished_by_the_next(case: Case) -> None:
    batch = approved(case)
    one = batch.candidates().rows()[0]["sha256"]
    clean(case.ws, case.config)
    case.ws.blob(one).unlink()  # as far as it got
    assert purge(case.ws, who="ann", dry_run=False).summary["images"] == 1
    assert not case.ws.thumb(one).exists()


def test_a_restored_image_is_not_purged(case: Case) -> None:
    batch = approved(case)
    clean(case.ws, case.config)
    restore(case.ws, batch.id, who="ann")
    write_bytes(case.ws.blob("cd" * 32), b"of no revision")
    assert purge(case.ws, who="ann", dry_run=False).changed is False
    assert case.ws.blob("cd" * 32).exists()


# -- several processes ------------------------------------------------------------------------------------

CLEAN = """
import sys
from pathlib import Path
from keepset.clean import clean
from keepset.workspace import Workspace

ws = Workspace.open(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(clean(ws, ws.config()).changed)
"""


def test_applied_by_three_processes_at_once_is_one_revision(case: Case) -> None:
    approved(case)
    out = race(CLEAN, [[case.ws.root]] * 3)
    assert sorted(out) == ["False", "False", "True"]
    assert case.ws.revisions() == [1, 2]
    assert len(case.audit("clean")) == 1
