"""A contact sheet: thumbnails in one small picture, for Prefect's UI."""

from __future__ import annotations

import io
from collections.abc import Sequence

from keepset.workspace import Workspace

__all__ = ["contact_sheet"]

CELL, COLUMNS = 96, 8


def contact_sheet(ws: Workspace, shas: Sequence[str]) -> bytes:
    """WebP bytes, 768 px wide; images whose thumbnail is missing stay grey. At most 96 are drawn."""
    from PIL import Image, ImageOps

    shown = list(shas)[:96]
    rows = max(1, -(-len(shown) // COLUMNS))
    sheet = Image.new("RGB", (CELL * COLUMNS, CELL * rows), (128, 128, 128))
    for i, sha in enumerate(shown):
        if (path := ws.thumb(sha)).exists():
            with Image.open(path) as thumb:
                cell = ImageOps.fit(thumb.convert("RGB"), (CELL - 4, CELL - 4))
            sheet.paste(cell, ((i % COLUMNS) * CELL + 2, (i // COLUMNS) * CELL + 2))
    out = io.BytesIO()
    sheet.save(out, "WEBP", quality=70)
    return out.getvalue()
