"""The pictures of a site: small copies of the training pictures it may show, and a few held-out ones to try."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keepset.card.attribution import rows
from keepset.card.counting import revision_of
from keepset.images.pixels import decode
from keepset.models import ModelRecord
from keepset.predict.samples import sample_pictures, spread
from keepset.scrape.license import code
from keepset.workspace import Workspace

__all__ = ["SitePictures", "credits_of", "site_pictures"]

SMALL = 160
"""Longest side of a training picture, px."""
SAMPLE = 640
_FREE = re.compile(r"cc0|pdm|cc-by(-sa)?(-\d\.\d)?")
"""Licences under which a small copy may be published by anybody: not those that forbid commercial use or changes."""


@dataclass
class SitePictures:
    """``pack``: the small copies one after the other; ``known``: per training image of the model what is said of its copy,
    or None where there is none; ``samples``: JPEG files; ``credits``: rows of attribution for all of these."""

    pack: bytearray = field(default_factory=bytearray)
    known: list[dict[str, Any] | None] = field(default_factory=list)
    samples: list[bytes] = field(default_factory=list)
    credits: list[dict[str, str]] = field(default_factory=list)


def credits_of(ws: Workspace, *, every: bool) -> dict[str, dict[str, str]]:
    """By sha256 the attribution of each picture in use that a site may show; ``every``: of all."""
    found = rows(ws, revision_of(ws, None))
    return {r["sha256"]: r for r in found if every or _FREE.fullmatch(code(r["license"]) or "")}


def site_pictures(
    ws: Workspace, record: ModelRecord, reference: Sequence[str], credit: Mapping[str, dict[str, str]], room: int
) -> SitePictures:
    """Small copies of the ``reference`` within ``room`` bytes, the classes in turn, and the samples beside them."""
    out = SitePictures(known=[None] * len(reference))
    chosen = sample_pictures(ws, record, allowed=credit.__contains__)
    out.samples = [_file(ws.blob(sha).read_bytes(), SAMPLE, "JPEG", 85) for sha in chosen]
    out.credits = [credit[sha] for sha in chosen]
    at = {sha: i for i, sha in enumerate(reference)}
    for sha, small in _copies(ws, spread([(s, credit[s]["label"]) for s in reference if s in credit])):
        if len(out.pack) + len(small) > room:
            break
        row, start = credit[sha], len(out.pack)
        out.pack += small
        out.known[at[sha]] = {
            "from": start, "to": len(out.pack), "label": row["label"], "creator": row["creator"],
            "license": row["license"], "link": row["landing_page"],
        }  # fmt: skip
        out.credits.append(row)
    return out


def _copies(ws: Workspace, shas: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    return ((sha, _file(ws.thumb(sha).read_bytes(), SMALL, "WEBP", 75)) for sha in shas)


def _file(data: bytes, side: int, kind: str, quality: int) -> bytes:
    """Drawn anew: nothing of the given file but its pixels is published."""
    image, out = decode(data, shortest=side), io.BytesIO()
    image.thumbnail((side, side), reducing_gap=2.0)
    image.save(out, kind, quality=quality)
    return out.getvalue()
