"""File names that every file system takes: labels as folders, pictures by their content address."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable

__all__ = ["EXTENSIONS", "folder_names", "picture_name"]

EXTENSIONS = {"jpeg": "jpg", "png": "png", "gif": "gif", "webp": "webp", "bmp": "bmp", "avif": "avif"}
_FORBIDDEN = set('/\\<>:"|?*%')
_DEVICES = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(1, 10))}
_LONGEST = 200  # bytes; most file systems take 255


def picture_name(sha256: str, kind: str) -> str:
    """``<sha256>.jpg``, by content. Raises ``KeyError`` for a format that Keepset does not take."""
    return f"{sha256}.{EXTENSIONS[kind]}"


def folder_names(labels: Iterable[str]) -> dict[str, str]:
    """Label -> folder. What some file system or tool would stumble over is percent-encoded as in URLs (RFC 3986).

    A leading dot would hide the folder; Windows takes no trailing dot or space, and no CON. Labels that differ only
    in case, or only beyond the length that is kept, get a suffix of their hash.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for label in sorted(labels):
        name = _safe(label)
        if name.casefold() in taken:
            name = f"{_cut(name, _LONGEST - 9)}-{_hash(label)}"
        taken.add(name.casefold())
        found[label] = name
    return found


def _safe(label: str) -> str:
    text = unicodedata.normalize("NFC", label)
    last = len(text) - 1
    name = "".join(
        _encoded(c)
        if c in _FORBIDDEN or not c.isprintable() or (c == "." and i in (0, last)) or (c == " " and i == last)
        else c
        for i, c in enumerate(text)
    )
    if name.partition(".")[0].casefold() in _DEVICES:
        name = _encoded(name[0]) + name[1:]
    if len(name.encode()) > _LONGEST:
        name = f"{_cut(name, _LONGEST - 9)}-{_hash(label)}"
    return name or "%00"


def _encoded(char: str) -> str:
    return "".join(f"%{b:02X}" for b in char.encode("utf-8", "surrogatepass"))


def _cut(name: str, most: int) -> str:
    return name.encode()[:most].decode("utf-8", "ignore")


def _hash(label: str) -> str:
    return hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:8]
