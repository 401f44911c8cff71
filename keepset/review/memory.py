"""What was decided before, so that nobody is asked the same thing twice without cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keepset.manifests.rows import CandidateRow
from keepset.reasons import Action, CandidateReason
from keepset.review.batch import list_batches
from keepset.workspace import Workspace

__all__ = ["STRONG", "Decided", "Past", "recall"]

STRONG = 0.9
"""Score from which a model's disagreement is strong."""
UNASKED = 0.5
"""Score taken for an image that was decided without having been a candidate itself."""


@dataclass(frozen=True)
class Decided:
    """When an image was last decided (ISO 8601), and the highest score it was shown with.

    Restoring is a second decision against the model: a restored image is not asked about again.
    """

    at: str
    score: float
    restored: bool = False


@dataclass(frozen=True)
class Past:
    """``decided`` by sha256; ``apart`` holds pairs that a person judged to be no duplicates."""

    decided: Mapping[str, Decided]
    apart: frozenset[frozenset[str]]

    def asks_again(self, sha: str, score: float) -> bool:
        """Whether a label issue of this score may be shown, though it was decided before.

        The model must disagree strongly, and be surer than then: half of the doubt (1 - score) must be
        gone. So a person's answer stands against the same model and against noise, and a stubborn model
        can ask only a few times ever.
        """
        before = self.decided.get(sha)
        if before is None:
            return True
        return not before.restored and score >= STRONG and 1 - score <= (1 - before.score) / 2

    def are_apart(self, one: str, other: str) -> bool:
        """Whether a person wanted to have the image ``one`` beside ``other``."""
        decided = self.decided.get(one)
        return frozenset((one, other)) in self.apart or bool(decided and decided.restored)

    def kept_both(self, one: str, other: str) -> bool:
        """Whether a person wanted to have the two images beside each other."""
        return self.are_apart(one, other) or self.are_apart(other, one)


def recall(ws: Workspace, rows: Iterable[Mapping[str, Any]]) -> Past:
    """Read the approved batches; ``rows`` of the data set (``sha256``, ``changed_by``) say what somebody brought back.

    Rejected batches decide nothing.
    """
    decided: dict[str, Decided] = {}
    apart: set[frozenset[str]] = set()
    for batch in list_batches(ws):
        approval = batch.approval()
        if approval is None or approval.decision != "approve":
            continue
        shown = batch.candidates().rows(CandidateRow)
        scores = {r["sha256"]: r["score"] for r in shown}
        for sha in approval.decisions:
            old, score = decided.get(sha), scores.get(sha, UNASKED)
            decided[sha] = Decided(approval.at, max(score, old.score if old else 0.0))
        apart |= _judged_apart(shown, approval.decisions)
    for sha in (r["sha256"] for r in rows if (r["changed_by"] or "").startswith("restore:")):
        old = decided.get(sha)
        decided[sha] = Decided(old.at if old else "", old.score if old else UNASKED, True)
    return Past(decided, frozenset(apart))


_DUPLICATES = {CandidateReason.EXACT_DUPLICATE, CandidateReason.NEAR_DUPLICATE}


def _judged_apart(rows: Sequence[CandidateRow], decisions: Mapping[str, Mapping[str, Any]]) -> set[frozenset[str]]:
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
