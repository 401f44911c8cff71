"""The only thing in Keepset that unlinks pictures, and where all files of a picture are."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from keepset import manifests
from keepset.clean.revising import current_number
from keepset.inbox import WAITING, inbox_folder
from keepset.review.naming import needs_name
from keepset.stages import Stage, StageResult
from keepset.workspace import Workspace

__all__ = ["files_of", "purge", "size_of"]


def purge(ws: Workspace, *, who: str, dry_run: bool = True) -> StageResult:
    """Unlink every file of each image that is inactive in the current revision: blob, thumbnail, decoded pixels, and
    what a user of the prediction page sent.

    Their rows stay, with their sources and the batch that deleted them; ``restore`` of a purged image is impossible
    afterwards, older revisions can no longer be trained on whole, and no source brings the same file in again. With ``dry_run`` nothing
    is touched. ``summary`` holds the numbers of images and bytes. The audit row is written before the first
    file goes, so that a kill leaves no unexplained gap; running it again finishes.
    """
    if not dry_run:
        needs_name(who)
    with ws.lock("clean"):
        gone = _deleted(ws.newest())
        sizes = {s: size_of(ws, s) for s in gone}
        there = [s for s, size in sizes.items() if size]
        summary = {"images": len(there), "bytes": sum(sizes.values())}
        words = f"{len(there)} deleted image{'s' * (len(there) != 1)}, {summary['bytes'] / 1e6:.1f} MB"
        if dry_run or not there:
            what = f"Would purge {words}; nothing was touched." if there else "up to date: nothing to purge"
            return StageResult(Stage.CLEAN, False, what, summary)
        facts: dict[str, Any] = {"revision": current_number(ws), **summary, "sha256": there}
        ws.audit("purge", who=who.strip(), what=facts)
        for sha in there:
            for path in files_of(ws, sha):
                path.unlink(missing_ok=True)
    return StageResult(Stage.CLEAN, True, f"Purged {words}.", summary)


def _deleted(data: Path) -> list[str]:
    """Images that are out of use by decision, of a data set of any length; not those of the inbox, which wait."""
    pieces = manifests.batches(data, "dataset", ["sha256", "active", "changed_by"])
    return [r["sha256"] for p in pieces for r in p.to_pylist() if not r["active"] and r["changed_by"] != WAITING]


def files_of(ws: Workspace, sha: str) -> list[Path]:
    """Where the picture may be."""
    decoded = (ws.cache / "pixels").glob(f"*/{sha[:2]}/{sha}.npy")
    return [ws.blob(sha), ws.thumb(sha), *decoded, *inbox_folder(ws).glob(f"{sha[:2]}/{sha}.*")]


def size_of(ws: Workspace, sha: str) -> int:
    """Bytes of the picture's files."""
    total = 0
    for path in files_of(ws, sha):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
