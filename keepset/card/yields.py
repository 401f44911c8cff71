"""What each search, list, page and host has brought: new pictures, copies, rejects, and what a person threw out later.

Everything is counted in Arrow and numpy; what is held whole is the ids of lines and downloads and the images' hashes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keepset import manifests
from keepset.card.public import shown_place
from keepset.models.intervals import wilson
from keepset.reasons import DownloadReason, ItemStatus, UrlReason
from keepset.text import many
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Codes = npt.NDArray[np.int8]

__all__ = ["Yield", "by_host", "by_query", "complaints", "yields"]

_PIECE = 65_536
_NEW, _COPY, _REJECTED, _WAITING, _DELETED, _RELABELLED, _UNUSED = range(7)
_HOST = r"^[A-Za-z]+://(?:[^/?#]*@)?(?P<host>[^/?#]+)"
_BAD = 0.5
"""A place is complained of if more than this share of its pictures was thrown out, beyond chance."""


@dataclass(frozen=True)
class Yield:
    """One place of one class: a source with its search text, list, page or folder; on one host if the web has it.

    ``lines`` = ``new`` + ``duplicates`` + ``rejected`` + ``waiting``. ``new``: pictures that it was the first to bring;
    ``duplicates``: URLs or pictures that were there already, near copies too; ``rejected``: lines, downloads or files
    that were not taken; ``waiting``: not downloaded or checked yet. Of the new ones a person later ``deleted`` or
    ``relabelled`` some, and ``kept`` are in use under the label of this place.
    """

    label: str
    source: str
    query: str
    host: str = ""
    lines: int = 0
    new: int = 0
    duplicates: int = 0
    rejected: int = 0
    waiting: int = 0
    deleted: int = 0
    relabelled: int = 0
    kept: int = 0

    @property
    def place(self) -> str:
        """What to call it in a sentence."""
        return f"'{self.query}' ({self.source})" if self.query else self.host or self.source

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, fit to be published: of a local folder only the name. Without the host where there is none."""
        facts = asdict(self) | {"query": shown_place(self.source, self.query)}
        return {k: v for k, v in facts.items() if k != "host" or v}


_Key = tuple[str, str, str, str]


def yields(ws: Workspace, revision: Path | None = None) -> list[Yield]:
    """Per class, source, query and host, sorted; as of the data set in the file ``revision`` (default: the current one).

    Empty before the first scrape, or where the data set came without its URLs.
    """
    if not ws.urls.exists():
        return []
    found: dict[_Key, Counter[int]] = {}
    for table in _outcomes(ws, revision or ws.newest()):
        for r in table.group_by(table.column_names).aggregate([([], "count_all")]).to_pylist():
            key = (r["label"], r["source"], r["query"] or "", r["host"] or "")
            found.setdefault(key, Counter())[r["outcome"]] += r["count_all"]
    return [_counted(key, n) for key, n in sorted(found.items())]


def by_query(found: Iterable[Yield]) -> list[Yield]:
    """Summed over hosts."""
    return _summed(found, lambda y: (y.label, y.source, y.query, ""))


def by_host(found: Iterable[Yield]) -> list[Yield]:
    """Summed over everything but the host, the one with most lines first; local files have none."""
    hosts = _summed((y for y in found if y.host), lambda y: ("", "", "", y.host))
    return sorted(hosts, key=lambda y: (-y.lines, y.host))


def complaints(found: Iterable[Yield]) -> list[str]:
    """A sentence per search or list most of whose pictures a person threw out, the worst first.

    That may not be chance: the 95 % interval of the share (Wilson) lies above one half.
    """
    bad = [y for y in by_query(found) if wilson(y.deleted + y.relabelled, y.new)[0] > _BAD]
    return [_complaint(y) for y in sorted(bad, key=lambda y: (-(y.deleted + y.relabelled), y.label, y.query))]


def _complaint(y: Yield) -> str:
    gone = f"{y.deleted} of them were deleted" if y.deleted else ""
    moved = f"{y.relabelled} {'' if gone else 'of them '}were given another class" if y.relabelled else ""
    what = " and ".join(filter(None, (gone, moved)))
    return f"{y.place} brought {many(y.new, 'picture')} for '{y.label}', {what}: drop it?"


_COUNTS = ("lines", "new", "duplicates", "rejected", "waiting", "deleted", "relabelled", "kept")


def _summed(found: Iterable[Yield], key: Any) -> list[Yield]:
    sums: dict[_Key, Counter[str]] = {}
    for y in found:
        sums.setdefault(key(y), Counter()).update({k: getattr(y, k) for k in _COUNTS})
    return [Yield(*k, *(n[c] for c in _COUNTS)) for k, n in sorted(sums.items())]


def _counted(key: _Key, n: Counter[int]) -> Yield:
    kept, gone, moved = n[_NEW], n[_DELETED], n[_RELABELLED]
    new = kept + gone + moved + n[_UNUSED]
    return Yield(*key, n.total(), new, n[_COPY], n[_REJECTED], n[_WAITING], gone, moved, kept)


# -- what became of each line ----------------------------------------------------------------------


