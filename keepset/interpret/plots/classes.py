"""What class is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from keepset.interpret.plots.canvas import CHARACTER, WIDTH, short, svg, text

__all__ = ["confusion"]

MOST_CLASSES = 20
"""More rows than this are a wall, not a picture: the most confused are drawn."""


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
