"""Licences: many spellings, one code; and which codes the config takes."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["code", "taken"]

_URL = re.compile(r"creativecommons\.org/(licenses|publicdomain)/([a-z-]+)/?(\d\.\d)?")
_NAME = re.compile(r"(?:cc[ _-])?(by(?:[ _-](?:nc|nd|sa))*)(?:[ _-]v?(\d\.\d))?")
_FREE = {"zero": "cc0", "mark": "pdm", "public domain": "pdm", "pdm": "pdm", "cc0": "cc0"}


def code(text: object, version: object = None) -> str | None:
    """``CC BY-SA 4.0``, ``by-sa`` with its version, or a licence's URL to ``cc-by-sa-4.0``.

    What is no Creative Commons licence stays as it is, in lower case; nothing is None.
    """
    plain = text.strip().lower() if isinstance(text, str) else ""
    number = version if isinstance(version, str) else None
    if not plain:
        return None
    if found := _URL.search(plain):
        name, number = found[2], found[3] or number
        return _FREE[name] if name in _FREE else "-".join(filter(None, ("cc", name, number)))
    if plain in _FREE or plain.startswith("cc0") or plain.startswith("cc zero"):
        return _FREE.get(plain, "cc0")
    if found := _NAME.fullmatch(plain):
        name = re.sub(r"[ _]", "-", found[1])
        return "-".join(filter(None, ("cc", name, found[2] or number)))
    return plain


def taken(license_code: str | None, wanted: Sequence[str]) -> bool:
    """True if the config takes it: no wish takes all; ``cc-by`` takes each of its versions, not ``cc-by-nc``."""
    if not wanted:
        return True
    found = code(license_code)
    if found is None:
        return False
    return not {found, re.sub(r"-\d\.\d$", "", found)}.isdisjoint(code(w) for w in wanted)
