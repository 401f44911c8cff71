"""What can be known of a file before a pixel is decoded: format by content, size, frames, JPEG scans."""

from __future__ import annotations

from keepset.download.fetch import sniff

__all__ = ["count_scans", "format_of"]

format_of = sniff


def count_scans(data: bytes) -> int:
    """Scans of a JPEG (ITU-T T.81, B.1): its segments are walked, so bytes inside a comment count for nothing."""
    scans, at = 0, 2
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 3:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker == 0x00 or 0xD0 <= marker <= 0xD8:  # stuffed data, a restart, or a start without length
            at += 2
        elif marker == 0xD9:
            break
        else:
            scans += marker == 0xDA
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return scans
