"""Whom to credit for each picture: a table that opens in a spreadsheet, one row per active image."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from keepset.card.counting import active_rows
from keepset.card.public import shown_url, web_link
from keepset.files import atomic_path
from keepset.manifests import Manifest
from keepset.text import plain_cell
from keepset.workspace import Workspace

__all__ = ["COLUMNS", "rows", "write"]

COLUMNS = (
    "sha256", "label", "split", "title", "creator", "license", "license_url", "landing_page", "source", "source_url",
)  # fmt: skip
_PROVENANCE = ("sha256", "title", "creator", "license", "license_url", "landing_page", "source", "url")


def rows(ws: Workspace, data: Manifest) -> Iterator[dict[str, str]]:
    """A row an active image of the revision ``data``, in the order found; what a source did not give is empty.

    ``landing_page`` and ``license_url`` hold web addresses only. ``source_url`` has no password or signature, and of
    a local file it is the name.
    """
    active = data.table.filter(data.table["active"]).select(["sha256", "label", "split"])
    for piece in active_rows(ws, "images", _PROVENANCE, active["sha256"]):
        mine = active.take(pc.index_in(piece["sha256"], active["sha256"]))
        for given, found in zip(mine.to_pylist(), piece.to_pylist(), strict=True):
            yield {
                **given,
                **{k: found[k] or "" for k in ("title", "creator", "license", "source")},
                **{k: web_link(found[k]) or "" for k in ("license_url", "landing_page")},
                "source_url": shown_url(found["url"]),
            }


def write(path: Path, found: Iterator[Mapping[str, Any]]) -> int:
    """Write ``rows`` as CSV, whole or not at all; returns how many."""
    count = 0
    with atomic_path(path) as part, part.open("w", encoding="utf-8", newline="") as f:
        table = csv.DictWriter(f, COLUMNS, lineterminator="\n")
        table.writeheader()
        for row in found:
            table.writerow({k: plain_cell(str(v)) for k, v in row.items()})
            count += 1
    return count
