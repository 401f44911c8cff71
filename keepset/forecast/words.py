"""A forecast in plain language."""

from __future__ import annotations

from keepset import manifests
from keepset.models import ModelRecord, load_record
from keepset.models.columns import Column, Columns
from keepset.review import Batch
from keepset.review.naming import batch_name
from keepset.text import many

__all__ = ["beside", "notes", "sentence", "table"]


def sentence(c: Columns) -> str:
    """``About 4 fewer mistakes among 398 pictures, likely 1–8; no picture gets worse.``"""
    among = f"among {many(c.n, 'picture')}"
    if c.now.clear and c.was.clear and (c.now.change < 0) != (c.was.change < 0):
        return (
            f"By your labels {_fewer(c.now)} {among}, by the labels as they were {_fewer(c.was)}: "
            "it rests on your labels being right."
        )
    if c.now.clear:
        worse = "" if c.now.change > 0 or c.now.broken else "; no picture gets worse"
        return f"About {_fewer(c.now)} {among}, likely {_span(c.now)}{worse}."
    if not c.now.fixed and not c.now.broken:
        return f"No change expected {among}."
    few = "about as many mistakes" if not c.now.change else f"about {_fewer(c.now)}"
    return f"Too small to tell: {few} {among}, likely {_either_way(c.now)}."


def _fewer(c: Column) -> str:
    n = abs(c.change)
    return f"{n} {'fewer' if c.change < 0 else 'more'} {'mistake' if n == 1 else 'mistakes'}"


def _span(c: Column) -> str:
    ends = sorted((abs(c.low), abs(c.high)))
    return f"{ends[0]}–{ends[1]}" if ends[0] != ends[1] else str(ends[0])


def _either_way(c: Column) -> str:
    if c.low == 0:
        return f"0–{c.high} more"
    if c.high == 0:
        return f"0–{-c.low} fewer"
    return f"{-c.low} fewer to {c.high} more"


def notes(batch: Batch, record: ModelRecord, unseen: int) -> tuple[str, ...]:
    """What limits the forecast."""
    found = []
    used = batch.ws.promoted()
    if used and load_record(batch.ws, used).winner != "linear_head":
        found.append(
            "The model in use is fine-tuned. The forecast is of the linear head on the pretrained networks, which is trained first."
        )
    now = int(manifests.read_header(batch.ws.newest()).extra["revision"])
    if batch.record.revision != now:
        found.append(
            f"{batch_name(batch.id)} was proposed for revision {batch.record.revision}; the forecast starts from {now}."
        )
    if unseen:
        were = "picture is" if unseen == 1 else "pictures are"
        found.append(f"{unseen} {were} left out: model {record.id[:8]}, whose features are used, has not seen them.")
    return tuple(found)


def table(c: Columns) -> str:
    """Both columns in one line, for a terminal."""
    return (
        f"Mistakes among {many(c.n, 'picture')}, now and after: {c.was.before} and {c.was.after} by the labels as they were, "
        f"{c.now.before} and {c.now.after} by your labels."
    )


def beside(real: Columns, foreseen: Columns | None) -> str:
    """``mistakes on all 398 pictures, cross-checked: 10 → 6 (forecast: 7)``"""
    said = f" (forecast: {foreseen.now.after})" if foreseen else ""
    return f"mistakes on all {many(real.n, 'picture')}, cross-checked: {real.now.before} → {real.now.after}{said}"
