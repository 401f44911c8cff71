"""Small SVG plots that take their colours from the page, so that one file is right in light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

__all__ = ["confusion", "history", "lr_find", "reliability"]

W, H, LEFT, BOTTOM, TOP, RIGHT = 480, 260, 48, 36, 14, 12


def confusion(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Rows are the given class, columns the predicted one; shade is the share of the row."""
    n, cell, margin = len(labels), 58 if len(labels) <= 8 else 34, 110
    size = margin + n * cell + 8
    out = [_svg(size, size + 26, "Confusion matrix: rows are the given class, columns the predicted one")]
    for i, row in enumerate(counts):
        y, total = margin + i * cell, max(1, sum(row))
        out.append(_text(margin - 8, y + cell / 2 + 4, _short(labels[i]), "end"))
        out.append(
            f'<text transform="translate({margin + i * cell + cell / 2 + 4} {margin - 8}) rotate(-50)">{_short(labels[i])}</text>'
        )
        for j, c in enumerate(row):
            x, share = margin + j * cell, c / total
            kind = "good" if i == j else "bad"
            out.append(
                f'<rect x="{x + 1}" y="{y + 1}" width="{cell - 2}" height="{cell - 2}" rx="4" class="{kind}" '
                f'fill-opacity="{0.06 + 0.84 * share if c else 0.03:.3f}"><title>{escape(labels[i])} predicted as '
                f"{escape(labels[j])}: {c}</title></rect>"
            )
            if c:
                strong = ' class="on"' if share > 0.55 else ""
                out.append(
                    f'<text x="{x + cell / 2}" y="{y + cell / 2 + 5}" text-anchor="middle"{strong}>{c}</text>'
                )
    out.append(_text(margin + n * cell / 2, size + 18, "predicted", "middle"))
    return "".join(out) + "</svg>"


def history(rows: Sequence[dict[str, Any]]) -> str:
    """Training and validation loss by epoch, with the error rate as a dotted line on its own scale."""
    train, valid, errors = ([_number(r[k]) for r in rows] for k in ("train_loss", "valid_loss", "error_rate"))
    top = max([0.1, *filter(math.isfinite, train + valid)])
    xs = list(range(1, len(rows) + 1))
    out = [_svg(W, H, "Loss by epoch"), _axes(xs, top, "epoch", "loss")]
    out.append(_line(xs, train, top, "s1") + _line(xs, valid, top, "s2"))
    scale = max([0.05, *filter(math.isfinite, errors)])
    out.append(_line(xs, [e / scale * top for e in errors], top, "s3"))
    out.append(
        _legend(
            [("s1", "training loss"), ("s2", "validation loss"), ("s3", f"error rate (top = {scale:.0%})")]
        )
    )
    return "".join(out) + "</svg>"


def lr_find(found: dict[str, Any]) -> str:
    """Loss over learning rate (logarithmic), with the chosen rate marked."""
    tried = [(lr, _number(x)) for lr, x in zip(found["lrs"], found["losses"], strict=False)]
    lrs, losses = [lr for lr, _ in tried], [x if math.isfinite(x) else math.inf for _, x in tried]
    seen = [x for x in losses if math.isfinite(x)] or [1.0]
    cap = max(0.1, min(max(seen), 4 * min(seen) + 0.5))
    ys = [min(x, cap) for x in losses]  # a loss past all numbers is drawn at the top
    logs = [math.log10(x) for x in lrs]
    out = [
        _svg(W, H, "Learning-rate finder"),
        _axes(logs, cap, "learning rate", "loss", lambda v: f"1e{v:.0f}"),
    ]
    out.append(_line(logs, ys, cap, "s1"))
    for key, cls in (("steep", "s3"), ("chosen", "s2")):
        if found.get(key):
            x = _x(math.log10(found[key]), logs)
            out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{H - BOTTOM}" class="{cls}"/>')
    words = [("s2", f"chosen {found['chosen']:.1e}")] if found.get("chosen") else []
    words += [("s3", f"steepest {found['steep']:.1e}")] if found.get("steep") else []
    return "".join(out) + _legend(words) + "</svg>"


