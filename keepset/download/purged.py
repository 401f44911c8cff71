"""What a URL's row becomes whose picture a person had deleted for good."""

from __future__ import annotations

from typing import Any

from keepset.reasons import DownloadReason, ItemStatus

__all__ = ["PURGED"]

PURGED: dict[str, Any] = {
    "status": str(ItemStatus.SKIPPED), "reason": str(DownloadReason.PURGED), "detail": "deleted for good by `keepset purge` or `remove`",
    "sha256": None, "bytes": None, "format": None,
}  # fmt: skip
