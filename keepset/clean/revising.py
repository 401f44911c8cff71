"""Writing the next revision of the data set, whoever else writes one at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepset import manifests
from keepset.manifests import Header
from keepset.manifests.rows import DatasetRow
from keepset.review.auditing import REVISING, audit_once
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "COLUMNS", "Change", "Edit", "audit_revision", "current_number", "settle_revisions", "state",
    "write_revision",
]  # fmt: skip

COLUMNS = ("sha256", "label", "active", "changed_in", "changed_by")
"""What a decision looks at, and may change, of a row."""


@dataclass(frozen=True)
class Change:
    """What an image is in the new revision; everything else of its row stays."""

    label: str
    active: bool
    changed_by: str


Edit = Callable[[Path], tuple[Mapping[str, Change], dict[str, Any]] | None]
"""From the file of the current revision to the changes by sha256 and their counts; None: no change."""


def write_revision(ws: Workspace, edit: Edit, *, cause: str, who: str, why: str) -> int | None:
    """Write revision N+1 by editing revision N; if somebody takes its number, start again from theirs.

    The header names the cause, so that the same cause is never applied twice, and holds all that the audit
    row needs, so that a kill before that row loses nothing. Returns None if nothing would change. Rows pass through
    in pieces: memory does not grow with the data set.
    """
    while True:
        data = ws.newest()
        old = manifests.read_header(data)
        before = int(old.extra["revision"])
        edited = edit(data)
        if edited is None:
            return None
        changes, counts = edited
        facts = {"revision": before + 1, "before": before, "cause": cause, "who": who, "why": why, **counts}
        parents = {"dataset": old.content_hash}
        fingerprint = manifests.fingerprint("clean", parents, {"cause": cause})
        header = Header("dataset", "clean", fingerprint, parents, old.config, facts)
        try:
            _write(ws.dataset(before + 1), data, changes, header)
        except FileExistsError:
            continue
        audit_revision(ws, before + 1)
        return before + 1


def _write(path: Path, data: Path, changes: Mapping[str, Change], header: Header) -> None:
    import pyarrow as pa

    number = int(header.extra["revision"])
    rows = [{"sha256": s, "changed_in": number, **vars(c)} for s, c in changes.items()]
    with manifests.writing(path, "dataset", exclusive=True) as out:
        for piece in manifests.batches(data, "dataset"):
            out.add(_replaced(pa.Table.from_batches([piece]), rows))
        out.commit(header)


def _replaced(piece: pa.Table, rows: list[dict[str, Any]]) -> pa.Table:
    """The piece with the columns of those of its images that are among ``rows``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    new = pa.Table.from_pylist(rows, schema=pa.schema([piece.schema.field(c) for c in COLUMNS]))
    place = pc.index_in(piece.column("sha256"), value_set=new.column("sha256"))
    for column in COLUMNS[1:]:
        values = pc.if_else(pc.is_valid(place), new.column(column).take(place), piece.column(column))
        piece = piece.set_column(piece.schema.get_field_index(column), piece.schema.field(column), values)
    return piece


def audit_revision(ws: Workspace, revision: int) -> None:
    """Write the audit row of a revision that a person's decision made, unless it stands there."""
    header = manifests.read_header(ws.dataset(revision))
    if header.stage != "clean":
        return
    facts = {k: v for k, v in header.extra.items() if k not in ("who", "why")}
    made_by = str(facts["cause"]).partition(":")[0]
    action = made_by if made_by in REVISING else "clean"
    audit_once(ws, action, {"revision": revision}, who=header.extra["who"], what=facts, why=header.extra["why"])


def settle_revisions(ws: Workspace) -> None:
    """Write the audit rows that a kill has left out. The caller holds the lock ``clean``."""
    known = {r["what"].get("revision") for r in ws.audited(*REVISING)}
    for revision in ws.revisions():
        if revision not in known:
            audit_revision(ws, revision)


def current_number(ws: Workspace) -> int:
    """Number of the current revision, 0 before the first."""
    return (ws.revisions() or [0])[-1]


def state(row: DatasetRow) -> tuple[bool, str]:
    """What a decision can change of a row."""
    return row["active"], row["label"]
