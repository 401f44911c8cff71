"""Sides that a source gives: a tree with train and valid, or a table that says which picture is which."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import SourceError
from keepset.reasons import ItemStatus, Split
from keepset.workspace import Workspace

__all__ = ["given_sides"]

_WEIGHT = {Split.TRAIN: 0, Split.VALID: 1, Split.TEST: 2}


def given_sides(ws: Workspace, config: RunConfig) -> dict[str, Split] | None:
    """By sha256 the side of each picture that has a given one; None if no source gives any.

    A file that lies on two sides belongs to the one that measures: test before valid before train.
    """
    folders = [(Path(p).as_uri() + "/", Split.TEST) for p in config.split.test_folders]
    folders += [(Path(p).as_uri() + "/", Split.VALID) for p in config.split.valid_folders]
    tables = dict(_from_tables(config))
    if not (folders or tables):
        return None
    found: dict[str, Split] = {}
    for url, sha in _local(ws):
        side = next((s for prefix, s in folders if url.startswith(prefix)), tables.get(url))
        if side is not None and _WEIGHT[side] >= _WEIGHT[found.get(sha, Split.TRAIN)]:
            found[sha] = side
    return found


def _from_tables(config: RunConfig) -> Iterator[tuple[str, Split]]:
    from keepset.scrape.tables import read_rows

    for path in sorted({t for c in config.classes for t in c.tables}):
        root = Path(path).resolve().parent
        try:
            for row, side in read_rows(Path(path)):
                if side is not None:
                    yield (root / row["name"]).resolve().as_uri(), side
        except SourceError:  # it was read when its pictures came in; what has a side keeps it
            continue


def _local(ws: Workspace) -> Iterator[tuple[str, str]]:
    columns = ("url", "status", "sha256")
    for r in manifests.each(ws.downloads, "downloads", columns):
        if r["status"] == ItemStatus.OK and r["url"].startswith("file:"):
            yield r["url"], r["sha256"]
