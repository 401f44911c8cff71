"""The error over the number of pictures, and what changed over the revisions of a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keepset.history.health import ErrorPoint
from keepset.interpret.plots.canvas import WIDTH, Label, Panel, percents, svg, text, ticks
from keepset.text import share

__all__ = ["data_size", "mistakes_over_revisions", "over_revisions"]


def data_size(found: Mapping[str, Any]) -> str:
    """Error of the linear head over training images (logarithmic), its 95 % band, and the forecast for twice as many."""
    points, twice = found["points"], found["twice"]
    sizes = [float(p["size"]) for p in points]
    last, end = sizes[-1], float(twice["size"])
    top = 1.08 * max(*(p["high"] for p in points), twice["high"], 0.01)
    panel = Panel((sizes[0], end), (0, top), top=24, height=190, log_x=True).name("wrong, of pictures not seen")
    panel.grid(ticks(0, top), percents(ticks(0, top)))
    panel.band(sizes, [p["low"] for p in points], [p["high"] for p in points], "s1")
    panel.band([last, end], [points[-1]["low"], twice["low"]], [points[-1]["high"], twice["high"]], "s2")
    panel.line([last, end], [points[-1]["error_rate"], twice["error_rate"]], "s2 dashed")
    panel.line(sizes, [p["error_rate"] for p in points], "s1", dots=True)
    here = panel.y(points[-1]["error_rate"])
    panel.parts.append(text(panel.x(last), here - 10, f"{points[-1]['error_rate']:.1%}", "middle", "says s1"))
    panel.labels([Label(panel.y(twice["error_rate"]), f"{twice['error_rate']:.1%}", "s2")])
    marks = [s for i, s in enumerate(sizes) if i in (0, len(sizes) // 2, len(sizes) - 1)] + [end]
    panel.below(marks, lambda v: f"{v:.0f}", "training pictures")
    return svg(panel.bottom + 38, "Error rate over the number of training pictures", panel.parts)


def mistakes_over_revisions(points: Sequence[ErrorPoint]) -> str:
    """Each model on the same pictures, under the same labels; dashed: as measured when it was trained."""
    rates, then = [p.rate for p in points], [p.then for p in points]
    return over_revisions([p.revision for p in points], rates, share, "Mistakes", then)


def over_revisions(
    revisions: Sequence[int],
    values: Sequence[float],
    words: Callable[[float], str],
    title: str,
    then: Sequence[float] = (),
) -> str:
    """``values`` by revision, each with its number above it, on a scale from 0, so that no small change looks large.

    ``then``: a second line, dashed, as it was measured then.
    """
    places, top = list(range(len(revisions))), 1.15 * max(*values, *then, 1e-9)
    panel = Panel((0, max(1, len(places) - 1)), (0, top), top=22, height=120, left=40, right=40).grid(
        [0], lambda v: "0"
    )
    if then:
        panel.line(places, then, "s3", dots=len(places) == 1)
    panel.line(places, values, "s1", dots=True)
    few = len(places) <= 6
    shown = [i for i in places if few or i in (0, places[-1])]
    for i in shown:
        panel.parts.append(text(panel.x(i), panel.y(values[i]) - 9, words(values[i]), "middle", "says s1"))
    if then and (first := panel.y(then[0])) < panel.y(values[0]) - 30:
        panel.parts.append(text(panel.x(0), first - 7, words(then[0]), "middle", "small"))
    panel.below(shown, lambda v: f"revision {revisions[int(v)]}" if len(places) <= 4 else str(revisions[int(v)]))
    said = ", ".join(f"revision {r} {words(v)}" for r, v in zip(revisions, values, strict=True))
    return svg(panel.bottom + 22, f"{title}: {said}", panel.parts, width=WIDTH)
