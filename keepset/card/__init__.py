"""The data set card: what is in a revision, where it came from, whom to credit, and what was left out and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepset.card.counting import facts, revision_of
from keepset.models.reported import on_other_sites
from keepset.workspace import Workspace

__all__ = ["Card", "facts", "write_card"]


@dataclass(frozen=True)
class Card:
    """A card that was written: its facts, the Markdown, and the table of whom to credit."""

    facts: dict[str, Any]
    page: Path
    attribution: Path


def write_card(ws: Workspace, folder: Path, *, revision: int | None = None) -> Card:
    """Write ``README.md`` (Markdown with front matter) and ``attribution.csv`` into ``folder``.

    ``revision``: default the current one. Both are replaced whole. Raises ``ManifestMissing`` for a revision that is
    not there, ``WorkspaceNotWritable`` if the disk refuses.
    """
    from keepset.card import attribution
    from keepset.card.page import page
    from keepset.files import write_bytes

    data = revision_of(ws, revision)
    number = int(data.header.extra["revision"])
    found = facts(ws, number) | {"elsewhere": on_other_sites(ws, revision=number)}
    written = Card(found, folder / "README.md", folder / "attribution.csv")
    attribution.write(written.attribution, attribution.rows(ws, data))
    write_bytes(written.page, page(found).encode())
    return written
