"""The report in a few lines of Markdown: what Prefect's UI shows of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["as_markdown"]

_SPECIAL = re.compile(r"([\\`*_\[\]#|!~<>&])")


def as_markdown(facts: Mapping[str, Any], link: str) -> str:
    """Verdict, what to do next, and each part of the report in a sentence; ``link`` is Markdown."""
    step = facts["next"]
    parts = [
        f"### {_plain(facts['verdict'])}",
        f"**Next: {_plain(step['title'])}.** {_plain(step['words'])} `{step['command']}`",
    ]
    if facts["before_after"]:
        parts.append(f"**Before and after.** {_plain(facts['before_after']['message'])}")
    elsewhere = facts["elsewhere"]
    parts.append(
        f"**On other sites.** {_plain(elsewhere['unseen']['words'])} {_plain(elsewhere['shortcuts']['words'])}"
    )
    if facts["gain"]:
        parts.append(f"**More data, or cleaner data?** {_plain(facts['gain']['words'])}")
    return "\n\n".join([*parts, link])


def _plain(words: str) -> str:
    """Class names are other people's text: no markup comes out of them."""
    return _SPECIAL.sub(r"\\\1", " ".join(words.split()))
