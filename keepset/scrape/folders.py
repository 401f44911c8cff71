"""Local folders of pictures: each file becomes a row whose URL is its path; the download stage copies it in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from keepset.scrape.found import Found

__all__ = ["read_folder"]


def read_folder(path: str) -> Iterator[Found]:
    """Every regular file below the folder, in name order; hidden files are left out."""
    root = Path(path)
    files = (p for p in sorted(root.rglob("*")) if p.is_file() and not p.name.startswith("."))
    for rank, file in enumerate(files):
        yield Found(file.absolute().as_uri(), "folder", str(root), rank)
