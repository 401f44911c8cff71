"""A contact sheet: thumbnails with their ids in one small picture, for Prefect's UI."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keepset.workspace import Workspace

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["contact_sheet"]

CELL, COLUMNS, MOST = 128, 6, 96
LINE = 16
_GROUND, _GAP, _INK = (29, 32, 38), (62, 68, 80), (232, 230, 225)


def contact_sheet(ws: Workspace, shas: Sequence[str]) -> bytes:
    """WebP bytes, 768 px wide, on dark ground; at most 96 images are drawn, each above the beginning of its sha256.

    An image whose thumbnail is missing or broken is a crossed-out cell.
    """
    from PIL import Image, ImageDraw, ImageFont

    shown = list(shas)[:MOST]
    height = CELL + LINE
    rows = max(1, -(-len(shown) // COLUMNS))
    sheet = Image.new("RGB", (CELL * COLUMNS, height * rows), _GROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for i, sha in enumerate(shown):
        x, y = (i % COLUMNS) * CELL, (i // COLUMNS) * height
        cell = _cell(ws, sha)
        if cell is None:
            pen.line((x + 4, y + 4, x + CELL - 5, y + CELL - 5), _GAP, 2)
            pen.line((x + 4, y + CELL - 5, x + CELL - 5, y + 4), _GAP, 2)
        else:
            sheet.paste(cell, (x + 2, y + 2))
        pen.text((x + 4, y + CELL), sha[:12], _INK, font)
    out = io.BytesIO()
    sheet.save(out, "WEBP", quality=70)
    return out.getvalue()


def _cell(ws: Workspace, sha: str) -> Image.Image | None:
    from PIL import Image, ImageOps

    try:
        with Image.open(ws.thumb(sha)) as thumb:
            return ImageOps.fit(thumb.convert("RGB"), (CELL - 4, CELL - 4))
    except (OSError, ValueError, SyntaxError):  # what Pillow says of broken files
        return None
