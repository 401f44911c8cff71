"""The images that no finder proposes, for a person who wants to look through all of them."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from keepset.reasons import Action, CandidateReason
from keepset.review.evidence import Evidence
from keepset.review.findings import Finding
from keepset.review.suspicion import Suspicion

__all__ = ["the_rest"]


def the_rest(
    evidence: Evidence, scored: Suspicion | None, proposed: Container[str], weak: Mapping[str, Sequence[Finding]]
) -> list[Finding]:
    """Every active image that is not ``proposed``, the most suspicious first, then those that were not scored.

    Their score is what the scorers say; the suggestion is to keep them. ``weak`` findings are added to its explanation.
    """
    chance = dict(zip(scored.scores.sha256, scored.chance.tolist(), strict=True)) if scored else {}
    left = [sha for sha in evidence.rows if sha not in proposed]
    left.sort(key=lambda sha: (-chance.get(sha, 0.0), sha))
    return [_shown(evidence, sha, chance.get(sha, 0.0), weak.get(sha, ())) for sha in left]


def _shown(evidence: Evidence, sha: str, chance: float, weak: Sequence[Finding]) -> Finding:
    known = sha in evidence.past.decided
    reason = CandidateReason.DECIDED_BEFORE if known else CandidateReason.NOT_SUSPECTED
    words = "a person decided it before, and the suspicion is not much stronger now" if known else _words(evidence, sha)
    words = "; ".join([*(f.words for f in weak), words, "shown because all images were asked for"])
    return Finding(sha, reason, chance, Action.KEEP, None, words)


def _words(evidence: Evidence, sha: str) -> str:
    p, label = evidence.prediction(sha), evidence.dataset[sha]["label"]
    if p is None:
        return "nothing suspicious was found, but this model has not seen it"
    given = evidence.given_probability(sha)
    if p["cv_predicted"] != label:
        best = f"'{p['cv_predicted']}' {max(p['cv_probs']):.0%}, '{label}' {given:.0%}"
        return f"another class is a little likelier ({best}), not by enough to propose it"
    return f"nothing suspicious was found ('{label}' {given:.0%})"
