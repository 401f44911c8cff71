"""Classes: what is taken for what, and how well each is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from keepset.interpret.plots.canvas import CHARACTER, WIDTH, short, svg, text

__all__ = ["MOST_CLASSES", "class_scores", "confusion"]

MOST_CLASSES = 20
"""More rows than this are a wall, not a picture: the most confused, or the weakest, are drawn."""


def confusion(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Rows are the given class, columns the predicted one; shade is the share of the row.

    Of more than 20 classes those with the most mistakes are drawn.
    """
    shown = _most_confused(counts)
    margin = min(110.0, 16 + CHARACTER * max(len(short(labels[i])) for i in shown))
    cell = min(64.0, (WIDTH - margin - 4) / len(shown))
    head = margin * 0.72 + 22
    out = [text(margin, 13, "predicted →", "start", "name"), text(0, head - 8, "given ↓", "start", "name")]
    for a, i in enumerate(shown):
        y, total = head + a * cell, max(1, sum(counts[i]))
        out.append(text(margin - 8, y + cell / 2 + 4, short(labels[i]), "end"))
        turned = f"translate({margin + a * cell + cell / 2 + 4:.1f} {head - 6:.1f}) rotate(-42)"
        out.append(f'<text transform="{turned}">{escape(short(labels[i]))}</text>')
        for b, j in enumerate(shown):
            what = f"{labels[i]} predicted as {labels[j]}: {counts[i][j]}"
            out.append(_cell(margin + b * cell, y, cell, counts[i][j], total, i == j, what))
    width = margin + len(shown) * cell + 4
    title = "Confusion matrix: rows are the given class, columns the predicted one"
    return svg(head + len(shown) * cell + 6, title, out, width=max(width, 220))


def _most_confused(counts: Sequence[Sequence[int]]) -> list[int]:
    n = len(counts)
    missed = [sum(counts[i]) - counts[i][i] + sum(row[i] for row in counts) - counts[i][i] for i in range(n)]
    return sorted(sorted(range(n), key=lambda i: (-missed[i], i))[:MOST_CLASSES])


def _cell(x: float, y: float, side: float, count: int, total: int, diagonal: bool, what: str) -> str:
    share = count / total
    opacity = 0.1 + 0.8 * share if count else 0.035
    box = (
        f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{side - 2:.1f}" height="{side - 2:.1f}" rx="{min(5, side / 6):.1f}" '
        f'class="{"good" if diagonal else "bad" if count else "none"}" fill-opacity="{opacity:.3f}"><title>{escape(what)}</title></rect>'
    )
    if not count or side < 15:
        return box
    return box + text(x + side / 2, y + side / 2 + 4.5, str(count), "middle", "on" if share > 0.5 else "count")


def class_scores(rows: Sequence[Mapping[str, Any]]) -> str:
    """Precision, recall and F1 of each class as dots with their 95 % intervals, the weakest on top; 20 at most."""
    shown = [c for c in rows if c["f1"] is not None][:MOST_CLASSES]
    left = max(84.0, min(130.0, 14 + CHARACTER * max(len(short(c["label"], 17)) for c in shown)))
    right, step, top = 20.0, 52.0, 40.0
    bottom = top + step * len(shown)
    ruler = [left + (WIDTH - left - right) * k / 4 for k in range(5)]
    out = [f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 4}" y2="{bottom}" class="grid"/>' for x in ruler]
    out += [text(x, bottom + 15, f"{k * 25}%", "middle") for k, x in enumerate(ruler)]
    out += [
        text(x, 13, w, "start", f"says {c}")
        for x, w, c in ((left, "F1", "s1"), (left + 40, "precision", "s2"), (left + 120, "recall", "s4"))
    ]
    for i, c in enumerate(shown):
        y = top + i * step
        out.append(text(left - 8, y + 20, short(c["label"], 17), "end", "count"))
        out.append(text(left - 8, y + 34, f"{c['n']} images", "end", "small"))
        for k, (key, cls) in enumerate((("f1", "s1"), ("precision", "s2"), ("recall", "s4"))):
            out.append(_whisker(left, right, y + 10 + 12 * k, c, key, cls))
    return svg(bottom + 22, "Precision, recall and F1 by class with 95 % intervals", out)


def _whisker(left: float, right: float, y: float, c: Mapping[str, Any], key: str, cls: str) -> str:
    if c[key] is None:
        return ""
    low, high = c[f"{key}_interval"]
    x, a, b = (left + (WIDTH - left - right) * v for v in (c[key], low, high))
    title = escape(f"{c['label']}: {key} {c[key]:.0%} ({low:.0%} to {high:.0%})")
    return (
        f'<line x1="{a:.1f}" x2="{b:.1f}" y1="{y:.1f}" y2="{y:.1f}" class="{cls} whisker"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.2" class="{cls}"><title>{title}</title></circle>'
    )
