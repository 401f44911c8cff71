"""Image formats by content: never by a file's name, nor by what a server calls it."""

from __future__ import annotations

import re

__all__ = ["foreign", "sniff"]

_HEIF = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
_FOREIGN = (
    (b"II*\0", "TIFF (or a camera's raw file)"), (b"MM\0*", "TIFF (or a camera's raw file)"),
    (b"II+\0", "BigTIFF"), (b"MM\0+", "BigTIFF"),
    (b"\xff\x0a", "JPEG XL"), (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"), (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "Photoshop (PSD)"), (b"%PDF-", "PDF"), (b"\0\0\1\0", "an icon (ICO)"), (b"qoif", "QOI"),
    (b"IIRO", "a camera's raw file"), (b"FUJIFILMCCD-RAW", "a camera's raw file"), (b"\x1aE\xdf\xa3", "a film (WebM)"),
)  # fmt: skip
_SVG = re.compile(rb"\s*(?:<\?xml[^>]*>|<!--.*?-->|<!DOCTYPE svg[^>]*>|\s)*<(?:\w+:)?svg[\s>]", re.DOTALL)


def sniff(head: bytes) -> str | None:
    """The image format by its first bytes (64 are enough), or None for what Keepset does not decode."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM"):
        return "bmp"
    if _brands(head) & {b"avif", b"avis"}:
        return "avif"
    return None


def foreign(head: bytes) -> str | None:
    """What it is called, if it is a picture (or a film, or a document) of a format that Keepset does not decode."""
    if brands := _brands(head):
        return "HEIC" if brands & _HEIF else "a film (MP4 or QuickTime)"
    if _SVG.match(head.removeprefix(b"\xef\xbb\xbf")):
        return "SVG"
    return next((name for start, name in _FOREIGN if head.startswith(start)), None)


def _brands(head: bytes) -> set[bytes]:
    """The brands of an ISO media file, the major one and those it is compatible with (ISO 14496-12, 4.3)."""
    if head[4:8] != b"ftyp":
        return set()
    size = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[i : i + 4] for i in range(16, size - 3, 4))}
