"""What can be known of a file before a pixel is decoded: format by content, size, frames, JPEG scans."""

from __future__ import annotations

import re

from keepset.download.fetch import sniff

__all__ = ["count_scans", "format_of"]

format_of = sniff

_SOS = re.compile(rb"\xff\xda")


def count_scans(data: bytes) -> int:
    """Start-of-scan markers of a JPEG. In entropy-coded data 0xFF is always stuffed, so none is counted there."""
    return len(_SOS.findall(data))
