"""The report in a few lines of Markdown: what Prefect's UI shows of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["as_markdown", "captions"]

_SPECIAL = re.compile(r"([\\`*_\[\]#|!~<>&])")


def as_markdown(facts: Mapping[str, Any], link: str) -> str:
    """Verdict, what to do next, figures with what they were measured on, and the five weakest classes; ``link`` is Markdown."""
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
    parts += [link, _figures(facts["metrics"])]
    weakest = [c for c in facts["per_class"] if c["f1"] is not None][:5]
    return "\n\n".join([*parts, *([_classes(weakest)] if weakest else [])])


def captions(images: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line an image, for a contact sheet (whose font has no arrows)."""
    return [f"{r['label']} > {r['predicted']} {r['probability']:.0%}" for r in images]


def _figures(metrics: Mapping[str, Any]) -> str:
    rows = ["| error rate | 95 % interval | wrong | measured on |", "|---|---|---|---|"]
    for name, m in metrics.items():
        if m.get("n") and "low" in m:
            words = _plain(m["from"] or name)
            rows.append(
                f"| {m['error_rate']:.1%} | {m['low']:.1%} to {m['high']:.1%} | {m['errors']} of {m['n']} | {words} |"
            )
    return "\n".join(rows)


def _classes(weakest: Sequence[Mapping[str, Any]]) -> str:
    rows = ["| weakest classes | images | F1 | 95 % interval | precision | recall |", "|---|---|---|---|---|---|"]
    for c in weakest:
        low, high = c["f1_interval"]
        figures = " | ".join("–" if c[k] is None else f"{c[k]:.0%}" for k in ("precision", "recall"))
        rows.append(f"| {_plain(c['label'])} | {c['n']} | {c['f1']:.2f} | {low:.2f} to {high:.2f} | {figures} |")
    return "\n".join(rows)


def _plain(words: str) -> str:
    """Class names are other people's text: no markup comes out of them."""
    return _SPECIAL.sub(r"\\\1", " ".join(words.split()))
