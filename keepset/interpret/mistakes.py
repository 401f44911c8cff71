"""Where a model is wrong: the worst pictures, and the classes it takes for one another."""

from __future__ import annotations

from typing import Any

import numpy as np

from keepset.history.timeline import named
from keepset.interpret.scored import Scored
from keepset.workspace import Workspace

__all__ = ["confused_pairs", "with_names", "worst"]

WORST = 24
PAIRS, OF_EACH = 6, 6


def worst(s: Scored) -> list[dict[str, Any]]:
    """Up to 24 pictures: the mistakes with the highest loss first, then the right ones that were the nearest calls."""
    return [s.card(int(i)) for i in np.lexsort((-s.losses, ~s.wrong))[:WORST]]


def confused_pairs(s: Scored) -> list[dict[str, Any]]:
    """The six most frequent mistakes, given class to predicted class, with up to six images each."""
    wrong = np.flatnonzero(s.wrong)
    key = s.given[wrong] * len(s.classes) + s.predicted[wrong]
    pairs, counts = np.unique(key, return_counts=True)
    order = np.lexsort((pairs, -counts))[:PAIRS]
    return [_pair(s, wrong[key == pairs[i]], int(counts[i])) for i in order]


def _pair(s: Scored, members: Any, n: int) -> dict[str, Any]:
    by_loss = members[np.argsort(-s.losses[members], kind="stable")]
    first = s.card(int(by_loss[0]))
    return {
        "label": first["label"],
        "predicted": first["predicted"],
        "n": n,
        "of": int((s.given == s.given[by_loss[0]]).sum()),
        "images": [s.card(int(i)) for i in by_loss[:OF_EACH]],
    }


def with_names(ws: Workspace, facts: dict[str, Any]) -> None:
    """Give every picture in ``facts`` the name of its file."""
    pictures: list[dict[str, Any]] = [*facts["top_losses"], *(r for p in facts["pairs"] for r in p["images"])]
    if facts["before_after"]:
        pictures += [*facts["before_after"]["fixed_images"], *facts["before_after"]["broken_images"]]
    names = named(ws, {r["sha256"] for r in pictures})
    for r in pictures:
        r["name"] = names.get(r["sha256"], r["sha256"][:8])
