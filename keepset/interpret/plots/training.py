"""Learning curves with their schedule, and the learning-rate finder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from keepset.interpret.plots.canvas import Label, Panel, number, short, svg, text, ticks
from keepset.text import share

__all__ = ["history", "lr_find"]


def history(rows: Sequence[Mapping[str, Any]]) -> str:
    """Three panels over the epochs: losses, error rate, and the learning rate."""
    n = len(rows)
    loss = _losses(rows, Panel((0, n), (0, _ceiling(rows)), top=46, height=150))
    errors = [number(r["error_rate"]) for r in rows]
    top = max([0.02, *(1.15 * e for e in errors if math.isfinite(e))])
    error = Panel((0, n), (0, top), top=loss.bottom + 42, height=70).name("error rate, held out")
    error.grid(ticks(0, top, 2), share)
    error.line(_ends(n), errors, "s2", dots=n <= 15)
    if math.isfinite(errors[-1]):
        error.labels([Label(error.y(errors[-1]), share(errors[-1]), "s2")])
    rate = _rates(rows, Panel((0, n), (0, 1), top=error.bottom + 42, height=46))
    rate.below(_epoch_marks(n), lambda v: f"{v:.0f}", "epoch")
    parts = [*_phases(rows, loss, rate.bottom), *loss.parts, *error.parts, *rate.parts]
    return svg(rate.bottom + 38, "Loss, error rate and learning rate by epoch", parts)


def _ends(n: int) -> list[float]:
    """A figure of an epoch is of its end."""
    return [i + 1.0 for i in range(n)]


def _epoch_marks(n: int) -> list[float]:
    return [v for v in ticks(0, n, min(n, 6)) if v == int(v)]


def _ceiling(rows: Sequence[Mapping[str, Any]]) -> float:
    """A loss that exploded would flatten everything else, so the scale ends at 3 nats or four times the lowest."""
    found = [number(r.get(k)) for r in rows for k in ("train_loss", "train_plain_loss", "valid_loss")]
    finite = [v for v in found if math.isfinite(v)] or [1.0]
    return 1.06 * max(0.02, min(max(finite), max(3.0, 4 * min(finite))))


def _losses(rows: Sequence[Mapping[str, Any]], panel: Panel) -> Panel:
    n, labels = len(rows), []
    panel.name("loss, nats").grid(ticks(0, panel.ys[1]), lambda v: f"{v:.3g}")
    lines = [
        ("train_loss", "augmented", "s3"),
        ("train_plain_loss", "training", "s1"),
        ("valid_loss", "held out", "s2"),
    ]
    if not any("train_plain_loss" in r for r in rows):
        lines = [("train_loss", "training", "s1"), lines[2]]
    for key, words, cls in lines:
        values = [number(r.get(key)) for r in rows]
        panel.line(_ends(n), values, cls, dots=n <= 15 and cls != "s3")
        shown = [v for v in values if not math.isnan(v)]
        if shown:
            labels.append(Label(panel.y(shown[-1]), words, cls))
            if max(shown) > panel.ys[1]:
                panel.parts.append(
                    text(panel.end, panel.top - 2, f"▲ {max(shown):.2g} is off the scale", "end", "name")
                )
    return panel.labels(labels)


def _rates(rows: Sequence[Mapping[str, Any]], panel: Panel) -> Panel:
    """The rate of the head, as a share of its highest, through each epoch."""
    xs: list[float] = []
    ys: list[float] = []
    for i, r in enumerate(rows):
        rates = [float(v) for v in r.get("rates") or [r.get("lr") or 0.0]]
        xs += [i + (j + 1) / len(rates) for j in range(len(rates))]
        ys += rates
    highest = max([*ys, 1e-12])
    shares = [y / highest for y in ys]
    panel.name("learning rate of the head").band(xs, [0.0] * len(xs), shares, "s4").line(xs, shares, "s4")
    return panel.labels([Label(panel.top, f"{highest:.1e}", "s4")]).grid([0], lambda v: "0")


def _phases(rows: Sequence[Mapping[str, Any]], panel: Panel, bottom: float) -> list[str]:
    """Where the head alone was trained, then the whole network: a line between, and their names on top."""
    out, names = [], {"head": "head only", "fine_tune": "whole network"}
    starts = [i for i, r in enumerate(rows) if i == 0 or r.get("phase") != rows[i - 1].get("phase")]
    for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
        x, room = panel.x(start), panel.x(stop) - panel.x(start)
        if start:
            out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{panel.top}" y2="{bottom}" class="grid edge"/>')
        words = names.get(str(rows[start].get("phase")), str(rows[start].get("phase") or ""))
        out.append(text(x + 4, panel.top - 27, short(words, max(4, int(room / 6.4))), "start", "name"))
    return out


def lr_find(found: Mapping[str, Any]) -> str:
    """Loss over learning rate (logarithmic), and the rate that was taken."""
    lrs, losses = [float(v) for v in found["lrs"]], [number(x) for x in found["losses"]]
    seen = [x for x in losses if math.isfinite(x)] or [1.0]
    chosen = float(found["chosen"])
    ends = min(*lrs, chosen), max(*lrs, chosen)
    top = max(0.02, min(max(seen), 4 * min(seen) + 0.5))  # what explodes leaves the plot
    panel = Panel(ends, (0, 1.06 * top), top=40, height=170, right=14, log_x=True)
    panel.name("loss, nats").grid(ticks(0, panel.ys[1]), lambda v: f"{v:.3g}")
    panel.line(lrs, [math.inf if math.isnan(x) else x for x in losses], "s1")
    x, side = panel.x(chosen), "end" if panel.x(chosen) > 240 else "start"
    panel.parts += [
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{panel.top - 14}" y2="{panel.bottom}" class="s2"/>',
        text(x + (-5 if side == "end" else 5), panel.top - 6, f"taken: {chosen:.2g}", side, "says s2"),
    ]
    decades = range(math.ceil(math.log10(ends[0]) - 0.01), math.floor(math.log10(ends[1]) + 0.01) + 1)
    panel.below([10.0**d for d in decades], lambda v: f"{v:g}", "learning rate")
    return svg(panel.bottom + 38, "Learning-rate finder: loss over learning rate", panel.parts)