def reliability(bins: Sequence[dict[str, Any]]) -> str:
    """Accuracy over confidence; on the diagonal a probability means what it says. Dots grow with their count."""
    out = [_svg(W, H, "Reliability"), _axes([0.0, 1.0], 1.0, "confidence", "accuracy", lambda v: f"{v:.1f}")]
    out.append(_line([0.0, 1.0], [0.0, 1.0], 1.0, "s3"))
    most = max((b["n"] for b in bins), default=1)
    for b in bins:
        x, y = _x(b["confidence"], [0.0, 1.0]), _y(b["accuracy"], 1.0)
        radius = 3 + 9 * math.sqrt(b["n"] / most)
        title = f"{b['n']} images, said {b['confidence']:.2f}, right {b['accuracy']:.2f}"
        out.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" class="dot"><title>{title}</title></circle>'
        )
    return "".join(out) + "</svg>"


def _number(v: float | None) -> float:
    return math.nan if v is None else float(v)


def _svg(w: float, h: float, title: str) -> str:
    return f'<svg viewBox="0 0 {w:.0f} {h:.0f}" role="img" style="max-width:{w:.0f}px"><title>{escape(title)}</title>'


def _x(v: float, xs: Sequence[float]) -> float:
    low, high = min(xs), max(xs)
    return LEFT + (W - LEFT - RIGHT) * ((v - low) / (high - low) if high > low else 0.5)


def _y(v: float, top: float) -> float:
    return TOP + (H - TOP - BOTTOM) * (1 - v / top)


def _line(xs: Sequence[float], ys: Sequence[float], top: float, cls: str) -> str:
    """A line through the points that are numbers; ``xs`` spans the axis whether or not its ends are drawn."""
    drawn = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
    points = " ".join(f"{_x(x, xs):.1f},{_y(y, top):.1f}" for x, y in drawn)
    dots = "".join(
        f'<circle cx="{_x(x, xs):.1f}" cy="{_y(y, top):.1f}" r="2.5" class="{cls}"/>'
        for x, y in drawn
        if len(xs) <= 12
    )
    return f'<polyline points="{points}" class="{cls}"/>{dots}'


def _axes(xs: Sequence[float], top: float, x_name: str, y_name: str, name: Any = lambda v: f"{v:.0f}") -> str:
    out = []
    for k in range(5):
        v = top * k / 4
        out.append(
            f'<line x1="{LEFT}" x2="{W - RIGHT}" y1="{_y(v, top):.1f}" y2="{_y(v, top):.1f}" class="grid"/>'
        )
        out.append(_text(LEFT - 6, _y(v, top) + 4, f"{v:.2f}", "end"))
    low, high = min(xs), max(xs)
    steps = min(len(xs) - 1, 5) if len(xs) > 2 else 4 if high > low else 0
    for k in range(steps + 1):
        v = low + (high - low) * (k / steps if steps else 0)
        out.append(_text(_x(v, xs), H - BOTTOM + 16, name(v), "middle"))
    out.append(_text((W + LEFT) / 2, H - 4, x_name, "middle"))
    return (
        "".join(out)
        + f'<text transform="translate(11 {H / 2 - 10}) rotate(-90)" text-anchor="middle">{y_name}</text>'
    )


def _legend(items: Sequence[tuple[str, str]]) -> str:
    return "".join(
        f'<line x1="{W - 170}" x2="{W - 148}" y1="{TOP + 8 + 16 * i}" y2="{TOP + 8 + 16 * i}" class="{cls}"/>'
        + _text(W - 142, TOP + 12 + 16 * i, words, "start")
        for i, (cls, words) in enumerate(items)
    )


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _short(label: str) -> str:
    return escape(label if len(label) <= 14 else label[:13] + "…")
