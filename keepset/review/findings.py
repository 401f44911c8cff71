"""One finder a reason: each says which images, how sure (0..1), what to do, and why in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keepset.reasons import Action, CandidateReason
from keepset.review.evidence import Evidence
from keepset.review.scores import LabelScores
from keepset.scrape.local import LOCAL

__all__ = [
    "EXACT", "NEAR", "Finding", "conflicts", "corrections", "duplicates", "groups_of", "label_issues", "placeholders",
]  # fmt: skip

# How sure a reason is that the image needs a change. Fixed by judgement, not tuned.
EXACT = 0.95
NEAR = 0.75
CONFLICT = 0.9
CONFLICT_SETTLED = 0.55  # the model agrees with the label it has
CORRECTED = 0.97
SERVED_OFTEN = 0.9

MANY, MANY_OF_ONE = 4, 10
"""So many URLs gave the same file, of several classes or of one: a site's "photo unavailable" rather than a picture."""
SURE = 0.6
"""Out-of-sample probability of another class from which relabelling to it is suggested."""
WRONG = 0.8
"""Label-issue score from which an image that fits no class is suggested for deletion."""


@dataclass(frozen=True)
class Finding:
    """One reason to show one image."""

    sha256: str
    reason: CandidateReason
    score: float
    action: Action
    label: str | None
    words: str


def label_issues(evidence: Evidence, scores: LabelScores, min_score: float) -> Iterator[Finding]:
    """Images whose label both scorers together doubt."""
    for i, sha in enumerate(scores.sha256):
        score = float(scores.score[i])
        if score >= min_score and evidence.past.asks_again(sha, score):
            yield _label_issue(evidence, sha, score)


def _label_issue(evidence: Evidence, sha: str, score: float) -> Finding:
    """Relabel where the model is sure of another class; delete where it is only sure that it is not this."""
    p, label = evidence.predictions[sha], evidence.dataset[sha]["label"]
    best, share = p["cv_predicted"], max(p["cv_probs"])
    action, target = Action.KEEP, None
    words = f"looks like '{best}' ({share:.0%}), labelled '{label}'"
    if best == label:
        words = f"does not look like most '{label}' pictures"
    elif share >= SURE:
        action, target = Action.RELABEL, best
    elif score >= WRONG:
        action = Action.DELETE
        words = f"hardly looks like '{label}', and no other class is likely (best '{best}', {share:.0%})"
    if sha in evidence.past.decided:
        words += "; decided before, but the model is much surer now"
    return Finding(sha, CandidateReason.LABEL_ISSUE, score, action, target, words)


def conflicts(evidence: Evidence) -> Iterator[Finding]:
    """The same picture under two classes: the same file, or two copies with different labels."""
    groups = groups_of(evidence)
    for row in evidence.rows:
        sha = row["sha256"]
        if sha in evidence.past.decided:
            continue
        twins = {m["label"] for m in groups.get(row["group_id"], []) if _are_copies(row, m)}
        found, copied = set(row["other_labels"]) - {row["label"]}, twins - {row["label"]}
        words = [f"found under '{row['label']}' and also under {_named(found)}"] if found else []
        words += [f"labelled '{row['label']}', but a copy of it {_named(copied)}"] if copied else []
        if words:
            yield _conflict(evidence, row, found | copied, "; ".join(words))


def _named(labels: set[str]) -> str:
    return ", ".join(f"'{label}'" for label in sorted(labels))


def _conflict(evidence: Evidence, row: Mapping[str, Any], others: set[str], words: str) -> Finding:
    sha, label = row["sha256"], row["label"]
    p = evidence.prediction(sha)
    if p is not None and p["cv_predicted"] in others:
        guess = p["cv_predicted"]
        words += f"; looks like '{guess}'"
        return Finding(sha, CandidateReason.LABEL_CONFLICT, CONFLICT, Action.RELABEL, guess, words)
    if p is not None and p["cv_predicted"] == label:
        words += f"; looks like '{label}'"
    return Finding(sha, CandidateReason.LABEL_CONFLICT, CONFLICT_SETTLED, Action.KEEP, None, words)


