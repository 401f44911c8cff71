"""Other people's words in a CSV, which a spreadsheet must not run
(https://owasp.org/www-community/attacks/CSV_Injection).
"""

from __future__ import annotations

__all__ = ["no_formula", "plain_cell"]

_FORMULA = tuple("=+-@＝＋－＠")


def plain_cell(text: str) -> str:
    """One line, which no spreadsheet takes for a formula."""
    return no_formula(" ".join(text.split()))


def no_formula(text: str) -> str:
    """The text, behind an apostrophe if a spreadsheet would run it."""
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
