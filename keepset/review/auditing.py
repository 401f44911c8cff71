"""Audit rows that are written exactly once, also when a kill came between a deed and its row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from keepset.reasons import Action
from keepset.review.batch import Approval, Batch, BatchStatus, list_batches
from keepset.workspace import Workspace

__all__ = ["REVISING", "audit_decision", "audit_once", "audit_opening", "by_a_person", "deleted_by_a_batch", "settle"]

REVISING = ("clean", "restore", "remove")
"""Actions in the audit log that made a revision of the data set."""


def by_a_person(cause: object) -> bool:
    """Whether a person's decision made the revision whose header gives this cause; else new pictures did."""
    return str(cause).startswith(("batch:", "restore:", "remove:"))


def deleted_by_a_batch(dataset: pa.Table) -> pa.ChunkedArray:
    """Rows, with ``active`` and ``changed_by``, that an approved batch deleted; null where nothing changed them."""
    return pc.and_(pc.equal(dataset["active"], False), pc.match_substring_regex(dataset["changed_by"], "^b[0-9]"))


def audit_once(
    ws: Workspace, action: str, key: Mapping[str, Any], *, who: str, what: Mapping[str, Any], why: str = ""
) -> None:
    """Append an audit row, unless there is one of this action whose ``what`` holds all of ``key``."""
    with ws.lock("audit"):
        for row in ws.audit_log():
            if row["action"] == action and key.items() <= row["what"].items():
                return
        ws.audit(action, who=who, what={**what, **key}, why=why)


def audit_opening(batch: Batch) -> None:
    r = batch.record
    what = {"revision": r.revision, "model": r.model_id, "candidates": batch.candidates().header.rows}
    audit_once(batch.ws, "open", {"batch": batch.id}, who="keepset", what=what)


def audit_decision(batch: Batch, approval: Approval) -> None:
    counts = {str(a): sum(d["action"] == a for d in approval.decisions.values()) for a in Action}
    what = {
        "decision": approval.decision, "via": approval.via, "undecided": approval.undecided,
        "ticked": list(approval.guards), **counts,
    }  # fmt: skip
    key = {"batch": batch.id, "decided_at": approval.at}
    audit_once(batch.ws, "review", key, who=approval.who, what=what, why=approval.note)


def settle(ws: Workspace) -> None:
    """Write the rows that are missing: openings, decisions, and deadlines that have passed."""
    seen = {(r["action"], r["what"].get("batch"), r["what"].get("decided_at")) for r in ws.audit_log()}
    for batch in list_batches(ws):
        if ("open", batch.id, None) not in seen:
            audit_opening(batch)
        approval = batch.approval()
        if approval is not None and ("review", batch.id, approval.at) not in seen:
            audit_decision(batch, approval)
        if approval is None and batch.status == BatchStatus.EXPIRED:
            key = {"batch": batch.id, "deadline": batch.deadline.isoformat()}
            audit_once(ws, "expire", key, who="keepset", what={"marked": len(batch.marks())})
