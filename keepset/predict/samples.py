"""A few held-out pictures to try a model with: as they come, not picked by what the model says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, zip_longest

from keepset import manifests
from keepset.models import ModelRecord
from keepset.reasons import Split
from keepset.workspace import Workspace

__all__ = ["sample_pictures", "spread"]


def sample_pictures(
    ws: Workspace, record: ModelRecord, most: int = 6, allowed: Callable[[str], bool] = lambda _: True
) -> list[str]:
    """sha256 of up to ``most`` pictures of the validation set that are still in use, of each class in turn."""
    active = {
        r["sha256"]
        for r in manifests.each(ws.dataset(ws.revisions()[-1]), "dataset", ("sha256", "active"))
        if r["active"]
    }
    rows = manifests.each(ws.models / record.id / "predictions.parquet", "predictions", ("sha256", "label", "split"))
    held_out = {r["sha256"]: r["label"] for r in rows if r["split"] == Split.VALID}
    return spread([(s, held_out[s]) for s in sorted(held_out) if s in active and allowed(s)])[:most]


def spread(labelled: Sequence[tuple[str, str]]) -> list[str]:
    """Names with their labels, reordered so that the classes take turns."""
    by_label: dict[str, list[str]] = {}
    for name, label in labelled:
        by_label.setdefault(label, []).append(name)
    turns = zip_longest(*(by_label[label] for label in sorted(by_label)))
    return [name for name in chain.from_iterable(turns) if name is not None]
