"""Deciding on a whole batch: what it would do, what needs a tick, submit, reopen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from keepset.errors import NeedsConfirmation, ReviewError, StaleBatch
from keepset.files import write_json
from keepset.reasons import Action, Split
from keepset.review import log
from keepset.review.batch import Approval, Batch, BatchStatus
from keepset.review.marking import changes_since, difference, lock_of, must_be_open

__all__ = ["audit_decision", "guards", "planned", "reopen", "submit"]

DECISIONS = ("approve", "reject", "send_back")


def planned(batch: Batch, *, undecided: str = "keep", keep: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """What an approval would do now: ``{"action", "label", "by", "who"}`` by sha256.

    ``undecided="keep"`` leaves unmarked images out (they may come back in a later batch);
    ``"suggested"`` takes the suggestion for them. Images in ``keep`` are kept whatever is marked.
    """
    if undecided not in ("keep", "suggested"):
        raise ReviewError(f"undecided is 'keep' or 'suggested', not {undecided!r}.")
    strange = sorted(set(keep) - batch.markable())
    if strange:
        raise ReviewError(
            f"The image {strange[0][:12]!r} is not in {batch.id}.", "Give whole sha256s of its images."
        )
    plan: dict[str, dict[str, Any]] = {}
    if undecided == "suggested":
        for r in batch.candidates().rows():
            plan[r["sha256"]] = _decided(r["suggestion"], r["suggested_label"], "suggestion", "")
    for sha, m in batch.marks().items():
        plan[sha] = _decided(m.action, m.label, "mark", m.who)
    for sha in keep:
        plan[sha] = _decided(Action.KEEP, None, "keep", "")
    return dict(sorted(plan.items()))


def _decided(action: str, label: str | None, by: str, who: str) -> dict[str, Any]:
    return {
        "action": str(action), "label": label if action == Action.RELABEL else None, "by": by, "who": who,
    }  # fmt: skip


def guards(batch: Batch, *, undecided: str = "keep", keep: Sequence[str] = ()) -> list[str]:
    """What needs a tick before approval, in words: large deletions, and classes that become too small.

    Counted on the current revision. Deletions from the validation set are counted apart.
    """
    return _guards(batch, planned(batch, undecided=undecided, keep=keep))


def _guards(batch: Batch, plan: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [r for r in batch.ws.current_dataset().rows() if r["active"]]
    share, least, found = batch.record.large_share, batch.record.min_per_class, []
    for label in sorted({r["label"] for r in rows}):
        before = [r for r in rows if r["label"] == label]
        gone = [r for r in before if _action(plan, r) == Action.DELETE]
        if len(gone) > share * len(before):
            found.append(f"{len(gone)} of the {len(before)} images of '{label}' would be deleted.")
        after = _after(plan, rows, label)
        if after < least and after < len(before):
            found.append(f"'{label}' would keep {after} images, fewer than the {least} it should have.")
    valid = [r for r in rows if r["split"] == Split.VALID]
    gone = [r for r in valid if _action(plan, r) == Action.DELETE]
    if len(gone) > share * len(valid):
        found.append(
            f"{len(gone)} of the {len(valid)} images of the validation set would be deleted: "
            "the yardstick moves."
        )
    return found


def _action(plan: Mapping[str, Mapping[str, Any]], row: Mapping[str, Any]) -> str:
    return str(plan[row["sha256"]]["action"]) if row["sha256"] in plan else str(Action.KEEP)


def _after(plan: Mapping[str, Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], label: str) -> int:
    def stays(row: Mapping[str, Any]) -> bool:
        action = _action(plan, row)
        target = plan[row["sha256"]]["label"] if action == Action.RELABEL else row["label"]
        return action != Action.DELETE and target == label

    return sum(map(stays, rows))


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
    ``expected_version``, ``NeedsConfirmation`` if an approval needs a tick (``guards``) and has none.
    The approval's snapshot is what ``clean`` applies; nothing else changes here.
    """
    if decision not in DECISIONS:
        raise ReviewError(f"{decision!r} is no decision.", f"One of: {', '.join(DECISIONS)}.")
    if not who.strip():
        raise ReviewError("A decision needs a name.", "Give one with --who, or set KEEPSET_REVIEWER.")
    with batch.ws.lock(lock_of(batch)):
        must_be_open(batch)
        if expected_version is not None:
            _refuse_stale(batch, expected_version)
        plan = planned(batch, undecided=undecided, keep=keep) if decision == "approve" else {}
        ticked = _guards(batch, plan) if plan else []
        if ticked and not confirm:
            raise NeedsConfirmation(
                f"Approving {batch.id} needs a tick: " + " ".join(ticked),
                "Confirm it (--confirm, or the box in the gallery), or mark fewer deletions.",
            )
        at = batch.clock().isoformat()
        version = batch.version
        approval = Approval(
            batch.id, decision, who.strip(), note, at, via, undecided, version, tuple(ticked), plan
        )
        try:
            write_json(batch.folder / "approval.json", asdict(approval), exclusive=True)
        except FileExistsError:
            must_be_open(batch)  # raises, and says who was first
            raise
        audit_decision(batch, approval)
    return approval


def audit_decision(batch: Batch, approval: Approval) -> None:
    """Write the decision's audit row, unless it stands there: a kill may have come between."""
    what = {
        "batch": batch.id, "decision": approval.decision, "via": approval.via, "decided_at": approval.at,
        "undecided": approval.undecided, "ticked": list(approval.guards), **_counts(approval),
    }  # fmt: skip
    for row in batch.ws.audit_log():
        seen = row["what"]
        if row["action"] == "review" and (seen.get("batch"), seen.get("decided_at")) == (
            batch.id,
            approval.at,
        ):
            return
    batch.ws.audit("review", who=approval.who, what=what, why=approval.note)


def _counts(approval: Approval) -> dict[str, int]:
    return {str(a): sum(d["action"] == a for d in approval.decisions.values()) for a in Action}


def _refuse_stale(batch: Batch, version: int) -> None:
    changed = changes_since(batch, version)
    if changed:
        raise StaleBatch(
            f"{len(changed)} marks in {batch.id} changed since you looked; nothing was decided.",
            "Look at the difference, then submit again.",
            difference(batch.events(), changed, {}),
        )


def reopen(batch: Batch, *, who: str) -> None:
    """Open a batch again that was sent back or has expired, with a new deadline. Marks stand as they were.

    Raises ``ReviewError`` for any other batch.
    """
    if not who.strip():
        raise ReviewError("A decision needs a name.", "Give one with --who, or set KEEPSET_REVIEWER.")
    with batch.ws.lock(lock_of(batch)):
        status = batch.status
        if status not in (BatchStatus.SENT_BACK, BatchStatus.EXPIRED):
            raise ReviewError(
                f"{batch.id} is {status}; only a batch that was sent back or has expired can be reopened."
            )
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
