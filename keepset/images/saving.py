"""How a file was saved, as its header says it: the quality of a JPEG, and the year of its dates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["exif_year", "jpeg_quality"]

_STANDARD = 3688
"""Sum of the luminance table of ITU-T T.81, K.1, from which libjpeg scales its own."""
_DATE = re.compile(rb"((?:19|20)\d\d)[:-](?:0\d|1[0-2])[:-][0-3]\d")


def jpeg_quality(tables: Mapping[int, Any]) -> int | None:
    """The quality (1 to 100) at which libjpeg would quantise as coarsely as the first of these tables; None without any.

    libjpeg scales the standard table by 5000 / q percent for q < 50, and by 200 - 2 q from there on (jcparam.c).
    """
    if not tables:
        return None
    scale: float = 100 * sum(tables[min(tables)]) / _STANDARD
    quality = (200 - scale) / 2 if scale <= 100 else 5000 / scale
    return round(min(100, max(1, quality)))


def exif_year(exif: bytes | None) -> int | None:
    """The earliest year among the dates in a block of EXIF, which are texts such as 2019:05:31 (JEITA CP-3451)."""
    years = [int(y) for y in _DATE.findall(exif or b"")]
    return min(years, default=None)
