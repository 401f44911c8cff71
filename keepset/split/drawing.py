"""Drawing sides by seed: what is missing of each class's validation and test share is filled, lowest hash first."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from functools import partial

from keepset.config import RunConfig
from keepset.reasons import Split

__all__ = ["draw", "fold_of"]


def draw(
    units: Mapping[str, Counter[str]], have: Mapping[str, Counter[str]], config: RunConfig
) -> dict[str, tuple[str, int]]:
    """Side and fold of each unit, which is what stays together; ``units`` holds its images per class.

    ``have``: per class the images per side that there are already. A unit goes where no class gets more than its share.
    What room is left then is for units that bring the classes nearer to their shares, although one gets a little more.
    """
    total = Counter({label: sum(sides.values()) for label, sides in have.items()})
    for counts in units.values():
        total.update(counts)
    room = {side: _room(side, total, have, config) for side in (Split.VALID, Split.TEST)}
    order = sorted(units, key=lambda u: _number(config.seed, u))
    out = dict.fromkeys(order, Split.TRAIN)
    for fits in (_fits, partial(_nearer, total=total)):
        for unit in order:
            side = next((s for s, left in room.items() if fits(left, units[unit])), None)
            if out[unit] == Split.TRAIN and side is not None:
                out[unit] = side
                room[side].subtract(units[unit])
    return {unit: (str(out[unit]), fold_of(unit, config)) for unit in order}


def fold_of(unit: str, config: RunConfig) -> int:
    return _number(config.seed + 1, unit) % config.split.folds


def _room(side: Split, total: Mapping[str, int], have: Mapping[str, Counter[str]], config: RunConfig) -> Counter[str]:
    """Images per class that the side lacks. Where no test set is drawn, a given one is no part of the whole."""
    share = config.split.valid if side == Split.VALID else config.split.test
    if not share:
        return Counter()
    there = {label: have.get(label, Counter[str]()) for label in total}
    whole = {label: n - (0 if config.split.test else there[label][Split.TEST]) for label, n in total.items()}
    return Counter({label: round(whole[label] * share) - there[label][side] for label in total})


def _fits(left: Counter[str], counts: Counter[str]) -> bool:
    return all(left[label] >= n for label, n in counts.items())


def _nearer(left: Counter[str], counts: Counter[str], total: Mapping[str, int]) -> bool:
    """Whether the classes are then nearer to their shares, each by its size."""
    return sum((abs(left[c] - n) - abs(left[c])) / total[c] for c, n in counts.items()) < -1e-9


def _number(seed: int, unit: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{unit}".encode()).digest()[:8], "big")
