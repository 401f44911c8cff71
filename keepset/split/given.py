"""Sides that a source gives: a tree with train and valid, or a table that says which picture is which."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import ConfigError
from keepset.manifests.rows import DownloadRow
from keepset.reasons import ItemStatus, Split
from keepset.storage.localfiles import path_of, shown
from keepset.workspace import Workspace

__all__ = ["given_sides"]

_WEIGHT = {Split.TRAIN: 0, Split.VALID: 1, Split.TEST: 2}


def given_sides(ws: Workspace, config: RunConfig) -> dict[str, Split] | None:
    """By sha256 the side of each picture that has a given one; None if no source gives any.

    A file that lies on two sides belongs to the one that measures: test before valid before train. Raises
    ``ConfigError`` for a folder of a side that no picture comes from, and ``SourceError`` for a table that cannot be read.
    """
    tables = dict(_from_tables(config))
    folders = _Folders(config)
    if not (folders.sides or tables):
        return None
    found: dict[str, Split] = {}
    for url, sha in _pictures(ws):
        side = folders.side(url) or tables.get(url)
        if sha and side is not None and _WEIGHT[side] >= _WEIGHT[found.get(sha, Split.TRAIN)]:
            found[sha] = side
    if folders.unseen:
        folder = sorted(folders.unseen)[0]
        raise ConfigError(
            f"[split] names the folder {shown(folder)}, but no picture of the data set comes from it.",
            "Add it to the `folders` of its class, raise [scrape] max_per_class if the class has more pictures than that, or "
            "take it out of [split].",
        )
    return found


class _Folders:
    """The folders that [split] names, by the path as given and by the folder that it leads to."""

    def __init__(self, config: RunConfig) -> None:
        named = [(p, Split.TEST) for p in config.split.test_folders]
        named += [(p, Split.VALID) for p in config.split.valid_folders]
        self.sides = [(p, path_of(p), path_of(p).resolve(), side) for p, side in named]
        self.unseen = {p for p, _ in named}
        self.real: Callable[[Path], Path] = functools.lru_cache(maxsize=4096)(Path.resolve)

    def side(self, url: str) -> Split | None:
        if not self.sides or not url.startswith("file:"):
            return None
        file = path_of(url)
        for name, folder, real, side in self.sides:
            if file.is_relative_to(folder) or self.real(file.parent).is_relative_to(real):
                self.unseen.discard(name)
                return side
        return None


def _from_tables(config: RunConfig) -> Iterator[tuple[str, Split]]:
    from keepset.scrape.tables import read_labelled

    found: dict[str, Split] = {}
    for path in sorted({t for c in config.classes for t in c.tables}):
        for row in read_labelled(path, lambda _: None):
            if row.side is not None and _WEIGHT[row.side] >= _WEIGHT[found.get(row.found.url, Split.TRAIN)]:
                found[row.found.url] = row.side
    yield from found.items()


def _pictures(ws: Workspace) -> Iterator[tuple[str, str | None]]:
    for r in manifests.each(ws.downloads, DownloadRow, ("url", "status", "sha256")):
        yield r["url"], r["sha256"] if r["status"] == ItemStatus.OK else None
