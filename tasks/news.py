"""Events that people may want to be told of (``deployments/automations.py``): folders, ids, numbers and links only."""

from __future__ import annotations

from pathlib import PurePath

from prefect.events import emit_event

from keepset.orchestrator.neighbours import gallery_of
from keepset.workspace import Workspace

__all__ = ["PROMOTED", "WAITS", "tell_news"]

WAITS = "keepset.batch.waits"
PROMOTED = "keepset.model.promoted"


def tell_news(event: str, ws: Workspace, thing: str, words: str, path: str) -> None:
    """Emit ``event`` about ``thing``, an id. ``path``: the page of the gallery that shows it."""
    folder = "/".join(PurePath(str(ws.root)).parts[-2:]).lstrip("/")
    emit_event(
        event,
        resource={
            "prefect.resource.id": f"keepset.{ws.id}.{thing}",
            "prefect.resource.name": folder,
            "keepset.words": words,
            "keepset.link": f"{url}{path}" if (url := gallery_of(ws)) else f"keepset web -w {ws.root}",
        },
    )
