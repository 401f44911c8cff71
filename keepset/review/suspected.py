"""Findings from the scorers: the reasons that weigh most, and what to do about the picture."""

from __future__ import annotations

from collections.abc import Iterator

from keepset.reasons import Action, CandidateReason
from keepset.review.evidence import Evidence
from keepset.review.findings import Finding
from keepset.review.imagenet import graphic_classes, names
from keepset.review.suspicion import Suspicion
from keepset.text import certainty

__all__ = ["suspected"]

LIKELY = 0.6
"""Out-of-sample probability of another class from which relabelling to it is suggested."""
DELETE = 0.5
"""Chance from which deleting is suggested; below it the picture is only shown."""
COUNTS, BESIDE = 1.5, 0.4
"""A reason is named if it adds so much log-odds, and so large a share of what the main reason adds."""
FITS = 4.0
"""Standard deviations from the mean of another class within which a picture may be of that class."""
SURELY_SEEN = 0.3
RARE = 0.05


def suspected(evidence: Evidence, found: Suspicion, least: float) -> Iterator[Finding]:
    """The findings of each image whose chance is at least ``least``, the main reason first.

    An image that was decided before is asked about again only if the suspicion is strong and much stronger than then.
    """
    for i, sha in enumerate(found.scores.sha256):
        chance = float(found.chance[i])
        if chance >= least and evidence.past.asks_again(sha, chance):
            yield from _findings(evidence, found, i)


def _findings(evidence: Evidence, found: Suspicion, i: int) -> Iterator[Finding]:
    sha, chance = found.scores.sha256[i], float(found.chance[i])
    weighed = sorted(_weighed(evidence, found, i), reverse=True)
    most = weighed[0][0]
    action, label = _action(evidence, found, i, weighed[0][1])
    again = "; decided before, but the suspicion is much stronger now" if sha in evidence.past.decided else ""
    for weight, reason in weighed:
        if weight == most or weight >= max(COUNTS, BESIDE * most):
            words = _words(evidence, found, i, reason) + again
            yield Finding(sha, reason, chance, action, label, words)
            again = ""


def _weighed(evidence: Evidence, found: Suspicion, i: int) -> list[tuple[float, CandidateReason]]:
    """What each reason adds. A picture of another class is unlike its own: that is one reason, not two."""
    label, unlike, graphic = float(found.label[i]), float(found.unlike[i]), float(found.graphic[i])
    if label >= COUNTS and _other_class(evidence, found, i) is not None:
        label, unlike = label + max(unlike, 0.0), 0.0
    return [(label, CandidateReason.LABEL_ISSUE), (unlike, CandidateReason.OUTLIER), (graphic, CandidateReason.GRAPHIC)]


def _other_class(evidence: Evidence, found: Suspicion, i: int) -> str | None:
    """The class that the model is sure of, if it is another one than the image has, is still a class, and the image is like its
    pictures."""
    sha = found.scores.sha256[i]
    p = evidence.predictions[sha]
    other: str = p["cv_predicted"]
    sure = other != evidence.dataset[sha]["label"] and max(p["cv_probs"]) >= LIKELY and other in evidence.labels
    return other if sure and found.scores.beyond[i] <= FITS else None


def _action(evidence: Evidence, found: Suspicion, i: int, main: CandidateReason) -> tuple[Action, str | None]:
    """Relabel where the model is sure of another class; delete what fits none; else leave it to the person."""
    other = _other_class(evidence, found, i)
    if other is not None and main == CandidateReason.LABEL_ISSUE:
        return Action.RELABEL, other
    return (Action.DELETE if found.chance[i] >= DELETE else Action.KEEP), None


def _words(evidence: Evidence, found: Suspicion, i: int, reason: CandidateReason) -> str:
    sha = found.scores.sha256[i]
    label = evidence.dataset[sha]["label"]
    seen, share = int(found.scores.seen[i]), float(found.scores.share[i])
    if reason == CandidateReason.LABEL_ISSUE:
        return _label_words(evidence, sha, label)
    if reason == CandidateReason.GRAPHIC:
        if seen in graphic_classes() and share >= SURELY_SEEN:
            return f"looks like {_a(names()[seen])}"
        return "looks like a drawing, a layout or a page of text, not like the other photos"
    rare = seen >= 0 and share >= SURELY_SEEN and float(found.scores.usual[i]) <= RARE
    if rare and seen not in graphic_classes():
        return f"looks like {_a(names()[seen])}; few pictures of '{label}' do"
    return f"unlike the other pictures of '{label}'"


def _label_words(evidence: Evidence, sha: str, label: str) -> str:
    p = evidence.predictions[sha]
    best, probability = p["cv_predicted"], max(p["cv_probs"])
    if best == label:
        return f"does not look like most '{label}' pictures"
    if probability >= LIKELY:
        return f"looks like '{best}' ({certainty(probability)}), labelled '{label}'"
    return f"hardly looks like '{label}', and no other class is likely (best '{best}', {certainty(probability)})"


def _a(noun: str) -> str:
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"
