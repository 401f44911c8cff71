"""How a data set came to be what it is: its revisions, and the decisions behind them."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from keepset import manifests
from keepset.review.auditing import REVISING
from keepset.workspace import Workspace

__all__ = ["history"]

_COUNTS = ("deleted", "relabelled", "restored", "removed")


def history(ws: Workspace, last: int) -> list[dict[str, Any]]:
    """One entry a revision up to ``last``: ``cause``, ``images`` (active), ``added`` and what changed, who, when, why.

    ``who`` is "keepset" for a revision that ``split`` made of new images; ``at`` is None there.
    """
    decided = {r["what"].get("revision"): r for r in ws.audited(*REVISING)}
    return [_entry(ws, n, decided.get(n)) for n in ws.revisions() if n <= last]


def _entry(ws: Workspace, number: int, decision: dict[str, Any] | None) -> dict[str, Any]:
    extra = manifests.read_header(ws.dataset(number)).extra
    active = added = 0
    for batch in manifests.batches(ws.dataset(number), "dataset", ("active", "added_in"), size=65_536):
        active += pc.sum(batch["active"]).as_py() or 0
        added += pc.sum(pc.equal(batch["added_in"], number)).as_py() or 0
    return {
        "revision": number, "cause": str(extra.get("cause", "")), "images": active, "added": added,
        **{k: int(extra.get(k, 0)) for k in _COUNTS},
        "who": str(extra.get("who", "keepset")), "at": decision["at"] if decision else None,
        "why": str(extra.get("why", "")),
    }  # fmt: skip
