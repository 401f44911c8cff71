"""Deciding on a whole batch: what it would do, what needs a confirmation, submit, reopen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from keepset import manifests
from keepset.errors import NeedsConfirmation, ReviewError, StaleBatch
from keepset.files import write_json
from keepset.manifests.rows import CandidateRow, DatasetRow
from keepset.reasons import Action, Split
from keepset.review import log
from keepset.review.auditing import audit_decision
from keepset.review.batch import Approval, Batch, BatchRecord, BatchStatus
from keepset.review.marking import changes_since, difference, lock_of, must_be_open
from keepset.review.naming import needs_name, whole
from keepset.review.revisions import contents
from keepset.text import many

__all__ = ["Preview", "planned", "preview", "reopen", "submit"]

DECISIONS = ("approve", "reject", "send_back")


@dataclass(frozen=True)
class Preview:
    """What an approval would do now, before anybody decides.

    ``plan`` is ``{"action", "label", "by", "who"}`` by sha256; ``by_class`` maps a class to its numbers of
    active images ``before``, ``after`` and ``deleted``; ``deleted_valid`` counts deletions from the
    validation set apart (before and after are then not measured on the same pictures); ``guards`` is what needs a confirmation: large deletions, and classes
    that become too small.
    """

    plan: dict[str, dict[str, Any]]
    by_class: dict[str, dict[str, int]]
    kept: int
    deleted: int
    relabelled: int
    deleted_valid: int
    guards: tuple[str, ...]


def planned(batch: Batch, *, undecided: str = "keep", keep: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """What an approval would do now: ``{"action", "label", "by", "who"}`` by sha256.

    ``undecided="keep"`` leaves unmarked images out (they may come back in a later batch);
    ``"suggested"`` takes the suggestion for those that are proposed. Images in ``keep`` (sha256s or their first digits) are
    kept whatever is marked. Raises ``ReviewError`` for an image that is not in the batch.
    """
    if undecided not in ("keep", "suggested"):
        raise ReviewError(f"undecided is 'keep' or 'suggested', not {undecided!r}.")
    kept = whole(keep, batch.markable(), batch.id)
    plan: dict[str, dict[str, Any]] = {}
    if undecided == "suggested":
        unasked, labels = batch.unproposed(), batch.labels
        for r in batch.candidates().rows(CandidateRow):
            if r["sha256"] in unasked:
                continue  # nobody looked at it, and nothing speaks against it
            if r["suggested_label"] is None or r["suggested_label"] in labels:
                plan[r["sha256"]] = _decided(r["suggestion"], r["suggested_label"], "suggestion", "")
    for sha, m in batch.marks().items():
        plan[sha] = _decided(m.action, m.label, "mark", m.who)
    for sha in kept:
        plan[sha] = _decided(Action.KEEP, None, "keep", "")
    return dict(sorted(plan.items()))


def _decided(action: str, label: str | None, by: str, who: str) -> dict[str, Any]:
    target = label if action == Action.RELABEL else None
    return {"action": str(action), "label": target, "by": by, "who": who}


def preview(batch: Batch, *, undecided: str = "keep", keep: Sequence[str] = ()) -> Preview:
    """What an approval would do now, counted on the current revision."""
    plan = planned(batch, undecided=undecided, keep=keep)
    now = contents(batch.ws, batch.ws.revisions()[-1])
    data = batch.ws.dataset(now.revision)
    touched = [r for r in manifests.picked(data, DatasetRow, _COLUMNS, plan) if r["active"]]
    gone = [r for r in touched if plan[r["sha256"]]["action"] == Action.DELETE]
    by_class = _by_class(plan, now.classes, touched)
    gone_valid = sum(r["split"] == Split.VALID for r in gone)
    count = {a: sum(d["action"] == a for d in plan.values()) for a in Action}
    return Preview(
        plan=plan,
        by_class=by_class,
        kept=count[Action.KEEP],
        deleted=len(gone),
        relabelled=count[Action.RELABEL],
        deleted_valid=gone_valid,
        guards=tuple(_guards(batch.record, by_class, gone_valid, now.sides.get(Split.VALID, 0))),
    )


_COLUMNS = ("sha256", "label", "split", "active")


def _by_class(
    plan: Mapping[str, Mapping[str, Any]], before: Mapping[str, int], touched: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, int]]:
    found = {label: {"before": n, "after": n, "deleted": 0} for label, n in before.items()}
    for row in touched:
        decision = plan[row["sha256"]]
        if decision["action"] == Action.KEEP:
            continue
        found[row["label"]]["after"] -= 1
        if decision["action"] == Action.DELETE:
            found[row["label"]]["deleted"] += 1
        else:
            found.setdefault(decision["label"], {"before": 0, "after": 0, "deleted": 0})["after"] += 1
    return dict(sorted(found.items()))


def _guards(
    record: BatchRecord, by_class: Mapping[str, Mapping[str, int]], gone_valid: int, valid: int
) -> Iterator[str]:
    least = record.min_per_class
    for label, n in by_class.items():
        if n["deleted"] > record.large_share * n["before"]:
            yield f"{n['deleted']} of the {n['before']} images of '{label}' would be deleted."
        if n["after"] < least and n["after"] < n["before"]:
            yield f"'{label}' would keep {n['after']} images, fewer than the {least} it should have."
    if gone_valid > record.large_share * valid:
        yield (
            f"{gone_valid} of the {valid} images of the validation set would be deleted, so before and after are not measured on the same pictures."
        )


_LONGEST_NOTE = 4000


def submit(
    batch: Batch,
    decision: str,
    *,
    who: str,
    note: str = "",
    undecided: str = "keep",
    keep: Sequence[str] = (),
    confirm: bool = False,
    expected_version: int | None = None,
    via: str = "cli",
) -> Approval:
    """Decide on the batch: approve, reject or send_back. Of simultaneous decisions exactly one wins.

    Raises ``ReviewError`` if the batch is decided already or expired, ``StaleBatch`` if marks changed after
    ``expected_version``, ``NeedsConfirmation`` if an approval needs a confirmation (``guards``) and has none.
    The approval's snapshot is what ``clean`` applies; nothing else changes here.
    """
    if decision not in DECISIONS:
        raise ReviewError(f"{decision!r} is not a decision.", f"One of: {', '.join(DECISIONS)}.")
    needs_name(who)
    if len(note) > _LONGEST_NOTE:
        raise ReviewError(f"The note has {len(note)} characters.", f"Shorten it to {_LONGEST_NOTE}.")
    with batch.ws.lock(lock_of(batch)):
        must_be_open(batch)
        if expected_version is not None:
            _refuse_stale(batch, expected_version)
        plan: dict[str, dict[str, Any]] = {}
        ticked: tuple[str, ...] = ()
        if decision == "approve":
            seen = preview(batch, undecided=undecided, keep=keep)
            plan, ticked = seen.plan, seen.guards
            _refuse_gone(batch, plan)
        if ticked and not confirm:
            raise NeedsConfirmation(
                f"Approving {batch.id} needs a confirmation: " + " ".join(ticked),
                "Confirm it (--confirm, or the check box in the gallery), or mark fewer deletions.",
            )
        at = batch.clock().isoformat()
        version = batch.version
        approval = Approval(batch.id, decision, who.strip(), note, at, via, undecided, version, ticked, plan)
        try:
            write_json(batch.folder / "approval.json", asdict(approval), exclusive=True)
        except FileExistsError:
            must_be_open(batch)  # raises, and says who was first
            raise
        audit_decision(batch, approval)
    return approval


def _refuse_gone(batch: Batch, plan: Mapping[str, Mapping[str, Any]]) -> None:
    """A mark may be older than the run config."""
    labels = batch.labels
    gone = Counter(d["label"] for d in plan.values() if d["label"] and d["label"] not in labels)
    for label, count in gone.items():
        raise ReviewError(
            f"{many(count, 'picture')} in {batch.id} would become '{label}', which is no longer a class.",
            "Mark them again, or put the class back into the config.",
        )


def _refuse_stale(batch: Batch, version: int) -> None:
    changed = changes_since(batch, version)
    if changed:
        raise StaleBatch(
            f"{len(changed)} mark{'s' * (len(changed) != 1)} in {batch.id} changed since you looked; nothing was decided.",
            "Look at the difference, then submit again.",
            difference(batch.events(), changed, {}),
        )


def reopen(batch: Batch, *, who: str) -> None:
    """Open a batch again that was sent back or has expired, with a new deadline. Marks stand as they were.

    Raises ``ReviewError`` for any other batch.
    """
    needs_name(who)
    with batch.ws.lock(lock_of(batch)):
        status = batch.status
        if status not in (BatchStatus.SENT_BACK, BatchStatus.EXPIRED):
            raise ReviewError(
                f"{batch.id} is {status}; only a batch that was sent back or has expired can be reopened."
            )
        old = batch.approval()
        if old is not None:
            audit_decision(batch, old)
        now = batch.clock()
        deadline = now + (batch.record.deadline - batch.record.opened_at)
        event = {"at": now.isoformat(), "who": who, "kind": "reopen", "deadline": deadline.isoformat()}
        log.append(batch.folder / "decisions.jsonl", event)
        _set_aside(batch)
        what = {"batch": batch.id, "was": str(status), "deadline": deadline.isoformat()}
        batch.ws.audit("reopen", who=who, what=what)


def _set_aside(batch: Batch) -> None:
    """Keep the old decision beside the batch, under the version it was made at."""
    old = batch.approval()
    if old is not None:
        (batch.folder / "approval.json").rename(batch.folder / f"approval-{batch.version:06d}.json")
