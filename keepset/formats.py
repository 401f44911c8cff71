"""Image formats by content: never by a file's name, nor by what a server calls it."""

from __future__ import annotations

__all__ = ["sniff"]


def sniff(head: bytes) -> str | None:
    """The image format by its first bytes, or None."""
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
    if head[4:12] in (b"ftypavif", b"ftypavis"):
        return "avif"
    return None
