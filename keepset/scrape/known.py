"""What ``urls.parquet`` says already, and how a new look at the sources is combined with it.

Known rows keep their places and their first facts, so that a source which is silent today, or answers in another
order, changes nothing further down. Only ids are held in memory, as numbers; the rows themselves stay in the file.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from keepset import manifests
from keepset.config import RunConfig
from keepset.manifests import Writer
from keepset.manifests.rows import UrlRow
from keepset.reasons import LOCAL_SOURCES, ItemStatus, UrlReason
from keepset.workspace import Workspace

__all__ = ["Known", "line_id"]

Place = tuple[str, str, str | None]
_FACTS = ("url_id", "url", "label", "status", "reason", "source", "query")
_CODES = {None: 0} | {str(r): i for i, r in enumerate(UrlReason, 1)}


class _Taken:
    """Which class has a URL; 64-bit hashes, so that a million URLs are a hundred megabytes, not a gigabyte."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.by_url: dict[int, int] = {}

    def add(self, url: str, label: str) -> None:
        if label not in self.labels:
            self.labels.append(label)
        self.by_url[_number(url)] = self.labels.index(label)

    def label(self, url: str) -> str | None:
        at = self.by_url.get(_number(url))
        return None if at is None else self.labels[at]


class Known:
    def __init__(self) -> None:
        self.ids: dict[int, int] = {}  # url id -> place in the file, and code of its reason
        self.places: set[Place] = set()  # (label, source, query) that answered before
        self.whole: set[Place] = set()  # ... and that were read to their end this time
        self.accepted: Counter[str] = Counter()
        self.taken = _Taken()
        self.named = bytearray()
        self.changed: dict[int, dict[str, Any]] = {}  # place -> row whose reason is another one now
        self.refused: set[int] = set()  # accepted before, not any more: ids
        self.fresh: set[int] = set()
        self.ws: Workspace

    @classmethod
    def of(cls, ws: Workspace) -> Known:
        known = cls()
        known.ws = ws
        if not ws.urls.exists():
            return known
        for r in manifests.each(ws.urls, UrlRow, _FACTS):
            known.ids[int(r["url_id"], 16)] = len(known.ids) * 16 + _CODES[r["reason"]]
            known.places.add((r["label"], r["source"], r["query"]))
            known.accepted[r["label"]] += r["status"] == ItemStatus.OK
        known.named = bytearray(len(known.ids))
        return known

    def count(self, label: str) -> int:
        """URLs of the class that were accepted before."""
        return self.accepted[label]

    def read_whole(self, label: str, source: str, query: str) -> None:
        """Nothing more comes from there: a rejected line that was not named is not in it any more."""
        self.whole.add((label, source, query))

    def accepted_id(self, label: str, source: str, query: str | None, url: str) -> tuple[int, bool]:
        """The id that a line has if it is taken, and whether it was taken before."""
        number = _id(label, source, query, url)
        return number, number in self.ids

    def name(self, row: Mapping[str, Any], accepted_id: int) -> dict[str, Any] | None:
        """Take note of a row that a source names. Returns it, with its id, if it is new."""
        number = accepted_id
        if row["reason"]:
            self.refused.add(accepted_id)
            number = _id(row["label"], row["source"], row["query"], row["url"], row["rank"])
        while number in self.fresh or (number in self.ids and self.named[self.ids[number] // 16]):
            number = (number + 1) % 2**64  # two lists of one name, say the same line at the same place
        full = {"url_id": f"{number:016x}", **row}
        if number not in self.ids:
            self.fresh.add(number)
            return full
        place, code = divmod(self.ids[number], 16)
        self.named[place] = 1
        if code != _CODES[row["reason"]]:
            self.changed[place] = full
        return None

    def combine(self, fresh: Path, config: RunConfig, out: Writer) -> dict[str, int]:
        """Write the known rows that still stand, in their places, then the fresh ones. Returns counts by outcome."""
        counts: Counter[str] = Counter(ok=0, rejected=0)
        place = 0
        for path in (self.ws.urls, fresh) if self.ws.urls.exists() else (fresh,):
            for batch in manifests.batches(path, "urls"):
                table = pa.Table.from_batches([batch])
                if path != fresh:
                    table = self._standing(table, place, config)
                    place += batch.num_rows
                out.add(table)
                counts.update(str(r) for r in table["reason"].to_pylist() if r)
                counts.update("ok" if s == ItemStatus.OK else "rejected" for s in table["status"].to_pylist())
        return dict(counts)

    def _standing(self, table: pa.Table, start: int, config: RunConfig) -> pa.Table:
        facts = table.select([*_FACTS, "license"]).to_pylist()
        stays, changed = [], {}
        for i, r in enumerate(facts):
            named = bool(self.named[start + i])
            if start + i in self.changed:
                changed[i] = self.changed[start + i] | {"discovered_at": table["discovered_at"][i].as_py()}
            elif not named and (outcome := _unlicensed(r, config)):
                changed[i] = table.slice(i, 1).to_pylist()[0] | outcome
            stays.append(r["label"] in ("", *config.labels) and self._stays(r, named=named))
        if not changed and all(stays):
            return table
        rows = [changed.get(i, row) for i, row in enumerate(table.to_pylist()) if stays[i]]
        return manifests.table_from_rows("urls", rows)

    def _stays(self, r: dict[str, Any], *, named: bool) -> bool:
        """What a source no longer names stays, for its picture may be in the data set; unless it is known better now."""
        if named:
            return True
        if r["status"] != ItemStatus.OK:
            return (r["label"], r["source"], r["query"]) not in self.whole
        return int(r["url_id"], 16) not in self.refused and self.taken.label(r["url"]) is None


def _unlicensed(r: dict[str, Any], config: RunConfig) -> dict[str, Any] | None:
    """What becomes of a row that stays, if the config asks for other licences by now."""
    from keepset.scrape.license import taken

    if r["status"] != ItemStatus.OK or r["source"] in LOCAL_SOURCES or taken(r["license"], config.scrape.licenses):
        return None
    detail = f"its licence: {r['license'] or 'not given'}"
    return {"status": "rejected", "reason": str(UrlReason.LICENSE), "detail": detail}


def line_id(row: Mapping[str, Any]) -> str:
    """The id of a line that is not taken, as it stands in ``urls.parquet``."""
    return f"{_id(row['label'], row['source'], row['query'], row['url'], row['rank']):016x}"


def _id(label: str, source: str, query: str | None, url: str, rank: int | None = None) -> int:
    """A rejected line is told apart by its place as well: two lines may say the same."""
    return _number(f"{label}\n{source}\n{query}\n{'' if rank is None else rank}\n{url}")


def _number(text: str) -> int:
    return int(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16], 16)
