"""Scales, axes, marks and labels: what every plot is drawn with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

__all__ = ["WIDTH", "Label", "Panel", "number", "short", "svg", "text", "ticks"]

WIDTH = 400
LINE = 15
"""Height of a line of letters, units."""
CHARACTER = 6.6
"""Width of a letter, units, on the average."""


def svg(height: float, title: str, parts: Sequence[str], width: float = WIDTH) -> str:
    """The whole plot; ``title`` is what a screen reader says and a pointer that rests shows."""
    head = f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width * 1.15:.0f}" role="img">'
    return f"{head}<title>{escape(title)}</title>{''.join(parts)}</svg>"


def text(x: float, y: float, words: str, anchor: str = "start", cls: str = "") -> str:
    kind = f' class="{cls}"' if cls else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(words)}</text>'


def short(words: str, most: int = 14) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def number(v: float | None) -> float:
    """NaN for what JSON holds as null."""
    return math.nan if v is None else float(v)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers from ``low`` to ``high``, 1, 2 or 5 times a power of ten apart."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= 0.7 * raw)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Label:
    """Words beside the end of a line, at the height ``y`` (in units) until it must make room."""

    y: float
    words: str
    cls: str


@dataclass
class Panel:
    """A rectangle of the plot with a scale along each side; marks collect in ``parts``.

    ``xs`` and ``ys`` are the numbers at its ends; with ``log_x`` the x scale is logarithmic. ``top`` and ``height``
    in units; ``left`` and ``right`` are the margins.
    """

    xs: tuple[float, float]
    ys: tuple[float, float]
    top: float = 12
    height: float = 170
    left: float = 44
    right: float = 92
    log_x: bool = False
    parts: list[str] = field(default_factory=list)

    def x(self, v: float) -> float:
        low, high = (math.log10(e) if self.log_x else e for e in self.xs)
        place = ((math.log10(v) if self.log_x else v) - low) / (high - low) if high > low else 0.5
        return self.left + (WIDTH - self.left - self.right) * min(1.0, max(0.0, place))

    def y(self, v: float) -> float:
        """A number off the scale is drawn at its end."""
        low, high = self.ys
        place = (v - low) / (high - low) if high > low else 0.5
        return self.top + self.height * (1 - min(1.0, max(0.0, place)))

    @property
    def end(self) -> float:
        return WIDTH - self.right

    @property
    def bottom(self) -> float:
        return self.top + self.height

    # -- axes ------------------------------------------------------------------------------------

    def grid(self, values: Sequence[float], words: Callable[[float], str]) -> Panel:
        for v in values:
            y = self.y(v)
            self.parts.append(f'<line x1="{self.left}" x2="{self.end}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
            self.parts.append(text(self.left - 6, y + 4, words(v), "end"))
        return self

    def below(self, values: Sequence[float], words: Callable[[float], str], name: str = "") -> Panel:
        for v in values:
            self.parts.append(text(self.x(v), self.bottom + LINE + 2, words(v), "middle"))
        if name:
            self.parts.append(text((self.left + self.end) / 2, self.bottom + 2 * LINE + 4, name, "middle", "name"))
        return self

    def name(self, words: str) -> Panel:
        """What the y axis shows, written above it: turned letters are hard to read."""
        self.parts.append(text(0, self.top - 12, words, "start", "name"))
        return self

    # -- marks -----------------------------------------------------------------------------------

    def line(self, xs: Sequence[float], ys: Sequence[float], cls: str, *, dots: bool = False) -> Panel:
        """Through the points that are numbers; an infinite one is drawn at the end of the scale."""
        drawn = [(self.x(x), self.y(y)) for x, y in zip(xs, ys, strict=True) if not math.isnan(y)]
        if len(drawn) > 1:
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
            self.parts.append(f'<polyline points="{points}" class="{cls}"/>')
        if dots or len(drawn) == 1:
            self.parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="{cls}"/>' for x, y in drawn]
        return self

    def band(self, xs: Sequence[float], low: Sequence[float], high: Sequence[float], cls: str) -> Panel:
        up = [f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, high, strict=True)]
        down = [f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, low, strict=True)]
        self.parts.append(f'<polygon points="{" ".join(up + down[::-1])}" class="band {cls}"/>')
        return self

    def upright(self, v: float, cls: str) -> Panel:
        x = self.x(v)
        self.parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{self.top}" y2="{self.bottom}" class="{cls}"/>')
        return self

    def labels(self, wanted: Sequence[Label]) -> Panel:
        """Words at the right end, pushed apart until none covers another."""
        low = self.top + 4
        placed = []
        for label in sorted(wanted, key=lambda w: w.y):
            low = max(low, label.y + 4)
            placed.append(low)
            low += LINE
        over = max(0.0, low - LINE - (self.bottom + 4))
        for label, y in zip(sorted(wanted, key=lambda w: w.y), placed, strict=True):
            self.parts.append(text(self.end + 7, y - over, label.words, "start", f"says {label.cls}"))
        return self
