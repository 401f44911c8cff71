"""Every number of the data set card, as plain data.

What is counted of each picture is read some ten thousand rows at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from keepset import manifests
from keepset.card.public import web_link
from keepset.card.yields import by_query, yields
from keepset.inbox import WAITING
from keepset.manifests import Manifest
from keepset.manifests.schemas import SCHEMAS
from keepset.reasons import ItemStatus, Split
from keepset.review.revisions import revisions
from keepset.workspace import Workspace

__all__ = ["active_rows", "facts", "revision_of", "stage_counts"]

_PIECE = 65_536
_MOST_NAMES = 50


def facts(ws: Workspace, revision: int | None = None) -> dict[str, Any]:
    """The card's facts of ``revision`` (default: the current one), JSON-ready. Raises ``ManifestMissing``.

    ``images``: counts ``active``, ``deleted`` (by approved batches), ``set_aside`` (never used, because they tie two
    sides together), ``waiting`` (sent in by users, not reviewed yet), ``relabelled``. ``classes`` and ``splits``: active images. ``sources``: what each class's searches, lists,
    pages and folders brought (``keepset.card.yields.Yield``); a picture that two of them found counts for the first. ``licenses``: active images by licence and its link, with the number of
    ``creators`` named and the ``names`` of the most frequent. ``creators``: how many images name one and how many do
    not. ``stages``: rows, rows that are ok, and
    the others by reason, of each manifest before the split. ``duplicates``: of the active images.
    ``revisions``: each revision up to this one, what made it, who and why.
    """
    data = revision_of(ws, revision)
    table, number = data.table, int(data.header.extra["revision"])
    active = table.filter(table["active"])
    made_from = data.header.config
    return {
        "name": ws.name,
        "revision": number,
        "dataset_hash": data.content_hash,
        "seed": made_from.get("seed"),
        "shares": {k: made_from.get("split", {}).get(k) for k in ("valid", "test", "folds")},
        "images": _images(table, active),
        "classes": _classes(active, [c["name"] for c in made_from.get("classes", ())]),
        "splits": _counts(active["split"]),
        "duplicates": _duplicates(active),
        "sources": [y.as_dict() for y in by_query(yields(ws, data.path))],
        "stages": [stage_counts(ws, name) for name in _present(ws)],
        "found": _found(ws),
        **_provenance(ws, active["sha256"]),
        "revisions": [asdict(r) for r in revisions(ws) if r.revision <= number],
    }


def revision_of(ws: Workspace, revision: int | None) -> Manifest:
    return ws.current_dataset() if revision is None else manifests.read(ws.dataset(revision), "dataset")


def active_rows(ws: Workspace, name: str, columns: Sequence[str], shas: pa.ChunkedArray) -> Iterator[pa.Table]:
    """The rows of a manifest, in its order and in pieces, whose sha256 is among ``shas``; none if it is missing."""
    path = ws.stage_manifests[name]
    if not path.exists():
        return
    for batch in manifests.batches(path, name, columns, size=_PIECE):
        table = pa.Table.from_batches([batch])
        yield table.filter(pc.is_in(table["sha256"], shas))


def _present(ws: Workspace) -> list[str]:
    """A data set can come without the manifests of the stages before it."""
    return [name for name, path in ws.stage_manifests.items() if path.exists()]


def _images(table: pa.Table, active: pa.Table) -> dict[str, int]:
    gone = table.filter(pc.invert(table["active"]))
    waiting = pc.sum(pc.equal(gone["changed_by"], WAITING)).as_py() or 0
    aside = pc.sum(pc.and_(pc.is_null(gone["changed_in"]), pc.is_null(gone["changed_by"]))).as_py() or 0
    return {
        "active": active.num_rows,
        "deleted": gone.num_rows - aside - waiting,
        "set_aside": aside,
        "waiting": waiting,
        "relabelled": pc.sum(pc.not_equal(active["label"], active["given_label"])).as_py() or 0,
    }


def _classes(active: pa.Table, known: Sequence[str]) -> list[dict[str, Any]]:
    """Those of the config too that have no image left."""
    found = active.group_by(["label", "split"]).aggregate([("sha256", "count")]).to_pylist()
    sides = {label: {str(s): 0 for s in Split} for label in {*known, *(r["label"] for r in found)}}
    for r in found:
        sides[r["label"]][r["split"]] = r["sha256_count"]
    return [{"label": k, "images": sum(by.values()), **by} for k, by in sorted(sides.items())]


def _duplicates(active: pa.Table) -> dict[str, int]:
    """``groups`` of two and more copies of one picture, ``exact`` and ``near`` copies of a better one, ``scenes``:
    pictures of one scene with another, ``conflicts``: found in two classes."""
    copies = active.filter(pc.is_valid(active["dup_of"]))
    kinds, others = _counts(active["dup_kind"]), pc.greater(pc.list_value_length(active["other_labels"]), 0)
    return {
        "groups": pc.count_distinct(copies["dup_of"]).as_py(),
        "exact": kinds.get("exact", 0),
        "near": kinds.get("near", 0),
        "scenes": kinds.get("scene", 0),
        "conflicts": pc.sum(others).as_py() or 0,
    }


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value stands there, the most frequent first."""
    pairs = [(v["values"], v["counts"]) for v in pc.value_counts(column).to_pylist()]
    return dict(sorted(pairs, key=lambda p: (-p[1], str(p[0]))))


def stage_counts(ws: Workspace, name: str) -> dict[str, Any]:
    """Rows of a manifest before the split, those that are ok, and the others by reason."""
    table = manifests.table(ws.stage_manifests[name], name, ("status", "reason"))
    bad = table.filter(pc.not_equal(table["status"], str(ItemStatus.OK)))
    return {
        "stage": SCHEMAS[name].stage, "manifest": name, "rows": len(table), "ok": len(table) - len(bad),
        "dropped": [
            {"reason": r, "count": n} for r, n in _counts(bad["reason"]).items()
        ],
    }  # fmt: skip


def _found(ws: Workspace) -> dict[str, str | None]:
    """Between which moments the URLs were found (ISO 8601)."""
    ends: dict[str, Any] = {"min": None, "max": None}
    if ws.urls.exists():
        ends = pc.min_max(manifests.table(ws.urls, "urls", ("discovered_at",))["discovered_at"]).as_py()
    first, last = (at and at.isoformat() for at in ends.values())
    return {"first": first, "last": last}


def _provenance(ws: Workspace, shas: pa.ChunkedArray) -> dict[str, Any]:
    """What ``images`` says of the active ones: licences and creators."""
    credit: dict[tuple[str, str], Counter[str]] = {}  # (licence, link) -> images by creator, "" for nobody
    for piece in active_rows(ws, "images", ("sha256", "license", "license_url", "creator"), shas):
        keys = ["license", "license_url", "creator"]
        for r in piece.group_by(keys).aggregate([("sha256", "count")]).to_pylist():
            key = (r["license"] or "unknown", web_link(r["license_url"]) or "")
            credit.setdefault(key, Counter())[r["creator"] or ""] += r["sha256_count"]
    licenses = []
    for (code, url), by in sorted(credit.items(), key=lambda p: (-p[1].total(), p[0])):
        names = sorted(by.keys() - {""}, key=lambda c: (-by[c], c))
        licenses.append(
            {"license": code, "url": url or None, "images": by.total(), "creators": len(names), "names": names[:_MOST_NAMES]}
        )  # fmt: skip
    unnamed, images = sum(by[""] for by in credit.values()), sum(by.total() for by in credit.values())
    return {"licenses": licenses, "creators": {"images_with": images - unnamed, "images_without": unnamed}}