def _outcomes(ws: Workspace, revision: Path) -> Iterator[pa.Table]:
    """label, source, query, host and outcome of every line of ``urls``, in pieces."""
    shas, of_image = _images(ws, revision)
    ids, of_download = _downloads(ws, shas)
    seen = np.zeros(len(of_image), bool)
    places, start = _places(_column(ws.urls, "urls", "url_id"), ids), 0
    columns = ("url", "label", "source", "query", "status", "reason")
    for batch in manifests.batches(ws.urls, "urls", columns, size=_PIECE):
        place, start = places[start : start + batch.num_rows], start + batch.num_rows
        came = np.where(place < 0, -1, of_download[place]) if len(of_download) else place
        outcome = _of_lines(batch, came, of_image, seen)
        host = pc.struct_field(pc.extract_regex(batch["url"], _HOST), "host")
        names = ["label", "source", "query", "host", "outcome"]
        yield pa.table([batch["label"], batch["source"], batch["query"], pc.utf8_lower(host), pa.array(outcome)], names)


def _of_lines(
    batch: pa.RecordBatch, came: npt.NDArray[np.int64], of_image: Codes, seen: npt.NDArray[np.bool_]
) -> Codes:
    """``came``: number of the image that a line led to, -1 if it was not asked for, -2 if that failed, -3 if its thumbnail
    is a copy."""
    out = np.full(len(came), _WAITING, np.int8)
    out[came == -2], out[came == -3] = _REJECTED, _COPY
    led = np.flatnonzero(came >= 0)
    first = np.zeros(len(led), bool)
    first[np.unique(came[led], return_index=True)[1]] = True
    first &= ~seen[came[led]]
    seen[came[led]] = True
    out[led] = np.where(first | (of_image[came[led]] == _REJECTED), of_image[came[led]], _COPY)
    refused = pc.fill_null(pc.not_equal(batch["status"], str(ItemStatus.OK)), False).to_numpy(zero_copy_only=False)
    twice = pc.is_in(batch["reason"], pa.array([str(UrlReason.DUPLICATE), str(UrlReason.OTHER_CLASS)]))
    out[refused] = _REJECTED
    out[refused & twice.to_numpy(zero_copy_only=False)] = _COPY
    return out


def _downloads(ws: Workspace, shas: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Ids of the URLs that were asked for, and the number of the image that each led to: -2 if to none that is kept, -3 if
    it was not fetched, because its thumbnail is a copy of an image."""
    if not ws.downloads.exists():
        return pa.array([], pa.string()), np.zeros(0, np.int64)
    came = _column(ws.downloads, "downloads", "sha256")
    number = _places(came, shas)
    # A file that is not validated yet has no row among the images: it waits.
    number[(number < 0) & _true(pc.is_null(came))] = -2
    reason = _column(ws.downloads, "downloads", "reason")
    number[_true(pc.equal(reason, str(DownloadReason.PREFILTERED_COPY)))] = -3
    return _column(ws.downloads, "downloads", "url_id"), number


def _images(ws: Workspace, revision: Path) -> tuple[pa.Array, Codes]:
    """sha256 of each image, and what became of it."""
    if not ws.images.exists():
        return pa.array([], pa.string()), np.zeros(0, np.int8)
    names = _column(ws.images, "images", "sha256")
    code = np.full(len(names), _NEW, np.int8)
    code[_true(pc.is_in(_column(ws.images, "images", "dup_kind"), pa.array(["exact", "near"])))] = _COPY
    code[_true(pc.not_equal(_column(ws.images, "images", "status"), str(ItemStatus.OK)))] = _REJECTED
    if not revision.exists() or not len(code):
        return names, code
    place = _places(_column(revision, "dataset", "sha256"), names)
    pieces = manifests.batches(revision, "dataset", _DECIDED, size=_PIECE)
    decided = np.concatenate([np.zeros(0, np.int8), *map(_decided, pieces)])
    here = (place >= 0) & (decided != _NEW)
    here &= code[np.maximum(place, 0)] == _NEW
    code[place[here]] = decided[here]
    return names, code


def _column(path: Path, schema: str, name: str) -> pa.Array:
    """One column, whole: looking up piece by piece would build the table of names again for each."""
    pieces = [p[name] for p in manifests.batches(path, schema, (name,), size=_PIECE)]
    return pa.concat_arrays(pieces) if pieces else pa.array([], pa.string())


_DECIDED: Sequence[str] = ("label", "given_label", "active", "changed_by")


def _decided(piece: pa.RecordBatch) -> Codes:
    active = _true(piece["active"])
    out = np.full(piece.num_rows, _NEW, np.int8)
    out[~active] = _UNUSED
    out[~active & _true(pc.match_substring_regex(piece["changed_by"], "^b[0-9]"))] = _DELETED
    out[active & _true(pc.not_equal(piece["label"], piece["given_label"]))] = _RELABELLED
    return out


def _places(values: pa.Array, among: pa.Array) -> npt.NDArray[np.int64]:
    """Where each value is in ``among``; -1 if nowhere."""
    found: npt.NDArray[np.int64] = (
        pc.fill_null(pc.index_in(values, among), -1).to_numpy(zero_copy_only=False).astype(np.int64)
    )
    if values.null_count:
        found[_true(pc.is_null(values))] = -1
    return found


def _true(values: pa.Array) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.fill_null(values, False).to_numpy(zero_copy_only=False)
    return found
