"""The report as one self-contained HTML file without script, for light and dark, wide and narrow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from keepset.interpret import plots
from keepset.interpret.thumbs import Thumbs
from keepset.workspace import Workspace

__all__ = ["render"]


def render(ws: Workspace, facts: dict[str, Any], pictures: Mapping[str, str] | None = None) -> str:
    """HTML of the report; ``pictures`` are data: URIs by the names that ``facts["looks"]`` uses.

    Everything that came from outside is escaped by the template. What had to be left out is said on the page.
    """
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    env = Environment(loader=PackageLoader("keepset.interpret"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    env.filters |= {"percent": _percent, "number": _number, "span": _span, "rate": _rate}
    thumbs = Thumbs(ws, pictures)
    # The plots escape their own texts; they are the only markup that is let through.
    drawn = {k: Markup(v) for k, v in _plots(facts).items()}  # noqa: S704
    page = env.get_template("report.html")
    return page.render(f=facts, plots=drawn, thumb=thumbs.uri, why_not=thumbs.why_not, thumbs=thumbs)


def _plots(facts: dict[str, Any]) -> dict[str, str]:
    drawn = {"confusion": plots.confusion(facts["classes"], facts["confusion"])}
    if any(c["f1"] is not None for c in facts["per_class"]):
        drawn["class_scores"] = plots.class_scores(facts["per_class"])
    if facts["history"]:
        drawn["history"] = plots.history(facts["history"])
    if len(facts["lr_find"].get("lrs", [])) > 1:
        drawn["lr_find"] = plots.lr_find(facts["lr_find"], _configured_rate(facts["model"]["config"]))
    if facts["reliability"]:
        drawn["reliability"] = plots.reliability(facts["reliability"], facts["metrics"]["valid"])
    if facts["before_after"]:
        drawn["outcome"] = plots.outcome_bar(facts["before_after"])
    if facts["data_size"] and facts["data_size"]["points"]:
        drawn["data_size"] = plots.data_size(facts["data_size"])
    return drawn


def _configured_rate(config: Mapping[str, Any]) -> float | None:
    rate = config.get("train", config).get("lr")
    return float(rate) if rate else None


def _is_number(v: Any) -> bool:
    """False too for what a model without validation images has no number for, and for NaN."""
    return isinstance(v, int | float) and math.isfinite(v)


def _percent(v: Any, digits: int = 0) -> str:
    return f"{v:.{digits}%}" if _is_number(v) else "–"


def _number(v: Any) -> str:
    return f"{v:.3f}" if _is_number(v) else "–"


def _span(interval: Any, digits: int = 0) -> str:
    """``4 to 12%``"""
    return f"{100 * interval[0]:.{digits}f} to {100 * interval[1]:.{digits}f}%" if interval else ""


def _rate(v: Any) -> str:
    return f"{v:.1e}" if _is_number(v) else "–"
