"""Other people's words in a CSV, which a spreadsheet must not run
(https://owasp.org/www-community/attacks/CSV_Injection).
"""

from __future__ import annotations

__all__ = ["no_formula", "plain_cell", "with_formula"]

_FORMULA = tuple("=+-@＝＋－＠")


def plain_cell(text: str) -> str:
    """One line, which no spreadsheet takes for a formula."""
    return no_formula(" ".join(text.split()))


def no_formula(text: str) -> str:
    """The text, behind an apostrophe if a spreadsheet would run it."""
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def with_formula(text: str) -> str:
    """What ``no_formula`` made of a text, as it was."""
    return text[1:] if text.startswith("'") and text[1:].lstrip().startswith(_FORMULA) else text
