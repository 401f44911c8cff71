"""The images that no finder proposes, for a person who wants to look through all of them."""

from __future__ import annotations

from collections.abc import Container

from keepset.reasons import Action, CandidateReason
from keepset.review.evidence import Evidence
from keepset.review.findings import Finding

__all__ = ["the_rest"]


def the_rest(evidence: Evidence, proposed: Container[str]) -> list[Finding]:
    """Every active image that is not ``proposed``, by the out-of-sample probability of its label, the lowest first.

    Their score is 0 and the suggestion is to keep them: nothing was found, and the words say no more than that.
    """
    left = [r["sha256"] for r in evidence.rows if r["sha256"] not in proposed]
    left.sort(key=lambda sha: (evidence.given_probability(sha), sha))
    return [_shown(evidence, sha) for sha in left]


def _shown(evidence: Evidence, sha: str) -> Finding:
    known = sha in evidence.past.decided
    reason = CandidateReason.DECIDED_BEFORE if known else CandidateReason.NOT_SUSPECTED
    words = (
        "a person decided it before, and the model is not much surer now" if known else _words(evidence, sha)
    )
    return Finding(sha, reason, 0.0, Action.KEEP, None, f"{words}; shown because all images were asked for")


def _words(evidence: Evidence, sha: str) -> str:
    p, label = evidence.prediction(sha), evidence.dataset[sha]["label"]
    if p is None:
        return "nothing suspicious was found, but this model has not seen it"
    given = evidence.given_probability(sha)
    if p["cv_predicted"] != label:
        best = f"'{p['cv_predicted']}' {max(p['cv_probs']):.0%}, '{label}' {given:.0%}"
        return f"another class is a little likelier ({best}), not by enough to propose it"
    return f"nothing suspicious was found ('{label}' {given:.0%})"
