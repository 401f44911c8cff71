"""What can be known of a file before a pixel is decoded: where it ends, and how many scans a JPEG has."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["MAX_SCANS", "JpegWalk", "count_scans", "extra_bytes", "walk_jpeg"]

MAX_SCANS = 100
"""A progressive JPEG of more was made to be slow."""

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd8\xff]")
"""A marker that begins a segment or ends the file: no stuffed zero, restart, start or fill byte (T.81, B.1.1.2)."""


@dataclass(frozen=True)
class JpegWalk:
    """``scans`` in the first picture of the file, and ``end``: the place after its end marker (0: there is none)."""

    scans: int
    end: int


def walk_jpeg(data: bytes) -> JpegWalk:
    """Walk the segments of a JPEG (ITU-T T.81, B.1), so that bytes inside a comment count for nothing."""
    scans, at = 0, 2
    while found := _MARKER.search(data, at):
        at, marker = found.start(), data[found.end() - 1]
        if marker == 0xD9:
            return JpegWalk(scans, at + 2)
        scans += marker == 0xDA
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return JpegWalk(scans, 0)


def count_scans(data: bytes) -> int:
    """Scans of a JPEG: each costs the decoder a pass over the whole picture."""
    return walk_jpeg(data).scans


def extra_bytes(data: bytes, kind: str, jpeg_end: int = 0) -> int:
    """Bytes after the end of the picture that are not mere zero padding; 0 too where the format does not say."""
    end = {"jpeg": lambda _: jpeg_end, "png": _png_end, "webp": _webp_end, "bmp": _bmp_end}.get(kind)
    at = end(data) if end else 0
    return len(data) - at if 0 < at < len(data) and data[at:].strip(b"\0") else 0


def _png_end(data: bytes) -> int:
    at = 8
    while at + 12 <= len(data):
        kind = data[at + 4 : at + 8]
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if kind == b"IEND":
            return at
    return 0


def _webp_end(data: bytes) -> int:
    size = int.from_bytes(data[4:8], "little")
    return 8 + size + size % 2


def _bmp_end(data: bytes) -> int:
    return int.from_bytes(data[2:6], "little")
