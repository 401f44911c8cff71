"""What each search, list, page and host has brought: new pictures, copies, rejects, and what a person threw out later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from keepset import manifests
from keepset.card.public import shown_place
from keepset.manifests.schemas import SCHEMAS
from keepset.models.intervals import wilson
from keepset.reasons import DownloadReason, ItemStatus, UrlReason
from keepset.review.auditing import deleted_by_a_batch
from keepset.text import many
from keepset.workspace import Workspace

__all__ = ["Yield", "by_host", "by_query", "complaints", "yields"]

_HOST = r"^[A-Za-z]+://(?:[^/?#]*@)?(?P<host>[^/?#]+)"
_BAD = 0.5
"""A place is complained of if more than this share of its pictures was thrown out, beyond chance."""


@dataclass(frozen=True)
class Yield:
    """One place of one class: a source with its search text, list, page or folder; on one host if the web has it.

    ``lines`` = ``new`` + ``duplicates`` + ``rejected`` + ``waiting``. ``new``: pictures that it was the first to bring;
    ``duplicates``: URLs or pictures that were there already, near copies too; ``rejected``: lines, downloads or files
    that were not taken; ``waiting``: not downloaded or checked yet. Of the new ones a person later ``deleted`` or
    ``relabelled`` some.
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
    lines = _outcomes(ws, revision or ws.newest())
    found: dict[_Key, Counter[str]] = {}
    for r in lines.group_by(lines.column_names).aggregate([([], "count_all")]).to_pylist():
        key = (r["label"], r["source"], r["query"] or "", r["host"] or "")
        n = found.setdefault(key, Counter())
        n.update({"lines": r["count_all"], r["outcome"]: r["count_all"]})
        n["new"] += r["count_all"] * (r["outcome"] in ("deleted", "relabelled", "unused"))
    return [Yield(*key, *(n[c] for c in _COUNTS)) for key, n in sorted(found.items())]


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


_COUNTS = ("lines", "new", "duplicates", "rejected", "waiting", "deleted", "relabelled")


def _summed(found: Iterable[Yield], key: Any) -> list[Yield]:
    sums: dict[_Key, Counter[str]] = {}
    for y in found:
        sums.setdefault(key(y), Counter()).update({k: getattr(y, k) for k in _COUNTS})
    return [Yield(*k, *(n[c] for c in _COUNTS)) for k, n in sorted(sums.items())]


# -- what became of each line ----------------------------------------------------------------------


def _outcomes(ws: Workspace, revision: Path) -> pa.Table:
    """label, source, query, host and outcome of every line of ``urls``."""
    found = _table(ws.urls, "urls", "url_id", "url", "label", "source", "query", "status", "reason")
    host = pc.struct_field(pc.extract_regex(found["url"], _HOST), "host")
    found = found.drop_columns("url").append_column("host", pc.utf8_lower(host))
    found = found.append_column("line", pa.array(range(len(found)), pa.int64()))
    downloads = _table(ws.downloads, "downloads", "url_id", "sha256", "reason")
    downloads = downloads.append_column("asked", pa.array([True] * len(downloads), pa.bool_()))
    found = found.join(downloads, "url_id", right_suffix="_of_download")
    found = found.join(_table(ws.images, "images", "sha256", "status", "dup_kind"), "sha256", right_suffix="_of_image")
    decided = _table(revision, "dataset", "sha256", "label", "given_label", "active", "changed_by")
    found = found.join(decided, "sha256", right_suffix="_now")
    found = found.join(found.group_by("sha256").aggregate([("line", "min")]), "sha256")
    return found.select(["label", "source", "query", "host"]).append_column("outcome", _outcome(found))


def _outcome(t: pa.Table) -> pa.Array:
    """Of the lines ``t``, each with its download, image and row of the data set; null where it led to none."""
    ok, gone = str(ItemStatus.OK), pc.equal(t["active"], False)
    refused = pc.not_equal(t["status"], ok)
    twice = pc.is_in(t["reason"], pa.array([str(UrlReason.DUPLICATE), str(UrlReason.OTHER_CLASS)]))
    cases = [  # the first that is true counts; null is not
        (pc.and_(refused, twice), "duplicates"),
        (refused, "rejected"),
        (pc.is_null(t["asked"]), "waiting"),
        (pc.equal(t["reason_of_download"], str(DownloadReason.PREFILTERED_COPY)), "duplicates"),
        (pc.is_null(t["sha256"]), "rejected"),
        (pc.is_null(t["status_of_image"]), "waiting"),  # a file that is not validated yet
        (pc.not_equal(t["status_of_image"], ok), "rejected"),
        (pc.greater(t["line"], t["line_min"]), "duplicates"),
        (pc.is_in(t["dup_kind"], pa.array(["exact", "near"])), "duplicates"),
        (deleted_by_a_batch(t), "deleted"),
        (gone, "unused"),
        (pc.not_equal(t["label_now"], t["given_label"]), "relabelled"),
    ]
    conditions = pc.make_struct(*(condition.combine_chunks() for condition, _ in cases))
    return pc.case_when(conditions, *(outcome for _, outcome in cases), "new")


def _table(path: Path, schema: str, *columns: str) -> pa.Table:
    """Empty where the file is not there."""
    if path.exists():
        return manifests.table(path, schema, columns)
    return pa.schema([SCHEMAS[schema].arrow.field(c) for c in columns]).empty_table()
