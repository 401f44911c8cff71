"""Taking pictures down: out of the data set, deleted everywhere, never fetched again, and a certificate of it.

The order makes it safe to kill: first a row of the audit log says what is to go, and from then on nothing fetches it
(``keepset.blocklist``); then manifests, the data set and files follow, each step finding what is done already; the
certificate comes last. Whoever runs ``take_down`` again finishes what was begun.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from keepset import manifests
from keepset.blocklist import digest, masked
from keepset.card import write_card
from keepset.clean.matching import Takedown, Wanted, holding, match
from keepset.clean.purging import files_of
from keepset.clean.revising import COLUMNS, Change, Edit, settle_revisions, write_revision
from keepset.manifests.rows import DatasetRow
from keepset.models import list_models
from keepset.models.features import blank
from keepset.models.served import forget_pictures
from keepset.reasons import ItemStatus, UrlReason
from keepset.review.auditing import audit_once
from keepset.review.batch import find_revision
from keepset.review.naming import needs_name
from keepset.scrape.border import SCRUBBED
from keepset.scrape.known import line_id
from keepset.stages import SILENT, Progress
from keepset.storage import StoredPath
from keepset.storage.copies import forget
from keepset.text import many
from keepset.train.rows_file import RowsFile
from keepset.workspace import Workspace

__all__ = ["forget_here", "take_down", "unfinished"]

_LOCKS = ("scrape", "download", "validate", "train", "interpret", "clean")
"""Held meanwhile: no stage may write what is being deleted."""


def take_down(ws: Workspace, wanted: Wanted, *, who: str, why: str = "", progress: Progress = SILENT) -> Takedown:
    """Do it, and finish whatever takedown was interrupted before. Safe to repeat.

    Raises ``ReviewError`` without a name, or for a sha256 that names no picture; nothing is touched then.
    """
    needs_name(who)
    with contextlib.ExitStack() as held:
        for name in _LOCKS:
            held.enter_context(ws.lock(name, note=progress.note))
        for row in unfinished(ws):
            _finish(ws, row, progress)
        found = match(ws, wanted)
        wanted = found.wanted  # with its whole sha256
        if not (found.active or found.lines or found.bytes) and _is_blocked(ws, wanted):
            return replace(found, message="up to date: it was taken down before, and nothing of it is left")
        what = {
            "id": _new_id(ws, wanted), "by": wanted.by, "digest": wanted.digest, "sha256": list(found.pictures),
            "urls": list(found.urls), "license": wanted.value if wanted.by == "license" else None, "exports": list(found.exports),
        }  # fmt: skip
        ws.audit("takedown", who=who.strip(), what=what, why=why)
        revision = _finish(ws, {"who": who.strip(), "why": why, "what": what}, progress)
    message = f"Took down {many(len(found.pictures), 'picture')} and {many(len(found.lines), 'line')}"
    message += f"; revision {revision} is without them" if revision else ""
    return replace(found, message=f"{message}. The certificate is in the audit log as {what['id']}.")


def unfinished(ws: Workspace) -> list[dict[str, Any]]:
    """Rows of the audit log that began a takedown which has no certificate yet."""
    log = ws.audited("takedown", "certificate")
    done = {r["what"]["id"] for r in log if r["action"] == "certificate"}
    return [r for r in log if r["action"] == "takedown" and r["what"]["id"] not in done]


def _is_blocked(ws: Workspace, wanted: Wanted) -> bool:
    key = (wanted.by, wanted.digest)
    return key in {(r["what"]["by"], r["what"]["digest"]) for r in ws.audited("takedown")}


def _new_id(ws: Workspace, wanted: Wanted) -> str:
    number = 1 + len(ws.audited("takedown"))
    return f"t{number:04d}-{wanted.digest[:8]}"


def _finish(ws: Workspace, row: dict[str, Any], progress: Progress) -> int | None:
    """Everything after the first row of the audit log; returns the revision that leaves the pictures out, if they were in."""
    what, pictures = row["what"], set(row["what"]["sha256"])
    progress.start("taking pictures down", None)
    models = holding(ws, pictures)["models"]
    settle_revisions(ws)
    cause = f"remove:{what['id']}"
    if ws.revisions():
        write_revision(ws, _without(pictures, cause), cause=cause, who=row["who"], why=row["why"])
    _rewrite(ws, "urls", _line(set(what["urls"]), what))
    _rewrite(ws, "images", _image(pictures))
    _rewrite(ws, "downloads", lambda r: None if r["sha256"] in pictures or digest(r["url"]) in what["urls"] else r)
    _erase(ws, pictures, models)
    if (ws.root / "card").exists():
        write_card(ws, ws.root / "card")
    revision = find_revision(ws, cause)
    facts = {
        "pictures": len(pictures), "sha256": sorted(pictures), "urls": what["urls"], "by": what["by"], "digest": what["digest"],
        "revision": revision, "models": models, "exports": what["exports"],
    }  # fmt: skip
    audit_once(ws, "certificate", {"id": what["id"]}, who=row["who"], what=facts, why=row["why"])
    return revision


def _without(pictures: set[str], cause: str) -> Edit:
    def edit(data: Path) -> tuple[dict[str, Change], dict[str, Any]] | None:
        rows = manifests.picked(data, DatasetRow, COLUMNS, pictures)
        changes = {r["sha256"]: Change(r["label"], False, cause) for r in rows if r["active"]}
        return (changes, {"removed": len(changes), "images": sorted(changes)}) if changes else None

    return edit


# -- manifests: what they say of it is scrubbed ----------------------------------------------------

_Scrub = Callable[[dict[str, Any]], dict[str, Any] | None]
_PIECE = 8192


def _line(urls: set[str], what: dict[str, Any]) -> _Scrub:
    """A line of a source that named what was taken down stays as a rejected one, without its address and author."""
    creator = what["digest"] if what["by"] == "creator" else None

    def scrub(row: dict[str, Any]) -> dict[str, Any]:
        mine = digest(row["url"]) in urls or (creator and row["creator"] and digest(row["creator"]) == creator)
        if not mine:
            return row
        fate = {"status": str(ItemStatus.REJECTED), "reason": str(UrlReason.TAKEN_DOWN), "detail": None}
        scrubbed = row | fate | dict.fromkeys(SCRUBBED) | {"url": masked(row["url"])}
        return scrubbed | {"url_id": line_id(scrubbed)}

    return scrub


def _image(pictures: set[str]) -> _Scrub:
    nothing = dict.fromkeys(c for c in SCRUBBED if c not in ("sha1", "thumbnail"))
    return lambda row: row | nothing | {"url": masked(row["url"])} if row["sha256"] in pictures else row


def _rewrite(ws: Workspace, name: str, scrub: _Scrub) -> None:
    """Write the manifest again without the rows for which ``scrub`` gives None; not at all if none changes."""
    path = ws.stage_manifests[name]
    if not path.exists() or all(scrub(row) == row for row in manifests.each(path, name)):
        return
    header = manifests.read_header(path)
    with manifests.writing(path, name) as out:
        for piece in manifests.batches(path, name, size=_PIECE):
            rows = [new for row in piece.to_pylist() if (new := scrub(row)) is not None]
            out.add(rows)
        out.commit(header)


# -- files -----------------------------------------------------------------------------------------


def _erase(ws: Workspace, pictures: set[str], models: list[str]) -> None:
    """Every file that holds one of the pictures, or what was computed from it alone."""
    for sha in pictures:
        for path in files_of(ws, sha):
            path.unlink(missing_ok=True)
    for model in list_models(ws):
        blank(ws, model.id, pictures)
    for model_id in models:
        forget_pictures(ws, model_id, pictures)
    for model_id in models:  # their reports hold thumbnails
        for path in list((ws.reports / model_id).iterdir()) if (ws.reports / model_id).is_dir() else ():
            path.unlink()
    _erase_cached(ws, pictures)


def forget_here(ws: Workspace) -> None:
    """Delete what this machine's cache still holds of pictures that another machine took down, on an object store.

    Done once per takedown and machine; a workspace on disk has nothing elsewhere.
    """
    mark = ws.scratch / "taken-down"
    if not isinstance(ws.root, StoredPath):
        return
    done = set(mark.read_text("ascii").split()) if mark.exists() else set()
    rows = [r["what"] for r in ws.audited("takedown") if r["what"]["id"] not in done]
    if not rows:
        return
    pictures = {s for what in rows for s in what["sha256"]}
    for model in list_models(ws):
        beside = [ws.models / model.id / name for name in ("features.safetensors", "model.onnx")]
        for path in (*beside, ws.reports / model.id / "report.html"):
            forget(cast("StoredPath", path))
    for sha in pictures:
        for path in files_of(ws, sha):
            forget(path) if isinstance(path, StoredPath) else path.unlink(missing_ok=True)
    _erase_cached(ws, pictures)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text("\n".join(sorted(done | {what["id"] for what in rows})), "ascii")


def _erase_cached(ws: Workspace, pictures: set[str]) -> None:
    for shas in (ws.cache / "features").glob("*/shas"):
        RowsFile.blank(shas.parent, pictures)
    others = [p for p in ws.cache.iterdir() if p.name not in _BY_PICTURE] if pictures and ws.cache.is_dir() else []
    for path in others:  # mixed of many pictures, and computed again when they are needed
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for part in (ws.journal / "parts").glob("*.part"):  # of downloads that were killed
        part.unlink(missing_ok=True)


_BY_PICTURE = ("features", "pixels")
"""Folders of the cache whose files, or rows, are of one picture each."""
