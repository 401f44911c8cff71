"""Would more data help, and did the last change help?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keepset.interpret.plots.canvas import WIDTH, Label, Panel, percents, svg, text, ticks

__all__ = ["data_size", "outcome_bar"]


def data_size(found: Mapping[str, Any]) -> str:
    """Error of the linear head over training images (logarithmic), its 95 % band, and the fit to twice as many."""
    points, twice, fit = found["points"], found["twice"], found["fit"]
    sizes = [float(p["size"]) for p in points]
    last, end = sizes[-1], float(twice["size"])
    top = 1.08 * max(*(p["high"] for p in points), twice["high"], 0.01)
    panel = Panel((sizes[0], end), (0, top), top=24, height=190, log_x=True).name("error rate, images not seen")
    panel.grid(ticks(0, top), percents(ticks(0, top)))
    panel.band(sizes, [p["low"] for p in points], [p["high"] for p in points], "s1")
    panel.band([last, end], [points[-1]["low"], twice["low"]], [points[-1]["high"], twice["high"]], "s2")
    steps = [last * (end / last) ** (k / 8) for k in range(9)]
    panel.line(steps, [fit["floor"] + fit["scale"] * n ** -fit["exponent"] for n in steps], "s2 dashed")
    panel.line(sizes, [p["error_rate"] for p in points], "s1", dots=True)
    here = panel.y(points[-1]["error_rate"])
    panel.parts.append(text(panel.x(last), here - 10, f"{points[-1]['error_rate']:.1%}", "middle", "says s1"))
    panel.labels([Label(panel.y(twice["error_rate"]), f"{twice['error_rate']:.1%}", "s2")])
    marks = [s for i, s in enumerate(sizes) if i in (0, len(sizes) // 2, len(sizes) - 1)] + [end]
    panel.below(marks, lambda v: f"{v:.0f}", "training images")
    return svg(panel.bottom + 38, "Error rate over the number of training images", panel.parts)


def outcome_bar(b: Mapping[str, Any]) -> str:
    """The same images before and after, in one bar: right both times, fixed, newly wrong, wrong both times."""
    n = max(1, b["n"])
    kinds = [
        ("right both times", n - b["fixed"] - b["broken"] - b["both_wrong"], "s3 soft"),
        ("fixed", b["fixed"], "good"),
        ("newly wrong", b["broken"], "bad"),
        ("wrong both times", b["both_wrong"], "s2"),
    ]
    out, x = [], 0.0
    for k, (words, count, cls) in enumerate(kinds):
        room = WIDTH * count / n
        if count:
            out.append(
                f'<rect x="{x:.1f}" y="4" width="{max(1.0, room - 2):.1f}" height="26" rx="3" class="{cls}"><title>{words}: {count}</title></rect>'
            )
        row, column = divmod(k, 2)
        out.append(f'<rect x="{column * 200}" y="{43 + 20 * row}" width="10" height="10" rx="2" class="{cls}"/>')
        out.append(text(column * 200 + 16, 52 + 20 * row, f"{count} {words}", "start", "count"))
        x += room
    return svg(82, f"Of {b['n']} images: " + ", ".join(f"{c} {w}" for w, c, _ in kinds), out)
