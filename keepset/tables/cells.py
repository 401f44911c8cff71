"""What a single cell says."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

from keepset.text import without_surrogates

__all__ = ["address_in", "cell_text", "clean_address", "is_web_address"]

_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"))
_OPENING = frozenset("\"'<[({“‘«`")
_CLOSING = {'"': "\0", "'": "\0", "`": "\0", "”": "“", "’": "‘", "»": "«", ">": "<", "]": "[", ")": "(", "}": "{"}
_ADDRESS = re.compile(r"https?://[^\s\"'<>()\[\]]+", re.I)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
_AMPERSAND = re.compile(r"&(?:amp|#0*38|#x0*26);", re.I)


def cell_text(value: Any) -> str:
    """A cell as text: nothing and NaN are "", whole floats have no fraction, a list of one is its member."""
    if isinstance(value, str):
        return without_surrogates(value).strip()
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    if isinstance(value, list | tuple) and len(value) == 1:
        return cell_text(value[0])
    if isinstance(value, list | tuple | dict):
        return without_surrogates(json.dumps(value, ensure_ascii=False, default=str))
    return value.isoformat() if isinstance(value, date) else str(value)


def clean_address(text: str) -> str:
    """A web address without what editors, chats and web pages put around it: quotes, brackets, commas, ``&amp;``."""
    plain = (text if text.isascii() else text.translate(_INVISIBLE)).strip()
    while True:
        before = plain
        plain = plain.rstrip(",;").strip()
        if "://" in plain and plain[0] in _OPENING:
            plain = plain[1:].strip()
        elif "://" in plain and plain[-1] in _CLOSING and plain.count(plain[-1]) > plain.count(_CLOSING[plain[-1]]):
            plain = plain[:-1].strip()
        if plain == before:
            return _AMPERSAND.sub("&", plain)


def address_in(text: str) -> str:
    """The address of a line; of one that has other words too (a bullet, Markdown, an ``<img>``), the only one in it."""
    plain = clean_address(text)
    if _SCHEME.match(plain):
        return plain
    found = _ADDRESS.findall(plain)
    return clean_address(found[0]) if len(found) == 1 else plain


def is_web_address(text: str) -> bool:
    """Whether a cell is meant as an address on the web."""
    plain = clean_address(text[:4000])
    return plain[:8].lower().startswith(("http://", "https://")) and len(plain.split(None, 1)) == 1
