"""When to stop cleaning: what the batches found of what was looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keepset.models.intervals import wilson
from keepset.review.batch import list_batches
from keepset.text import many, share
from keepset.workspace import Workspace

__all__ = ["BatchYield", "StopAdvice", "advise", "stop_rule"]

ENOUGH = 1 / 50
"""A batch that finds no more than this of what was looked at is a poor one."""
RUNNING = 2
"""So many poor batches running: stop."""
FEW = 20
"""A share of fewer pictures means nothing."""


@dataclass(frozen=True)
class BatchYield:
    """What one decided batch brought: images ``found`` wrong of those ``reviewed``, of ``candidates``.

    Images that were shown only because somebody asked for all are left out: they say nothing of the next batch.
    """

    batch_id: str
    found: int
    reviewed: int
    candidates: int
    low: float
    high: float


@dataclass(frozen=True)
class StopAdvice:
    """Yields of all approved batches, oldest first, and the advice. ``low`` and ``high`` are the 95 %
    Wilson interval of the share found, over the last two batches together."""

    yields: tuple[BatchYield, ...]
    stop: bool
    low: float
    high: float
    words: str


def stop_rule(ws: Workspace) -> StopAdvice:
    """What all approved batches brought, and whether to go on."""
    yields = []
    for b in list_batches(ws):
        approval = b.approval()
        if approval is not None and approval.decision == "approve":
            unasked = b.on_request()
            found, reviewed = (len(of.keys() - unasked) for of in (approval.changes(), approval.decisions))
            yields.append(BatchYield(b.id, found, reviewed, b.proposed, *wilson(found, reviewed)))
    return advise(yields)


def advise(yields: Sequence[BatchYield]) -> StopAdvice:
    """Advise stopping when two batches running found at most 1 in 50 of what was looked at.

    Together they must be 50 images, or all that there was to look at; else it is too early to tell.
    """
    last = [y for y in yields if y.reviewed][-RUNNING:]
    found, reviewed = sum(y.found for y in last), sum(y.reviewed for y in last)
    low, high = wilson(found, reviewed)
    poor = len(last) == RUNNING and all(y.found <= ENOUGH * y.reviewed for y in last)
    told = reviewed >= 1 / ENOUGH or all(y.reviewed >= y.candidates for y in last)
    return StopAdvice(tuple(yields), poor and told, low, high, _words(last, poor, told, (low, high)))


def _words(last: list[BatchYield], poor: bool, told: bool, interval: tuple[float, float]) -> str:
    """Empty before the first review. Few pictures are counted, not turned into percentages."""
    if not last:
        return ""
    found, reviewed = sum(y.found for y in last), sum(y.reviewed for y in last)
    candidates = sum(y.candidates for y in last)
    if not told and 2 * reviewed < candidates:
        return f"Only {reviewed} of the last {many(candidates, 'proposed picture')} {_are(reviewed)} decided: too few to tell whether to go on."
    head = f"Of the last {many(reviewed, 'picture')} reviewed, {found or 'none'} {_are(found)} wrong"
    if reviewed >= FEW:
        low, high = (round(100 * end) for end in interval)
        head += f" ({share(found / reviewed)}; likely {low} to {high} %)"
    if poor and told:
        return f"{head}: stopping is reasonable."
    if poor:
        return f"{head}: too few to say that it is enough."
    return f"{head}. Another batch is likely to find more."


def _are(n: int) -> str:
    return "was" if n <= 1 else "were"
