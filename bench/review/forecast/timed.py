"""What a forecast costs: sets of any size, mixed from the features of a small one."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from bench.review.forecast.judged import Features
from bench.review.forecast.sets import JUNK, Labelled, mixed
from keepset.forecast.heads import Known, compressed, effects, retrained

__all__ = ["times"]

MARKS = 50


def times(s: Labelled, sizes: tuple[int, ...] = (500, 1000, 5000, 20_000)) -> Iterator[str]:
    """Lines of Markdown: CPU seconds until the first forecast of a model, and of each further one."""
    from threadpoolctl import threadpool_limits

    fit = retrained  # loads scikit-learn before the clock runs
    fit(Known(s.features[:, :5], s.folds, s.learn, s.classes), s.labels)
    yield "| pictures | once per model and revision | each set of marks |"
    yield "|---|---|---|"
    for n in sizes:
        big = mixed(s, n)
        with threadpool_limits(1):
            begin = time.process_time()
            known = Known(compressed(Features(big.features)), big.folds, big.learn, big.classes)  # type: ignore[arg-type]
            retrained(known, big.labels)
            first = time.process_time() - begin
            after = big.labels.copy()
            after[:MARKS] = np.where(np.arange(MARKS) % 2 == 0, JUNK, (after[:MARKS] + 1) % big.classes)
            begin = time.process_time()
            effects(known, retrained(known, after), big.labels, after)
        yield f"| {n:,} | {first:.2f} | {time.process_time() - begin:.2f} |"
