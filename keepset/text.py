"""Text that others wrote: bytes to characters, characters that a file, a terminal or a spreadsheet takes, and class names."""

from __future__ import annotations

import codecs
import re
import unicodedata
from urllib.parse import unquote, urlsplit

__all__ = [
    "NOT_UTF8",
    "certainty",
    "decoded",
    "file_name",
    "label_of",
    "many",
    "no_formula",
    "one_line",
    "plain_cell",
    "share",
    "span",
    "with_formula",
    "without_surrogates",
]

NOT_UTF8 = "keepset-windows-1252"
"""Error handler for ``open`` and ``decode``: bytes that are not UTF-8 are read as Windows-1252, one by one."""

_LONE = re.compile("[\ud800-\udfff]")
_NOT_ESCAPED = re.compile("[\ud800-\udc7f\udd00-\udfff]")


_FORMULA = tuple("=+-@＝＋－＠")
"""What a spreadsheet would run (https://owasp.org/www-community/attacks/CSV_Injection)."""


def _windows_1252(e: UnicodeError) -> tuple[str, int]:
    if not isinstance(e, UnicodeDecodeError):
        raise e
    wrong = e.object[e.start : e.end]
    return "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in wrong), e.end


codecs.register_error(NOT_UTF8, _windows_1252)


def decoded(data: bytes) -> str:
    """UTF-8, and Windows-1252 for the bytes that are not."""
    return data.decode("utf-8", NOT_UTF8)


def without_surrogates(text: str) -> str:
    """The text as UTF-8 can hold it: undecodable bytes of a file name as Windows-1252, other halves as U+FFFD."""
    if _LONE.search(text) is None:
        return text
    return decoded(_NOT_ESCAPED.sub("\ufffd", text).encode("utf-8", "surrogateescape"))


def one_line(text: str) -> str:
    """The text without control characters and lone surrogates, each run of white space as one space."""
    return " ".join("".join(c for c in without_surrogates(text) if c.isspace() or c >= " ").split())


def label_of(text: str) -> str:
    """A class name as Keepset compares it: composed (NFC), single spaces, nothing invisible. "" if nothing is left.

    Zero-width joiners stay: scripts such as Persian need them.
    """
    plain = unicodedata.normalize("NFC", without_surrogates(text))
    kept = (c for c in plain if c.isspace() or c.isprintable() or c in "\u200c\u200d")
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()))


def many(n: int, noun: str) -> str:
    """``1 line``, ``2 lines``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def share(v: float, digits: int = 1) -> str:
    """``3.8 %`` of 0.038; whole numbers without a decimal."""
    return f"{100 * v:.{digits}f}".removesuffix(".0") + " %"


def span(low: float, high: float, digits: int = 0) -> str:
    """``4–12 %`` of 0.04 and 0.12."""
    return f"{share(low, digits).removesuffix(' %')}–{share(high, digits)}"


def certainty(p: float) -> str:
    """A probability in whole per cents; nothing is 100 % sure. The pages' script says it alike: web/static/predict/cards.js."""
    return "over 99 %" if p > 0.995 else "under 1 %" if 0 < p < 0.005 else share(p, 0)


def file_name(url: str | None) -> str:
    """A picture's file with its folder, such as ``black/00000047.jpg``; "" for what is no address of a file."""
    if not url or urlsplit(url).scheme not in ("http", "https", "file"):
        return ""
    parts = [p for p in unquote(urlsplit(url).path).split("/") if p]
    return "/".join(p[-60:] for p in parts[-2:])


def plain_cell(text: str) -> str:
    """One line, which no spreadsheet takes for a formula."""
    return no_formula(" ".join(text.split()))


def no_formula(text: str) -> str:
    """The text, behind an apostrophe if a spreadsheet would run it."""
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def with_formula(text: str) -> str:
    """What ``no_formula`` made of a text, as it was."""
    return text[1:] if text.startswith("'") and text[1:].lstrip().startswith(_FORMULA) else text
