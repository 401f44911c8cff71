"""The error over revisions as a small picture: places of its points and lines, which the template draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keepset.status.health import ErrorPoint

__all__ = ["Curve", "Dot", "drawn"]

WIDTH, HEIGHT = 320.0, 130.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 20.0, 26.0, 24.0
"""Margins for the labels, in units of the picture."""


@dataclass(frozen=True)
class Dot:
    """One revision: its place, the height of what was measured then, and what stands at it."""

    x: float
    y: float
    then: float
    point: ErrorPoint
    labelled: bool


@dataclass(frozen=True)
class Curve:
    """``line`` joins the dots; ``top`` is the share at the upper end of the scale, which begins at 0."""

    width: float
    height: float
    floor: float
    ceiling: float
    left: float
    right: float
    top: float
    dots: tuple[Dot, ...]

    @property
    def line(self) -> str:
        return " ".join(f"{d.x:.1f},{d.y:.1f}" for d in self.dots)

    @property
    def as_then(self) -> str:
        return " ".join(f"{d.x:.1f},{d.then:.1f}" for d in self.dots)


def drawn(points: Sequence[ErrorPoint]) -> Curve | None:
    """None if there is nothing to draw. The scale begins at 0, so that no small change looks large."""
    if not points:
        return None
    top = _round_up(max(max(p.rate, p.then) for p in points))
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    step = (right - LEFT) / (len(points) - 1) if len(points) > 1 else 0.0
    few = len(points) <= 5

    def height(rate: float) -> float:
        return TOP + (floor - TOP) * (1 - rate / top)

    dots = []
    for i, p in enumerate(points):
        x = LEFT + i * step if step else (LEFT + right) / 2
        dots.append(Dot(x, height(p.rate), height(p.then), p, few or i in (0, len(points) - 1)))
    return Curve(WIDTH, HEIGHT, floor, TOP, LEFT, right, top, tuple(dots))


def _round_up(share: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, 100 %."""
    return next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if share <= s)
