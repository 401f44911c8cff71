"""What cleaning bought: the error over revisions, and what went out, in, or to another class."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from keepset.history.health import error_curve
from keepset.history.timeline import timeline, with_pictures
from keepset.models import ModelRecord, list_models
from keepset.text import many
from keepset.workspace import Workspace

__all__ = ["what_cleaning_bought"]

SHOWN = 12
"""Pictures of each decision."""
DECISIONS = 6
"""The newest ones."""


def what_cleaning_bought(ws: Workspace, record: ModelRecord) -> dict[str, Any] | None:
    """Up to the model's own revision; None if nobody has changed anything by then.

    ``words``: in a sentence. ``points``: by revision the mistakes ``wrong`` of ``n`` held-out pictures, and ``then`` the share when it was trained.
    ``changes``: what people did, the oldest first.
    """
    revision = record.dataset_revision
    events = [e for e in timeline(ws) if e.changed and not e.quiet and 1 < e.revision <= revision]
    if not events:
        return None
    points = [asdict(p) | {"rate": p.rate} for p in error_curve(ws, revision)]
    changes = [
        {
            "revision": e.revision, "at": e.at[:10], "who": e.who, "words": e.words, "changed": e.changed,
            "pictures": [{"sha256": p.sha256, "name": p.name, "before": p.before, "after": p.after} for p in e.pictures],
        }
        for e in with_pictures(ws, events[:DECISIONS][::-1], SHOWN)
    ]  # fmt: skip
    words = _bought(ws, record, sum(e.changed for e in events))
    return {"words": words, "points": points, "changes": changes}


def _bought(ws: Workspace, record: ModelRecord, changed: int) -> str:
    """From the first model, as it was measured then, to this one."""
    first = list_models(ws)[0]
    measured = [m.metrics.get("valid", {}) for m in (first, record)]
    was, now = (f"{v['n'] - v['errors']} of {v['n']}" if v.get("n") else "none" for v in measured)
    return f"{many(changed, 'picture')} corrected: right on {was} held-out pictures at revision {first.dataset_revision}, on {now} now."
