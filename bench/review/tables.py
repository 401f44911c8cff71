"""What ``planted.py`` found, as the page ``docs/benchmarks-review.md``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bench.review.repair import STATES, Repair
from bench.review.sets import Condition

__all__ = ["RANKINGS", "Result", "line", "page"]

RANKINGS = ("keepset", "cleanlab", "ridge", "rule", "fastai")


@dataclass(frozen=True)
class Result:
    """One condition: by ranking, average precision and looks to find 90 %; and what cleaning brought."""

    condition: Condition
    images: int
    errors: int
    precision: dict[str, float]
    looks: dict[str, int]
    repair: Repair
    seconds: float


_LEGEND = """\
* *keepset*: what `keepset review` ranks label issues by; *cleanlab* and *ridge* are its two halves, each alone.
* *rule*: fastai's cleaner's rule (by loss, held-out for validation and in-sample for training images) on our own,
  strongly regularised model. *fastai*: fastai 2 itself, its own training and its own losses.
* *photos* are scraped and hold real mistakes too, which count as wrong finds here for every ranking. *drawn* pictures
  are made small and noisy: as they come, every ranking on our model is perfect, and nothing can be compared.
"""

_REPAIR = """\
## Is the model better afterwards?

The same planted sets, each cleaned by *one* batch as `keepset review` opens it, then trained again by the product's own
stages; sums over the seeds. *suggested*: the suggestions approved unseen (what `approve --suggested` does). *person*:
every candidate of the batch marked by somebody who knows the true labels. *true*: trained on the true labels, the best
that cleaning could reach. All errors are counted against the true labels (of photos: those they came with), on the
images that all four models have.
"""


def page(results: list[Result], epochs: int) -> str:
    results = sorted(results, key=lambda r: (r.condition.data, r.condition.rate, r.condition.kind))
    seeds = len({r.condition.seed for r in results})
    minutes = sum(r.seconds for r in results) / 60
    lines = [
        "# Finding planted label errors", "",
        "Written by `bench/review/planted.py`; what is compared stands at its top, how Keepset scores in",
        "[reviewing.md](reviewing.md). The method was fixed before the first run and not changed after it. Each cell is",
        "average precision / images to look at, likeliest first, until 90 % of the planted errors are found. Means",
        f"over {seeds} seeds (*fastai*: the first seed). Fine-tuning epochs of our model: {epochs}. All of it took",
        f"{minutes:.0f} minutes, on a machine with other work beside it.", "",
        _LEGEND,
        "| set | images | errors | noise | fewest looks possible | " + " | ".join(RANKINGS) + " |",
        "|---|---|---|---|---|" + "---|" * len(RANKINGS),
        *(line(g) for g in _groups(results)), "",
        "Looks of the others over Keepset's, in the same runs:", "",
        "| against | sum of looks | ratio | lowest in one run | highest in one run |",
        "|---|---|---|---|---|",
        *(_ratio(results, k) for k in RANKINGS[1:]), "",
        _REPAIR, *_repairs(results), "",
    ]  # fmt: skip
    return "\n".join(lines)


def _groups(results: list[Result]) -> list[list[Result]]:
    found: dict[tuple[str, float, str], list[Result]] = {}
    for r in results:
        found.setdefault((r.condition.data, r.condition.rate, r.condition.kind), []).append(r)
    return list(found.values())


def line(group: list[Result]) -> str:
    r, c = group[0], group[0].condition
    head = [c.data, str(r.images), f"{r.errors} ({c.rate:.0%})", c.kind, str(math.ceil(0.9 * r.errors))]
    return "| " + " | ".join([*head, *(_cell(group, k) for k in RANKINGS)]) + " |"


def _cell(group: list[Result], ranking: str) -> str:
    known = [g for g in group if ranking in g.looks]
    if not known:
        return "not run"
    ap, looks = (np.mean([getattr(g, part)[ranking] for g in known]) for part in ("precision", "looks"))
    return f"{ap:.2f} / {looks:.0f}"


def _ratio(results: list[Result], ranking: str) -> str:
    known = [r for r in results if ranking in r.looks]
    if not known:
        return f"| {ranking} | not run | | | |"
    theirs, ours = sum(r.looks[ranking] for r in known), sum(r.looks["keepset"] for r in known)
    each = [r.looks[ranking] / r.looks["keepset"] for r in known]
    return (
        f"| {ranking} | {theirs} against {ours} | {theirs / ours:.2f} | {min(each):.2f} | {max(each):.2f} |"
    )


def _repairs(results: list[Result]) -> Iterable[str]:
    """Two tables: what became of the labels, and of the models."""
    yield "| set | errors planted | noise | candidates | planted errors among them | wrong labels left: suggested | person |"
    yield "|---|---|---|---|---|---|---|"
    for group in _groups(results):
        c, repairs = group[0].condition, [r.repair for r in group]
        cells = [
            c.data, f"{sum(r.errors for r in group)} ({c.rate:.0%})", c.kind,
            str(sum(p.candidates for p in repairs)), str(sum(p.in_batch for p in repairs)),
            f"{sum(p.left['suggested'] for p in repairs)}, {sum(p.deleted for p in repairs)} images deleted",
            str(sum(p.left["person"] for p in repairs)),
        ]  # fmt: skip
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield "| errors of the model | images | " + " | ".join(STATES) + " |"
    yield "|---|---|" + "---|" * len(STATES)
    for data in sorted({r.condition.data for r in results}):
        mine = [r.repair for r in results if r.condition.data == data]
        yield _errors(f"{data}, validation", [(p.valid_n, p.valid) for p in mine])
        yield _errors(f"{data}, cross-validated", [(p.all_n, p.all) for p in mine])


def _errors(name: str, found: list[tuple[int, dict[str, int]]]) -> str:
    n = sum(count for count, _ in found)
    sums = [sum(errors[s] for _, errors in found) for s in STATES]
    return f"| {name} | {n} | " + " | ".join(f"{e} ({e / n:.1%})" for e in sums) + " |"
