"""What a model's report says of it elsewhere, for those who show one line of it."""

from __future__ import annotations

from keepset.errors import KeepsetError
from keepset.files import read_json
from keepset.models import list_models
from keepset.workspace import Workspace

__all__ = ["on_other_sites"]


def on_other_sites(ws: Workspace, model_id: str | None = None, *, revision: int | None = None) -> list[str]:
    """Two sentences: on sites that the model has not seen, and whether its classes can be told without looking.

    Of one model, or of the newest that learned from ``revision``; [] if there is none, or no report of it.
    """
    if revision is not None:
        model_id = next((m.id for m in reversed(list_models(ws)) if m.dataset_revision == revision), None)
    try:
        found = read_json(ws.reports / str(model_id) / "report.json")["elsewhere"]
        return [str(found["unseen"]["words"]), str(found["shortcuts"]["words"])]
    except (KeepsetError, FileNotFoundError, KeyError, TypeError):  # none yet, or written by an earlier Keepset
        return []