def placeholders(evidence: Evidence) -> Iterator[Finding]:
    """Files that many URLs gave. Copies in folders of one's own are left to the search for duplicates."""
    for row in evidence.rows:
        sha, label = row["sha256"], row["label"]
        image = evidence.images.get(sha)
        if image is None or image["source"] in LOCAL or sha in evidence.past.decided:
            continue
        others = {*row["other_labels"], *image["other_labels"]} - {label}
        if image["copies"] >= (MANY if others else MANY_OF_ONE):
            words = f"{image['copies']} URLs returned this same file (classes: {_named({label} | others)}); it is probably a placeholder"
            words += " such as 'photo unavailable'"
            yield Finding(sha, CandidateReason.PLACEHOLDER, SERVED_OFTEN, Action.DELETE, None, words)


def _are_copies(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether one of two rows of a group is a copy of the other, or both of a third."""
    if row["sha256"] == other["sha256"]:
        return False
    return bool(
        other["sha256"] == row["dup_of"]
        or other["dup_of"] == row["sha256"]
        or (row["dup_of"] is not None and row["dup_of"] == other["dup_of"])
    )


def duplicates(evidence: Evidence) -> Iterator[Finding]:
    """All but the best active copy of each duplicate group, unless a person judged them different."""
    for members in groups_of(evidence).values():
        best = members[0]
        for row in members[1:]:
            sha = row["sha256"]
            if evidence.past.are_apart(sha, best["sha256"]):
                continue
            exact = _same_pixels(row, best)
            reason = CandidateReason.EXACT_DUPLICATE if exact else CandidateReason.NEAR_DUPLICATE
            words = f"{'same pixels as' if exact else 'nearly the same as'} {best['sha256'][:8]}"
            words += f", {_better(evidence, best, row)}"
            yield Finding(sha, reason, EXACT if exact else NEAR, Action.DELETE, None, words)


def _same_pixels(row: Mapping[str, Any], best: Mapping[str, Any]) -> bool:
    """Whether both are the same picture: one an exact copy of the other, or both of a third that is gone."""
    if row["dup_kind"] != "exact":
        return False
    third = best["dup_kind"] == "exact" and best["dup_of"] == row["dup_of"]
    return bool(row["dup_of"] == best["sha256"] or third)


def groups_of(evidence: Evidence) -> dict[str, list[dict[str, Any]]]:
    """Active members of each duplicate group of two or more, the best first.

    Best is the copy the others point at (``dup_of``); if it is gone, the largest picture, then file.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for row in evidence.rows:
        found.setdefault(row["group_id"], []).append(row)
    many = {g: rows for g, rows in found.items() if len(rows) > 1}

    def order(row: Mapping[str, Any]) -> tuple[Any, ...]:
        image = evidence.images.get(row["sha256"], {})
        pixels = (image.get("width") or 0) * (image.get("height") or 0)
        return row["dup_of"] is not None, -pixels, -(image.get("bytes") or 0), row["sha256"]

    return {g: sorted(rows, key=order) for g, rows in many.items()}


def _better(evidence: Evidence, best: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    one, two = evidence.images.get(best["sha256"]), evidence.images.get(row["sha256"])
    if not one or not two or not one["width"] or not two["width"]:
        return "which is kept"
    sizes = f"{one['width']}×{one['height']} {one['format']} against {two['width']}×{two['height']} {two['format']}"
    return f"which is kept: {sizes}"


def corrections(evidence: Evidence) -> Iterator[Finding]:
    """What users of the prediction page said."""
    for sha, c in evidence.corrections.items():
        by = f" ({c.who})" if c.who else ""
        words = f"a user{by} says it is '{c.label}'"
        known = c.label in evidence.labels
        action, label = (Action.RELABEL, c.label) if known else (Action.KEEP, None)
        words += "" if known else ", which is no class here"
        if not evidence.dataset[sha]["active"]:
            words += "; it came by the inbox, and is used only if it is relabelled"
        yield Finding(sha, CandidateReason.USER_CORRECTION, CORRECTED, action, label, words)
