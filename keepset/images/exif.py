"""The one number of EXIF that matters for pixels: how the picture is to be turned. Nothing else is read, none is written.

Pillow's own ``exif_transpose`` parses and writes all of EXIF again, which fails on a third of the odd values that cameras
and editors leave there.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any

from PIL import Image

__all__ = ["turn_of"]

_ORIENTATION = 0x0112
_KINDS = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT and LONG: programs write all three
_IN_XMP = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\b")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


def turn_of(info: Mapping[Any, Any]) -> tuple[Image.Transpose | None, bool]:
    """What makes the picture upright, and whether its EXIF could be read: a damaged one turns nothing.

    ``info`` is a Pillow image's, once it is loaded (a PNG may have its EXIF at the end). Without an orientation in EXIF
    the one of XMP counts.
    """
    try:
        number = _orientation(_exif(info))
    except (struct.error, ValueError):
        return None, False
    if number is None and isinstance(xmp := info.get("xmp"), bytes) and (found := _IN_XMP.search(xmp)):
        number = int(found[1])
    return _TURNS.get(number or 1), True


def _exif(info: Mapping[Any, Any]) -> bytes:
    exif = info.get("exif")
    if exif is None and (text := info.get("Raw profile type exif")):  # how ImageMagick puts it into a PNG
        exif = bytes.fromhex("".join(str(text).split("\n")[3:]))
    return exif if isinstance(exif, bytes) else b""


def _orientation(exif: bytes) -> int | None:
    """Exif 2.32, section 4.6.2: the first directory is a list of tag, type, count and value."""
    while exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    if not exif:
        return None
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        raise ValueError("no TIFF header")
    (at,) = struct.unpack_from(f"{order}I", exif, 4)
    (count,) = struct.unpack_from(f"{order}H", exif, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, n = struct.unpack_from(f"{order}HHI", exif, entry)
        if tag == _ORIENTATION:
            value = _KINDS.get(kind) if n == 1 else None
            return struct.unpack_from(f"{order}{value}", exif, entry + 8)[0] if value else None
    return None
