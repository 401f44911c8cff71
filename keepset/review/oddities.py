"""Images of low quality or of an odd size.

All thresholds are here. An oddity that half of the set has is what the set looks like, and is hidden (as
cleanvision does).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from keepset.reasons import Action, CandidateReason
from keepset.review.evidence import Evidence
from keepset.review.findings import Finding

__all__ = ["CHECKS", "Check", "oddities"]

COMMON = 0.5
"""Share of the set from which an oddity is hidden."""
ODD_SIZE = 10.0
"""Side (square root of the area) so many times larger or smaller than the set's median."""


@dataclass(frozen=True)
class Check:
    """A low-quality check: a column of ``images``, and from where it is bad (below ``low`` or above ``high``)."""

    reason: CandidateReason
    column: str
    words: str
    low: float = -math.inf
    high: float = math.inf
    score: float = 0.05
    action: Action = Action.KEEP

    def fails(self, image: Mapping[str, Any]) -> bool:
        value = image.get(self.column)
        return value is not None and not self.low <= value <= self.high


# Of 120 scraped photos: mean luma 0.12 to 0.94, sharpness 92 and up, entropy 2.7 bits and up; blurred by 2 px
# at thumbnail size their sharpness is 20 at most.
CHECKS = (
    Check(CandidateReason.DARK, "brightness", "very dark (mean {value:.2f} of 1)", low=0.08),
    Check(CandidateReason.BRIGHT, "brightness", "very bright (mean {value:.2f} of 1)", high=0.96),
    Check(CandidateReason.BLURRY, "sharpness", "blurry (sharpness {value:.0f})", low=40.0),
    Check(
        CandidateReason.LOW_INFORMATION,
        "entropy",
        "hardly any content ({value:.1f} bits)",
        low=1.0,
        score=0.9,
        action=Action.DELETE,
    ),
)


def oddities(evidence: Evidence) -> Iterator[Finding]:
    """Low quality and odd sizes of images that nobody has decided on yet."""
    images = [(r["sha256"], evidence.images.get(r["sha256"], {})) for r in evidence.rows]
    for check in CHECKS:
        found = [(sha, image) for sha, image in images if check.fails(image)]
        for sha, image in _unless_common(found, len(images)):
            words = check.words.format(value=image[check.column] + 0.0)  # older manifests hold -0.0
            yield from _fresh(evidence, Finding(sha, check.reason, check.score, check.action, None, words))
    yield from _odd_sizes(evidence, images)


def _odd_sizes(evidence: Evidence, images: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[Finding]:
    sized = [(s, i) for s, i in images if i.get("width") and i.get("height")]
    if not sized:
        return
    middle = median(_side(i) for _, i in sized)
    found = [(s, i) for s, i in sized if not 1 / ODD_SIZE <= _side(i) / middle <= ODD_SIZE]
    for sha, image in _unless_common(found, len(images)):
        words = f"odd size {image['width']}×{image['height']}, the median side is {middle:.0f} px"
        yield from _fresh(evidence, Finding(sha, CandidateReason.ODD_SIZE, 0.05, Action.KEEP, None, words))


def _side(image: Mapping[str, Any]) -> float:
    return math.sqrt(image["width"] * image["height"])


def _unless_common(found: list[tuple[str, Any]], total: int) -> list[tuple[str, Any]]:
    return [] if len(found) > COMMON * total else found


def _fresh(evidence: Evidence, finding: Finding) -> Iterator[Finding]:
    if finding.sha256 not in evidence.past.decided:
        yield finding
