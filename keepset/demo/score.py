"""What was planted in the demo's web, and what the pipeline found of it: counted from the manifests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keepset import manifests
from keepset.demo.pictures import Plant, Planted
from keepset.workspace import Workspace

__all__ = ["Line", "score"]

_MEANING = {
    Plant.NOT_FOUND: "not downloaded, with its reason",
    Plant.HTML: "refused as no image",
    Plant.BROKEN: "rejected by validation",
    Plant.EXACT_COPY: "counted as a copy of one image",
    Plant.SAME_PIXELS: "grouped as an exact duplicate",
    Plant.NEAR_COPY: "grouped as a near duplicate",
    Plant.CROP: "grouped as a near duplicate",
    Plant.MIRRORED: "grouped as a near duplicate",
    Plant.TWO_CLASSES: "shown as a conflict of classes",
    Plant.WRONG_LABEL: "suggested to relabel to the true class",
    Plant.JUNK: "suggested to delete",
    Plant.CARTOON: "suggested to delete",
    Plant.COLLAGE: "suggested to delete",
}
_IN_GROUPS = (Plant.SAME_PIXELS, Plant.NEAR_COPY, Plant.CROP, Plant.MIRRORED)
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One kind of planted trouble: how many were planted, how many found, and what "found" means."""

    kind: str
    planted: int
    found: int
    meaning: str


def score(ws: Workspace, planted: Sequence[Planted], base_url: str, batch_id: str) -> list[Line]:
    """Count, for each kind of trouble, what was found; the last line counts good pictures accused wrongly."""
    downloads = {r["url"]: r for r in manifests.read(ws.downloads, "downloads").rows()}
    images = {r["sha256"]: r for r in manifests.read(ws.images, "images").rows()}
    path = ws.batches / batch_id / "candidates.parquet"
    candidates = {r["sha256"]: r for r in manifests.read(path, "candidates").rows()}

    def facts(p: Planted) -> Facts:
        """What the manifests say of it together."""
        found = downloads[base_url + p.path]
        return {**found, **candidates.get(found["sha256"], {}), **images.get(found["sha256"], {})}

    known = [(p, facts(p)) for p in planted]
    sizes = Counter(i["group_id"] for i in images.values())
    lines = []
    for kind, meaning in _MEANING.items():
        mine = [_is_found(p, f, sizes) for p, f in known if p.kind == kind]
        lines.append(Line(str(kind), len(mine), sum(mine), meaning))
    return [*lines, _false_alarms(known)]


def _is_found(p: Planted, f: Facts, sizes: Mapping[str, int]) -> bool:
    match p.kind:
        case Plant.NOT_FOUND | Plant.HTML | Plant.BROKEN:
            return f["status"] in ("failed", "rejected")
        case Plant.EXACT_COPY:
            return bool(f.get("copies", 0) > 1)
        case Plant.TWO_CLASSES:
            return bool(f.get("other_labels"))
        case Plant.WRONG_LABEL:
            return (f.get("suggestion"), f.get("suggested_label")) == ("relabel", p.truth)
        case kind if kind in _IN_GROUPS:
            return bool(f.get("group_id")) and sizes[f["group_id"]] > 1
    return f.get("suggestion") == "delete"


def _false_alarms(known: Sequence[tuple[Planted, Facts]]) -> Line:
    copied = (*_IN_GROUPS, Plant.EXACT_COPY, Plant.TWO_CLASSES)
    copies = {f.get("group_id") for p, f in known if p.kind in copied} - {None}
    good = [f for p, f in known if p.kind == Plant.NOTHING]
    wrong = sum(f.get("suggestion") in ("delete", "relabel") and f.get("group_id") not in copies for f in good)
    return Line("good pictures", len(good), wrong, "wrongly suggested for a change (fewer is better)")
