"""Does a probability mean what it says?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keepset.interpret.plots.canvas import Panel, svg, text
from keepset.text import share

__all__ = ["reliability"]


def reliability(bins: Sequence[Mapping[str, Any]], measured: Mapping[str, Any]) -> str:
    """Share right over confidence, with 95 % intervals, and below it how many images were how sure.

    On the diagonal a probability means what it says; below it the model is too sure.
    """
    panel = Panel((0, 1), (0, 1), top=24, height=190, right=30).name("right")
    panel.grid([0, 0.25, 0.5, 0.75, 1], share).line([0, 1], [0, 1], "s3")
    slope = (panel.y(0.62), panel.x(0.55))
    panel.parts.append(text(slope[1] - 6, slope[0], "perfect", "end", "name"))
    for b in bins:
        x, y = panel.x(b["confidence"]), panel.y(b["accuracy"])
        title = f"{b['n']} images, said {share(b['confidence'], 0)}, right {share(b['accuracy'], 0)}"
        panel.parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{panel.y(b["high"]):.1f}" y2="{panel.y(b["low"]):.1f}" class="s1 thin"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" class="s1"><title>{title}</title></circle>'
        )
    panel.parts.append(text(panel.left + 8, panel.top + 14, f"ECE {measured['ece']:.3f}", "start", "says s1"))
    counts = Panel((0, 1), (0, max(b["n"] for b in bins)), top=panel.bottom + 14, height=40, right=30)
    for b in bins:
        left, right, y = counts.x(b["from"]), counts.x(b["to"]), counts.y(b["n"])
        counts.parts.append(
            f'<rect x="{left + 1:.1f}" y="{y:.1f}" width="{right - left - 2:.1f}" height="{counts.bottom - y:.1f}" class="s1 soft"/>'
            + text((left + right) / 2, y - 3, str(b["n"]), "middle", "small")
        )
    counts.below([0, 0.25, 0.5, 0.75, 1], share, "sure (bars: images)")
    return svg(counts.bottom + 38, "Reliability: share right over confidence", [*panel.parts, *counts.parts])
