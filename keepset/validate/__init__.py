"""The stage ``validate``: from blobs to ``images.parquet``, thumbnails and duplicate groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keepset.validate.stage import Shard, is_current, merge, plan, run_shard, validate

__all__ = ["Shard", "is_current", "merge", "plan", "run_shard", "validate"]


def __getattr__(name: str) -> Any:
    """The stage on first use: a worker process imports this package too, and needs a third of the memory without."""
    if name in __all__:
        from keepset.validate import stage

        return getattr(stage, name)
    raise AttributeError(f"module 'keepset.validate' has no attribute {name!r}")
