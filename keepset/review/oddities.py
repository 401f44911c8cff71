"""Images of low quality or of an odd size.

All thresholds are here. An oddity that half of the set has is what the set looks like, and is hidden (as
cleanvision does).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keepset.reasons import Action, CandidateReason
from keepset.review.evidence import Evidence
from keepset.review.findings import Finding

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

__all__ = ["CHECKS", "QualityCheck", "oddities"]

COMMON = 0.5
"""Share of the set from which an oddity is hidden."""
ODD_SIZE = 10.0
"""Side (square root of the area) so many times larger or smaller than the set's median."""


@dataclass(frozen=True)
class QualityCheck:
    """A low-quality check: a column of ``images``, and from where it is bad (below ``low`` or above ``high``)."""

    reason: CandidateReason
    column: str
    words: str
    low: float = -math.inf
    high: float = math.inf
    score: float = 0.05
    action: Action = Action.KEEP

    def fails(self, values: Floats) -> Mask:
        """Of the values of the column, [n]; one that is unknown (NaN) is not bad."""
        return (values < self.low) | (values > self.high)


# Of 120 scraped photos: mean luma 0.12 to 0.94, sharpness 92 and up, entropy 2.7 bits and up; blurred by 2 px
# at thumbnail size their sharpness is 20 at most.
CHECKS = (
    QualityCheck(CandidateReason.DARK, "brightness", "very dark", low=0.08),
    QualityCheck(CandidateReason.BRIGHT, "brightness", "very bright", high=0.96),
    QualityCheck(CandidateReason.BLURRY, "sharpness", "blurry", low=40.0),
    QualityCheck(
        CandidateReason.LOW_INFORMATION,
        "entropy",
        "hardly anything in it: one colour, or nearly",
        low=1.0,
        score=0.9,
        action=Action.DELETE,
    ),
)


def oddities(evidence: Evidence) -> Iterator[Finding]:
    """Low quality and odd sizes of images that nobody has decided on yet."""
    shas = list(evidence.rows)
    for check in CHECKS:
        values = evidence.measured(check.column)
        for i in _unless_common(check.fails(values)):
            yield from _fresh(evidence, Finding(shas[i], check.reason, check.score, check.action, None, check.words))
    yield from _odd_sizes(evidence, shas)


def _odd_sizes(evidence: Evidence, shas: Sequence[str]) -> Iterator[Finding]:
    width, height = evidence.measured("width"), evidence.measured("height")
    sides = np.sqrt(width * height)
    if not (sides > 0).any():
        return
    middle = float(np.median(sides[sides > 0]))
    for i in _unless_common((sides > 0) & ((sides < middle / ODD_SIZE) | (sides > middle * ODD_SIZE))):
        words = f"odd size {width[i]:.0f}×{height[i]:.0f}, the median side is {middle:.0f} px"
        yield from _fresh(evidence, Finding(shas[i], CandidateReason.ODD_SIZE, 0.05, Action.KEEP, None, words))


def _unless_common(found: Mask) -> list[int]:
    return [] if found.sum() > COMMON * len(found) else np.flatnonzero(found).tolist()


def _fresh(evidence: Evidence, finding: Finding) -> Iterator[Finding]:
    if finding.sha256 not in evidence.past.decided:
        yield finding
