"""Sources that are files of this machine: their rows have the file's address as URL, and ``download`` copies them in."""

from __future__ import annotations

__all__ = ["LOCAL"]

LOCAL = frozenset({"folder", "table", "inbox"})
