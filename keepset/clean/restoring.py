"""The way back: a new revision that undoes what a batch changed, or the last change of single images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from keepset import manifests
from keepset.clean.revising import COLUMNS, Change, current_number, settle_revisions, state, write_revision
from keepset.errors import ReviewError
from keepset.manifests.rows import DatasetRow
from keepset.review.batch import Batch, load_batch
from keepset.review.naming import needs_name, whole
from keepset.stages import Stage, StageResult
from keepset.workspace import SHA256, Workspace

__all__ = ["restore"]


def restore(ws: Workspace, what: str | Sequence[str], *, who: str, why: str = "") -> StageResult:
    """Undo by a new revision: everything a batch changed (its id), or the last change of single images.

    A batch's images are set back to what they were before it, unless a later decision changed them again;
    an image is set back to what it was before the batch that changed it last. Twice is once. Raises
    ``ReviewError`` for an unknown batch or image, one that is not applied, or one that was purged.
    """
    needs_name(who)
    with ws.lock("clean"):
        settle_revisions(ws)
        if isinstance(what, str) and not SHA256.fullmatch(what):
            wanted, cause = _before_batch(ws, load_batch(ws, what)), f"restore:batch:{what}"
        else:
            images = [what] if isinstance(what, str) else list(what)
            wanted, cause = _before_last_change(ws, images), "restore:images"
        _must_have_blobs(ws, wanted)
        revision = write_revision(ws, lambda data: _set_back(data, wanted), cause=cause, who=who.strip(), why=why)
    if revision is None:
        now = {"revision": str(current_number(ws))}
        return StageResult(Stage.CLEAN, False, "up to date: nothing to restore", {"restored": 0}, now)
    count = int(manifests.read_header(ws.dataset(revision)).extra["restored"])
    message = f"Revision {revision} restores {count} image{'s' * (count != 1)}."
    return StageResult(Stage.CLEAN, True, message, {"restored": count}, {"revision": str(revision)})


def _before_batch(ws: Workspace, batch: Batch) -> dict[str, DatasetRow]:
    """The rows from before the batch, of its images that are still as it left them."""
    revision, approval = batch.applied_revision(), batch.approval()
    if revision is None or approval is None:
        raise ReviewError(f"{batch.id} is {batch.status}: there is nothing to restore.")
    extra = manifests.read_header(ws.dataset(revision)).extra
    if extra["cause"] != f"batch:{batch.id}":
        return {}  # it was applied and changed nothing
    after = _rows(ws.dataset(revision), approval.changes())
    after = {s: r for s, r in after.items() if r["changed_in"] == revision}
    before, now = _rows(ws.dataset(extra["before"]), after), _rows(ws.newest(), after)
    return {s: before[s] for s in after if state(now[s]) == state(after[s])}


def _before_last_change(ws: Workspace, images: Sequence[str]) -> dict[str, DatasetRow]:
    """For each image the row from before the batch that changed it last; those never changed are left out."""
    now = _rows(ws.newest(), whole(images, _beginning_like(ws.newest(), images), "the data set"))
    wanted: dict[str, DatasetRow] = {}
    for revision in {r["changed_in"] or 0 for r in now.values() if _was_cleaned(r)}:
        before = manifests.read_header(ws.dataset(revision)).extra["before"]
        mine = [s for s, r in now.items() if _was_cleaned(r) and r["changed_in"] == revision]
        wanted |= _rows(ws.dataset(before), mine)
    return wanted


def _was_cleaned(row: DatasetRow) -> bool:
    return row["changed_by"] is not None and not row["changed_by"].startswith("restore:")


def _beginning_like(data: Path, names: Sequence[str]) -> Iterator[str]:
    """The sha256s in a data set of any length that any of these names may mean."""
    import pyarrow.compute as pc

    starts = [n.strip().lower() for n in names]
    for piece in manifests.batches(data, "dataset", ["sha256"]):
        shas = piece.column("sha256")
        for start in starts:
            yield from shas.filter(pc.starts_with(shas, start)).to_pylist()


def _rows(data: Path, wanted: Iterable[str]) -> dict[str, DatasetRow]:
    return {r["sha256"]: r for r in manifests.picked(data, DatasetRow, COLUMNS, wanted)}


def _set_back(data: Path, wanted: Mapping[str, DatasetRow]) -> tuple[dict[str, Change], dict[str, Any]] | None:
    changes = {}
    for sha, row in _rows(data, wanted).items():
        old = wanted[sha]
        if state(row) != state(old):
            undone = f"restore:{(row['changed_by'] or '').removeprefix('restore:')}"
            changes[sha] = Change(old["label"], old["active"], undone)
    return (changes, {"restored": len(changes), "images": sorted(changes)}) if changes else None


def _must_have_blobs(ws: Workspace, wanted: Mapping[str, DatasetRow]) -> None:
    purged = ws.purged()
    gone = [s for s, r in wanted.items() if r["active"] and (s in purged or not ws.blob(s).exists())]
    if gone:
        raise ReviewError(
            f"{len(gone)} of these images were purged (the first: {gone[0][:12]}); nothing was restored.",
            "A purge is final. Restore the other images by name.",
        )
