"""The distinct files to look at, as Arrow columns: a list of dicts of 100,000 images takes a quarter GB.

Those are the downloads', and what the data set holds of earlier ones: when an address has another picture by now, the
one it had before stays in the data set, and must still be compared with what comes.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keepset import manifests
from keepset.errors import ManifestMissing
from keepset.files import write_bytes
from keepset.manifests.schemas import SCHEMAS
from keepset.reasons import ItemStatus
from keepset.workspace import Workspace

__all__ = ["Distinct", "addresses"]

_COLUMNS = ["url_id", "url", "label", "sha256", "status"]
_PROVENANCE = ["source", "title", "creator", "license", "license_url", "landing_page"]
_FACTS = ["sha256", "label", "other_labels", "url", "copies", *_PROVENANCE]


def addresses(ws: Workspace, start: int, stop: int) -> list[str]:
    """The addresses of the files from number ``start`` up to ``stop``, as ``Distinct`` has them.

    They are written down once a downloads manifest and revision, at 32 bytes each, so that a shard reads its own and
    no others.
    """
    revision = (ws.revisions() or [0])[-1]
    name = f"distinct-{manifests.read_header(ws.downloads).content_hash[:16]}-{revision}"
    path = ws.journal / name
    if not path.exists():
        write_bytes(path, b"".join(bytes.fromhex(s) for s in Distinct(ws).sha256.to_pylist()))
        for old in ws.journal.glob("distinct-*"):
            if old.name != name:
                old.unlink(missing_ok=True)
    with path.open("rb") as file:
        file.seek(32 * start)
        found = file.read(32 * (stop - start))
    return [found[i : i + 32].hex() for i in range(0, len(found), 32)]


class Distinct:
    """Each file that was downloaded, once, in the order first seen, then what the data set holds of earlier
    downloads; ``sha256`` holds their addresses."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        table = manifests.table(ws.downloads, "downloads", _COLUMNS)
        self._downloads = table.filter(pc.equal(table["status"], str(ItemStatus.OK))).combine_chunks()
        encoded = self._downloads["sha256"].combine_chunks().dictionary_encode()
        self._there: pa.Array = encoded.dictionary
        self._which = encoded.indices.to_numpy()
        self._first = np.empty(len(self._there), np.int64)
        self._first[self._which[::-1]] = np.arange(len(self._which))[::-1]
        self._kept = _kept(ws, self._there)
        self.sha256: pa.ChunkedArray = pa.chunked_array([self._there, *self._kept["sha256"].chunks], pa.string())

    def __len__(self) -> int:
        return len(self.sha256)

    @property
    def repeated(self) -> int:
        """Downloads that gave a file which an earlier one had given."""
        return len(self._downloads) - len(self._there)

    def facts(self) -> pa.Table:
        """What the URLs say of each: the columns of ``images`` that come from ``downloads`` and ``urls``."""
        first = self._downloads.take(pa.array(self._first))
        urls = manifests.read(self.ws.urls, "urls").table.select(["url_id", *_PROVENANCE])
        found = urls.take(pc.index_in(first["url_id"], urls["url_id"])).drop_columns("url_id")
        source = pc.fill_null(found["source"], "unknown")
        copies = np.bincount(self._which, minlength=len(self._there)).astype(np.int32)
        mine = {"sha256": self._there, "label": first["label"], "other_labels": self._other_labels(first["label"]),
                "url": first["url"], "copies": copies}  # fmt: skip
        there = pa.table(mine | {c: source if c == "source" else found[c] for c in _PROVENANCE})
        return pa.concat_tables([there.cast(self._kept.schema), self._kept])

    def _other_labels(self, label: pa.ChunkedArray) -> pa.Array:
        """Further classes of each, in the order found."""
        codes = self._downloads["label"].combine_chunks().dictionary_encode()
        number = codes.indices.to_numpy()
        others: dict[int, dict[str, None]] = defaultdict(dict)
        for at in np.flatnonzero(number != number[self._first][self._which]).tolist():
            others[int(self._which[at])][codes.dictionary[int(number[at])].as_py()] = None
        return pa.array([list(others.get(i, ())) for i in range(len(label))], pa.list_(pa.string()))


def _kept(ws: Workspace, there: pa.Array) -> pa.Table:
    """Facts of the images that the data set holds and no download has any more, as they were last known.

    A purged one is gone for good.
    """
    if (wanted := _held_without(ws, there)) and ws.images.exists():
        return manifests.table(ws.images, "images", _FACTS, wanted)
    return pa.schema([SCHEMAS["images"].arrow.field(c) for c in _FACTS]).empty_table()


def _held_without(ws: Workspace, there: pa.Array) -> list[str]:
    """Addresses that the data set has and ``there`` has not."""
    try:
        held = ws.current_dataset().table.select(["sha256", "active"])
    except ManifestMissing:
        return []
    gone = held.filter(pc.invert(pc.is_in(held["sha256"], there)))
    blobs = ws.held_blobs()
    return [r["sha256"] for r in gone.to_pylist() if r["active"] or blobs.size(r["sha256"])]
