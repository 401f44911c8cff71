"""What was decided before, so that nobody is asked the same thing twice without cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keepset.manifests import Manifest
from keepset.reasons import Action, CandidateReason
from keepset.review.batch import list_batches
from keepset.workspace import Workspace

__all__ = ["STRONG", "TIMES", "Decided", "Past", "recall"]

STRONG = 0.95
"""Label-issue score from which another model's disagreement brings a decided image back."""
TIMES = 2
"""A person is asked at most so often about one image's label."""


@dataclass(frozen=True)
class Decided:
    """How often an image was decided, when last (ISO 8601), and which models had proposed it."""

    times: int
    at: str
    models: frozenset[str]


@dataclass(frozen=True)
class Past:
    """``decided`` by sha256; ``apart`` holds pairs that a person judged to be no duplicates."""

    decided: Mapping[str, Decided]
    apart: frozenset[frozenset[str]]

    def asks_again(self, sha: str, score: float, model_id: str) -> bool:
        """Whether a label issue of this score may be shown, though it was decided before."""
        before = self.decided.get(sha)
        if before is None:
            return True
        return score >= STRONG and before.times < TIMES and model_id not in before.models

    def are_apart(self, one: str, other: str) -> bool:
        return frozenset((one, other)) in self.apart


def recall(ws: Workspace, data: Manifest) -> Past:
    """Read the approved batches and the restorations. Rejected batches decide nothing."""
    decided: dict[str, Decided] = {}
    apart: set[frozenset[str]] = set()
    for batch in list_batches(ws):
        approval = batch.approval()
        if approval is None or approval.decision != "approve":
            continue
        for sha in approval.decisions:
            decided[sha] = _once_more(decided.get(sha), approval.at, batch.record.model_id)
        apart |= _judged_apart(batch.candidates().rows(), approval.decisions)
    for row in data.rows():
        if (row["changed_by"] or "").startswith("restore:"):
            old = decided.get(row["sha256"])
            decided[row["sha256"]] = old or Decided(1, "", frozenset())
    return Past(decided, frozenset(apart))


def _once_more(old: Decided | None, at: str, model: str) -> Decided:
    if old is None:
        return Decided(1, at, frozenset({model}))
    return Decided(old.times + 1, max(old.at, at), old.models | {model})


_DUPLICATES = {CandidateReason.EXACT_DUPLICATE, CandidateReason.NEAR_DUPLICATE}


def _judged_apart(
    rows: Sequence[Mapping[str, Any]], decisions: Mapping[str, Mapping[str, Any]]
) -> set[frozenset[str]]:
    """Pairs that were shown as duplicates and both stay."""
    found = set()
    for row in rows:
        if row["sha256"] not in decisions or not _DUPLICATES & set(row["reasons"]):
            continue
        stay = [s for s in (row["sha256"], *row["group_members"]) if not _deleted(decisions, s)]
        if row["sha256"] in stay:
            found |= {frozenset((row["sha256"], s)) for s in stay[1:]}
    return found


def _deleted(decisions: Mapping[str, Mapping[str, Any]], sha: str) -> bool:
    return sha in decisions and decisions[sha]["action"] == Action.DELETE
