"""Pictures inside the report: small, re-encoded, and never more of them than a mail can carry."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from keepset.workspace import Workspace

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Thumbs", "data_uri"]

SIDE, LARGE, QUALITY = 160, 560, 72
BUDGET, FOR_LARGE = 2_400_000, 1_500_000
"""Bytes of pictures a report may hold as text, and of those that open large; the page around them takes some 150 kB, and
3 MB is the limit."""
BROKEN = (OSError, ValueError, SyntaxError)
"""What decoders say of broken files."""


class Thumbs:
    """Pictures as data: URIs, each made once, re-encoded: never the downloaded bytes.

    ``missing`` counts those that could not be read and ``left_out`` those for which no room was left; the page says so.
    ``drawn`` holds pictures made elsewhere, by name. ``large`` are those that open large, in their order.
    """

    def __init__(self, ws: Workspace, drawn: Mapping[str, str] | None = None) -> None:
        self.ws = ws
        self.made: dict[str, str] = dict(drawn or {})
        self.bytes = sum(map(len, self.made.values()))
        self.missing: set[str] = set()
        self.left_out: set[str] = set()
        self.large: dict[str, str] = {}

    def enlarge(self, shas: Iterable[str]) -> None:
        """Make the large version of each picture whose file and thumbnail are there, the first ones first, while there is room."""
        for sha in dict.fromkeys(shas):
            if sum(map(len, self.large.values())) > FOR_LARGE or self.bytes > BUDGET:
                return
            if self.uri(sha) and (uri := self._enlarged(sha)):
                self.large[sha] = uri
                self.bytes += len(uri)

    def _enlarged(self, sha: str) -> str:
        from keepset.images.pixels import decode

        try:
            return data_uri(decode(self.ws.blob(sha).read_bytes(), shortest=LARGE), LARGE)
        except BROKEN:
            return ""

    def uri(self, sha: str) -> str:
        """Empty if there is no such picture, or no room for it."""
        if sha not in self.made:
            self.made[sha] = self._make(sha)
            self.bytes += len(self.made[sha])
        return self.made[sha]

    def why_not(self, sha: str) -> str:
        return "left out: the file would grow too large" if sha in self.left_out else "picture not readable"

    def _make(self, sha: str) -> str:
        from PIL import Image

        if self.bytes > BUDGET:
            self.left_out.add(sha)
            return ""
        try:
            with Image.open(self.ws.thumb(sha)) as image:
                return data_uri(image.convert("RGB"))
        except (*BROKEN, Image.DecompressionBombError):
            self.missing.add(sha)
            return ""


def data_uri(image: Image.Image, side: int = SIDE) -> str:
    """``image``, reduced in place to ``side`` px at most, as WebP in a data: URI."""
    out = io.BytesIO()
    image.thumbnail((side, side))
    image.save(out, "WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
