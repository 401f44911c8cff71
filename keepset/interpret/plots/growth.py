"""The error over the number of pictures, and what changed over the revisions of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keepset.history.health import ErrorPoint
from keepset.interpret.plots.canvas import Label, Panel, svg, text, ticks
from keepset.text import share

__all__ = ["data_size", "mistakes_over_revisions"]


def data_size(found: Mapping[str, Any]) -> str:
    """Error of the linear head over training images (logarithmic), its 95 % band, and the forecast for twice as many."""
    points, twice = found["points"], found["twice"]
    sizes = [float(p["size"]) for p in points]
    last, end = sizes[-1], float(twice["size"])
    top = 1.08 * max(*(p["high"] for p in points), twice["high"], 0.01)
    panel = Panel((sizes[0], end), (0, top), top=24, height=190, log_x=True).name("wrong, of pictures not seen")
    panel.grid(ticks(0, top), share)
    panel.band(sizes, [p["low"] for p in points], [p["high"] for p in points], "s1")
    panel.band([last, end], [points[-1]["low"], twice["low"]], [points[-1]["high"], twice["high"]], "s2")
    panel.line([last, end], [points[-1]["error_rate"], twice["error_rate"]], "s2 dashed")
    panel.line(sizes, [p["error_rate"] for p in points], "s1", dots=True)
    here = panel.y(points[-1]["error_rate"])
    panel.parts.append(text(panel.x(last), here - 10, share(points[-1]["error_rate"]), "middle", "says s1"))
    panel.labels([Label(panel.y(twice["error_rate"]), share(twice["error_rate"]), "s2")])
    marks = [s for i, s in enumerate(sizes) if i in (0, len(sizes) // 2, len(sizes) - 1)] + [end]
    panel.below(marks, lambda v: f"{v:.0f}", "training pictures")
    return svg(panel.bottom + 38, "Error rate over the number of training pictures", panel.parts)


def mistakes_over_revisions(points: Sequence[ErrorPoint]) -> str:
    """The share of mistakes of each model on the same pictures, under the same labels, on a scale from 0, so that no small change
    looks large; dashed: as measured when it was trained.
    """
    rates, then, revisions = [p.rate for p in points], [p.then for p in points], [p.revision for p in points]
    places, top = list(range(len(points))), 1.15 * max(*rates, *then, 1e-9)
    panel = Panel((0, max(1, len(places) - 1)), (0, top), top=22, height=120, left=40, right=40)
    near_zero = rates[0] < top / 10  # its own label stands where the axis' would
    panel.grid([0], lambda v: "" if near_zero else "0").line(places, then, "s3", dots=len(places) == 1).line(
        places, rates, "s1", dots=True
    )
    shown = [i for i in places if len(places) <= 6 or i in (0, places[-1])]
    for i in shown:
        panel.parts.append(text(panel.x(i), panel.y(rates[i]) - 9, share(rates[i]), "middle", "says s1"))
    if (first := panel.y(then[0])) < panel.y(rates[0]) - 30:
        panel.parts.append(text(panel.x(0), first - 7, share(then[0]), "middle", "small"))
    panel.below(shown, lambda v: f"revision {revisions[int(v)]}" if len(places) <= 4 else str(revisions[int(v)]))
    said = ", ".join(f"revision {r} {share(v)}" for r, v in zip(revisions, rates, strict=True))
    return svg(panel.bottom + 22, f"Mistakes: {said}", panel.parts)
