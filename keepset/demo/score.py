"""What was planted in the demo's web, and what the pipeline found of it: counted from the manifests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keepset import manifests
from keepset.demo.pictures import Plant, Planted
from keepset.workspace import Workspace

__all__ = ["Line", "score"]


@dataclass(frozen=True)
class Line:
    """One kind of planted trouble: how many were planted, how many found, and what "found" means."""

    kind: str
    planted: int
    found: int
    meaning: str


@dataclass(frozen=True)
class _Manifests:
    """What the manifests say, by URL and by image."""

    downloads: Mapping[str, dict[str, Any]]
    images: Mapping[str, dict[str, Any]]
    candidates: Mapping[str, dict[str, Any]]

    def image(self, url: str) -> dict[str, Any]:
        return self.images.get(self.downloads.get(url, {}).get("sha256") or "", {})

    def suggestion(self, url: str) -> tuple[str, str | None]:
        row = self.candidates.get(self.image(url).get("sha256", ""), {})
        return row.get("suggestion", ""), row.get("suggested_label")


def score(ws: Workspace, planted: Sequence[Planted], base_url: str, batch_id: str | None) -> list[Line]:
    """Count, for each kind of trouble, what was found; the last line counts good pictures accused wrongly."""
    known = _Manifests(
        {r["url"]: r for r in manifests.read(ws.downloads, "downloads").rows()},
        {r["sha256"]: r for r in manifests.read(ws.images, "images").rows()},
        _candidates(ws, batch_id),
    )
    lines = [_line(known, kind, meaning, planted, base_url) for kind, meaning in _MEANING.items()]
    return [*lines, _false_alarms(known, planted, base_url)]


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


def _line(known: _Manifests, kind: Plant, meaning: str, planted: Sequence[Planted], base: str) -> Line:
    mine = [p for p in planted if p.kind == kind]
    return Line(str(kind), len(mine), sum(_found(known, p, base + p.path) for p in mine), meaning)


def _found(known: _Manifests, p: Planted, url: str) -> bool:
    download, image = known.downloads.get(url, {}), known.image(url)
    suggestion, label = known.suggestion(url)
    match p.kind:
        case Plant.NOT_FOUND | Plant.HTML | Plant.BROKEN:
            return _refused(download, image)
        case Plant.EXACT_COPY:
            return bool(image.get("copies", 0) > 1)
        case Plant.SAME_PIXELS | Plant.NEAR_COPY | Plant.CROP | Plant.MIRRORED:
            group = image.get("group_id")
            return bool(group) and sum(i["group_id"] == group for i in known.images.values()) > 1
        case Plant.TWO_CLASSES:
            return bool(image.get("other_labels"))
        case Plant.WRONG_LABEL:
            return suggestion == "relabel" and label == p.truth
        case Plant.JUNK | Plant.CARTOON | Plant.COLLAGE:
            return suggestion == "delete"
        case _:
            return False


def _refused(download: Mapping[str, Any], image: Mapping[str, Any]) -> bool:
    return bool(download.get("status") == "failed" or image.get("status") == "rejected")


def _false_alarms(known: _Manifests, planted: Sequence[Planted], base: str) -> Line:
    copies = {known.image(base + p.path).get("group_id") for p in planted if p.kind in _COPIES}
    good = [p for p in planted if p.kind == Plant.NOTHING]
    wrong = 0
    for p in good:
        image = known.image(base + p.path)
        changed = known.suggestion(base + p.path)[0] in ("delete", "relabel")
        wrong += changed and image.get("group_id") not in copies
    return Line("good pictures", len(good), wrong, "wrongly suggested for a change (fewer is better)")


_COPIES = {
    Plant.EXACT_COPY, Plant.SAME_PIXELS, Plant.NEAR_COPY, Plant.CROP, Plant.MIRRORED, Plant.TWO_CLASSES,
}  # fmt: skip


def _candidates(ws: Workspace, batch_id: str | None) -> dict[str, dict[str, Any]]:
    if batch_id is None:
        return {}
    path = ws.batches / batch_id / "candidates.parquet"
    return {r["sha256"]: r for r in manifests.read(path, "candidates").rows()}
