"""Exporting a revision of the data set: one function, four formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from keepset import __version__, manifests
from keepset.export import folders, huggingface, webdataset
from keepset.export.originals import Originals
from keepset.export.place import apart, finish, place, remember, standing
from keepset.export.readme import write_readme
from keepset.export.selection import ImageFilter, Selection
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.workspace import Workspace

__all__ = ["Format", "ImageFilter", "export_dataset"]

VERSION = 2
"""Raised when the same pictures would now be written in another way."""


class Format(StrEnum):
    IMAGEFOLDER = "imagefolder"
    CSV = "csv"
    WEBDATASET = "webdataset"
    HUGGINGFACE = "huggingface"


Write = Callable[[Path, Selection, Originals, Progress], list[str]]
_WRITERS: Mapping[Format, Write] = {
    Format.IMAGEFOLDER: folders.write_imagefolder,
    Format.CSV: folders.write_csv,
    Format.WEBDATASET: webdataset.write_webdataset,
    Format.HUGGINGFACE: huggingface.write_huggingface,
}


def export_dataset(
    ws: Workspace, form: Format, to: Path, wanted: ImageFilter | None = None, *, progress: Progress = SILENT
) -> StageResult:
    """Put the pictures of a revision into the folder ``to``, whole or not at all; an older export there is replaced.

    Memory does not grow with the data set. ``summary`` holds counts; ``changed`` is false if the folder holds this
    very export already. Raises ``WorkspaceError`` for a folder that holds anything else, ``WorkspaceBusy``,
    ``ManifestMissing``, ``ConfigError`` or ``StageError``.
    """
    to = apart(ws, to)
    with Selection(ws, wanted or ImageFilter()) as chosen:
        facts = _facts(ws, form, chosen)
        if there := standing(to, facts["fingerprint"]):
            return _result(to, there, changed=False)
        with place(to, facts) as part:
            progress.start(f"exporting {form}", chosen.total)
            notes = _WRITERS[form](part, chosen, Originals(ws), progress)
            facts["notes"] = notes
            write_readme(part, form, chosen, notes)
            facts = finish(part, facts)
        remember(ws, str(form), to, revision=facts["revision"], splits=sorted(facts["images"]))
        return _result(to, facts, changed=True)


def _facts(ws: Workspace, form: Format, chosen: Selection) -> dict[str, Any]:
    data = manifests.read_header(ws.dataset(chosen.revision))
    return {
        "format": str(form), "keepset": __version__, "workspace": ws.id, "name": ws.name,
        "revision": chosen.revision, "dataset_hash": data.content_hash, "classes": list(chosen.labels),
        "images": chosen.counts, "left_out": chosen.left_out, "notes": [],
        "fingerprint": manifests.fingerprint("export", {"rows": chosen.digest()}, {"format": str(form)}, VERSION),
    }  # fmt: skip


def _result(to: Path, facts: Mapping[str, Any], *, changed: bool) -> StageResult:
    per_split = {s: sum(labels.values()) for s, labels in facts["images"].items()}
    counts = ", ".join(f"{n} {s}" for s, n in per_split.items())
    what = f"{sum(per_split.values())} pictures of revision {facts['revision']} ({counts})"
    left = _left(facts["left_out"])
    message = f"{what} in {to}" if changed else f"up to date: {what} in {to}"
    message += f"; left out: {left}" if left else ""
    message += "".join(f"\n  {note}" for note in facts["notes"])
    summary = {
        "revision": facts["revision"], "images": facts["images"], "left_out": facts["left_out"],
        "files": facts.get("files"), "notes": facts["notes"],
    }  # fmt: skip
    return StageResult(Stage.EXPORT, changed, message, summary, {"folder": str(to)})


def _left(out: Mapping[str, int]) -> str:
    names = {"deleted": "deleted", "exact_copies": "exact copies", "other_splits": "of other splits"}
    return ", ".join(f"{out[k]} {words}" for k, words in names.items() if out[k])
