"""Workspaces on object stores (S3, Google Cloud Storage, Azure): see ``docs/storage.md``.

``locate`` is the door: it makes a path of what a person names as --workspace. A folder gives an ordinary path, and
nothing here is touched again.
"""

from __future__ import annotations

from pathlib import Path

from keepset.storage.copies import scratch_of
from keepset.storage.paths import StoredPath, locate

__all__ = ["StoredPath", "locate", "scratch"]


def scratch(root: Path) -> Path:
    """A local folder of this machine for the workspace at ``root``: for what may be deleted, and for what is not the
    data set's (logs, the login of a stack). On disk it is ``root`` itself."""
    return scratch_of(root) if isinstance(root, StoredPath) else root
