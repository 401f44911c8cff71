"""Where a model is wrong: the images with the highest loss, and the classes it takes for one another."""

from __future__ import annotations

from typing import Any

import numpy as np

from keepset.interpret.scored import Scored

__all__ = ["confused_pairs", "top_losses"]

TOP_LOSSES = 24
PAIRS, OF_EACH = 6, 8


def top_losses(s: Scored) -> list[dict[str, Any]]:
    """The 24 images with the highest loss, highest first."""
    return [s.card(int(i)) for i in np.argsort(-s.losses, kind="stable")[:TOP_LOSSES]]


def confused_pairs(s: Scored) -> list[dict[str, Any]]:
    """The six most frequent mistakes, given class to predicted class, with up to eight images each."""
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
