"""The same jobs in FiftyOne's App and in fastai's cleaner, counted from their documented controls, not run.

fastai (``ImageClassifierCleaner``): a menu for the class, one for the split, and one per picture with <Keep>, <Delete> and the
classes; choosing from a menu is two clicks. It shows the 30 pictures of largest loss of one class and split, and forgets marks when
those change, so that a cell is run before (1) that deletes and relabels. Another 30 come when the cleaner is made again (1).

FiftyOne: a click on a sample's box selects it, a shift-click a range; sorting by similarity is two clicks after a sample is
selected; tagging is three (the tag button, the name, Apply), and clears the selection; sorting by a field is two. What is tagged is deleted or relabelled by one
line of Python at the end. Its first order is by uniqueness (distance to the nearest others), its similarity is Keepset's.
The reviewer picks the example that brings most, which no person could know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.review.reviewer import best_run

__all__ = ["fastai_deletes", "fastai_mixed", "fiftyone_deletes", "fiftyone_mixed"]

MENU, RUN, SHOWN = 2, 1, 30
TAG, SIMILAR, SORT, PYTHON = 3, 2, 2, 1


def fastai_mixed(cards: Sequence[Mapping[str, str]], changed: Mapping[str, str]) -> int:
    """Actions to decide ``cards`` (label, split), of which ``changed`` (by sha256: to what) are not kept."""
    lists = {(c["label"], c["split"]) for c in cards if c["sha256"] in changed}
    return MENU * len(changed) + len(lists) * (2 * MENU + RUN)


def fiftyone_mixed(changed: Mapping[str, str]) -> int:
    """Selected kind of change by kind of change, and tagged."""
    return len(changed) + len(set(changed.values())) * TAG + PYTHON


def fastai_deletes(rows: Sequence[Mapping[str, str]], bad: set[str], wanted: int) -> int:
    """``rows``: sha256, label and split by descending loss. Actions until ``wanted`` of ``bad`` are deleted."""
    lists: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        lists.setdefault((row["label"], row["split"]), []).append(row["sha256"])
    actions = found = 0
    while found < wanted:
        before = found
        for shas in lists.values():
            mine = [s for s in shas[:SHOWN] if s in bad][: wanted - found]
            if mine:
                actions += 2 * MENU + MENU * len(mine) + RUN
                found += len(mine)
                shas[:] = [s for s in shas if s not in mine]
        actions += RUN
        if found == before:  # what is shown now is right and stays on top: the reviewer goes on in pages of code
            for shas in lists.values():
                del shas[:SHOWN]
    return actions


def fiftyone_deletes(order: Sequence[str], like: Callable[[str], Sequence[str]], bad: set[str], wanted: int) -> int:
    """``order``: all images as they are sorted first; ``like``: all images by likeness to one. Runs are tagged until ``wanted``
    of ``bad`` are."""
    left, found, actions = set(bad), 0, SORT + PYTHON
    view = list(order)
    while found < wanted:
        gain, cost, gone = _run([s for s in view if s in left or s not in bad], left)
        for example in sorted(left)[:: max(1, len(left) // 20)]:
            other = [s for s in like(example) if s in left or s not in bad]
            tried = _run(other, left)
            if tried[0] / (tried[1] + 1 + SIMILAR) > gain / cost:
                gain, cost, gone = tried[0], tried[1] + 1 + SIMILAR, tried[2]
        left -= gone
        found += gain
        actions += cost
    return actions


def _run(view: Sequence[str], bad: set[str]) -> tuple[int, int, set[str]]:
    """The best run of a view: bad ones in it, actions to tag them, and which they are."""
    begin, end = best_run([s in bad for s in view])
    gone = {s for s in view[begin:end] if s in bad}
    ends = 1 if end - begin == 1 else 2
    return len(gone), ends + (end - begin - len(gone)) + TAG, gone
