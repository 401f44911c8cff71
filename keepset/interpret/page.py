"""The report as one self-contained HTML file without script, for light and dark, wide and narrow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from keepset.history.health import ErrorPoint
from keepset.interpret import plots
from keepset.interpret.thumbs import Thumbs
from keepset.text import certainty, share, span
from keepset.workspace import Workspace

__all__ = ["render"]

FIRST = 6
"""Pictures on the first screen."""


def render(ws: Workspace, facts: dict[str, Any], pictures: Mapping[str, str] | None = None) -> str:
    """HTML of the report; ``pictures`` are data: URIs by the names that ``facts["looks"]`` uses.

    Everything that came from outside is escaped by the template. What had to be left out is said on the page.
    """
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    env = Environment(loader=PackageLoader("keepset.interpret"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    env.filters |= {"percent": _percent, "number": _number, "span": _span, "sure": _sure}
    mistakes = facts["metrics"]["valid"].get("errors", 0)
    pairs = facts["pairs"] if mistakes > FIRST else []  # else they are all on the first screen
    thumbs, captions, placed = Thumbs(ws, pictures), _captions(facts, pairs), set[str]()
    thumbs.enlarge(captions)

    def first(sha: str) -> bool:
        """Whether this is the first tile of the picture, to which its large version leads back."""
        new = sha not in placed
        placed.add(sha)
        return new

    # The plots escape their own texts; they are the only markup that is let through.
    drawn = {k: Markup(v) for k, v in _plots(facts).items()}  # noqa: S704
    page = env.get_template("report.html")
    images = {c["label"]: c["images"] for c in facts["dataset"]["classes"]}
    return page.render(
        f=facts,
        plots=drawn,
        thumbs=thumbs,
        captions=captions,
        first=first,
        mistakes=mistakes,
        images=images,
        pairs=pairs,
        shown=FIRST,
    )


def _captions(facts: dict[str, Any], pairs: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """``name`` and ``words`` of every picture that opens large, the most important first."""
    told: dict[str, dict[str, str]] = {}
    model = [*facts["top_losses"][:FIRST], *(r for p in pairs for r in p["images"])]
    for r in model:
        words = f"labelled {r['label']}, predicted {r['predicted']}, {_sure(r['probability'])}"
        told.setdefault(r["sha256"], {"name": r["name"], "words": words})
    for change in (facts["cleaning"] or {}).get("changes", []):
        for p in change["pictures"]:
            words = f"{p['before']} → {p['after']}" if p["after"] else f"taken out of {p['before']}"
            told.setdefault(p["sha256"], {"name": p["name"], "words": f"{words} by {change['who']}"})
    b = facts["before_after"]
    for r in [*b["fixed_images"][:12], *b["broken_images"][:12]] if b else []:
        words = f"labelled {r['label']}, before {r['before']}, now {r['after']}"
        told.setdefault(r["sha256"], {"name": r["name"], "words": words})
    return told


def _plots(facts: dict[str, Any]) -> dict[str, str]:
    drawn = {"confusion": plots.confusion(facts["classes"], facts["confusion"])}
    if facts["history"]:
        drawn["history"] = plots.history(facts["history"])
    if len(facts["lr_find"].get("lrs", [])) > 1:
        drawn["lr_find"] = plots.lr_find(facts["lr_find"])
    if facts["reliability"]:
        drawn["reliability"] = plots.reliability(facts["reliability"], facts["metrics"]["valid"])
    if facts["cleaning"] and len(points := facts["cleaning"]["points"]) > 1:
        drawn["error"] = plots.mistakes_over_revisions(
            [ErrorPoint(**{k: v for k, v in p.items() if k != "rate"}) for p in points]
        )
    if facts["data_size"] and facts["data_size"]["points"]:
        drawn["data_size"] = plots.data_size(facts["data_size"])
    return drawn


def _is_number(v: Any) -> bool:
    """False too for what a model without validation images has no number for, and for NaN."""
    return isinstance(v, int | float) and math.isfinite(v)


def _percent(v: Any, digits: int = 0) -> str:
    return share(v, digits) if _is_number(v) else "–"


def _number(v: Any) -> str:
    return f"{v:.3f}" if _is_number(v) else "–"


def _span(interval: Any, digits: int = 0) -> str:
    return span(interval[0], interval[1], digits) if interval else ""


def _sure(p: float) -> str:
    return f"{certainty(p)} sure"
