"""Writing the next revision of the data set, whoever else writes one at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keepset import manifests
from keepset.manifests import Header, Manifest
from keepset.review.auditing import audit_once
from keepset.workspace import Workspace

__all__ = ["Edit", "Row", "audit_revision", "current_number", "settle_revisions", "state", "write_revision"]

Row = dict[str, Any]
Edit = Callable[[Manifest, int], tuple[list[Row], dict[str, Any]] | None]
"""From the current revision and the new number to the new rows and their counts; None: no change."""


def write_revision(ws: Workspace, edit: Edit, *, cause: str, who: str, why: str) -> int | None:
    """Write revision N+1 by editing revision N; if somebody takes its number, start again from theirs.

    The header names the cause, so that the same cause is never applied twice, and holds all that the audit
    row needs, so that a kill before that row loses nothing. Returns None if nothing would change.
    """
    while True:
        data = ws.current_dataset()
        before = int(data.header.extra["revision"])
        edited = edit(data, before + 1)
        if edited is None:
            return None
        rows, counts = edited
        facts = {"revision": before + 1, "before": before, "cause": cause, "who": who, "why": why, **counts}
        parents = {"dataset": data.content_hash}
        fingerprint = manifests.fingerprint("clean", parents, {"cause": cause})
        header = Header("dataset", "clean", fingerprint, parents, data.header.config, facts)
        try:
            manifests.write(ws.dataset(before + 1), rows, header, exclusive=True)
        except FileExistsError:
            continue
        audit_revision(ws, before + 1)
        return before + 1


def audit_revision(ws: Workspace, revision: int) -> None:
    """Write the audit row of a revision that a person's decision made, unless it stands there."""
    header = manifests.read_header(ws.dataset(revision))
    if header.stage != "clean":
        return
    facts = {k: v for k, v in header.extra.items() if k not in ("who", "why")}
    action = "restore" if str(facts["cause"]).startswith("restore") else "clean"
    audit_once(
        ws, action, {"revision": revision}, who=header.extra["who"], what=facts, why=header.extra["why"]
    )


def settle_revisions(ws: Workspace) -> None:
    """Write the audit rows that a kill has left out. The caller holds the lock ``clean``."""
    known = {r["what"].get("revision") for r in ws.audit_log() if r["action"] in ("clean", "restore")}
    for revision in ws.revisions():
        if revision not in known:
            audit_revision(ws, revision)


def current_number(ws: Workspace) -> int:
    """Number of the current revision, 0 before the first."""
    return (ws.revisions() or [0])[-1]


def state(row: Mapping[str, Any]) -> tuple[bool, str]:
    """What a decision can change of a row."""
    return row["active"], row["label"]
