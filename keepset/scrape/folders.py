"""Local folders of pictures: each file becomes a row whose URL is its path; the download stage copies it in."""

from __future__ import annotations

from collections.abc import Iterator

from keepset.reasons import UrlReason
from keepset.scrape.found import Found
from keepset.storage.localfiles import file_url, path_of, walk

__all__ = ["read_folder"]


def read_folder(path: str) -> Iterator[Found]:
    """Every visible file below the folder, in name order, as ``keepset.storage.localfiles.walk`` finds it."""
    for rank, entry in enumerate(walk(path_of(path))):
        reason = UrlReason.UNREADABLE if entry.problem else None
        yield Found(file_url(entry.path), "folder", path, rank, reason=reason, detail=entry.problem)
