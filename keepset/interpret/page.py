"""The report as one self-contained HTML file without script, for light and dark, wide and narrow."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

from keepset.interpret import plots
from keepset.workspace import Workspace

__all__ = ["render"]

THUMB = 160


def render(ws: Workspace, facts: dict[str, Any]) -> str:
    """HTML of the report. Everything that came from outside is escaped by the template."""
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    env = Environment(
        loader=PackageLoader("keepset.interpret"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    env.filters["percent"] = lambda v: f"{v:.0%}" if _is_number(v) else "–"
    env.filters["number"] = lambda v: f"{v:.3f}" if _is_number(v) else "–"
    thumbs = _Thumbs(ws)
    drawn = {"confusion": plots.confusion(facts["classes"], facts["confusion"])}
    if facts["history"]:
        drawn["history"] = plots.history(facts["history"])
    if len(facts["lr_find"].get("lrs", [])) > 1:
        drawn["lr_find"] = plots.lr_find(facts["lr_find"])
    if facts["reliability"]:
        drawn["reliability"] = plots.reliability(facts["reliability"])
    page = env.get_template("report.html")
    # The plots escape their own texts; they are the only markup that is let through.
    return page.render(f=facts, plots={k: Markup(v) for k, v in drawn.items()}, thumb=thumbs.uri)  # noqa: S704


def _is_number(v: Any) -> bool:
    """False too for what a model without validation images has no number for, and for NaN."""
    return isinstance(v, int | float) and math.isfinite(v)


class _Thumbs:
    """Thumbnails as data: URIs, each made once. They are re-encoded pictures, never the downloaded bytes."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.made: dict[str, str] = {}

    def uri(self, sha: str) -> str:
        if sha not in self.made:
            self.made[sha] = self._make(sha)
        return self.made[sha]

    def _make(self, sha: str) -> str:
        from PIL import Image

        path = self.ws.thumb(sha)
        if not path.exists():
            return ""
        out = io.BytesIO()
        with Image.open(path) as image:
            image.thumbnail((THUMB, THUMB))
            image.save(out, "WEBP", quality=72)
        return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
