"""One finder per reason: each reports which images, how sure (0..1), what to do, and why in plain language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow.compute as pc

from keepset.reasons import LOCAL_SOURCES, Action, CandidateReason
from keepset.review.evidence import Evidence
from keepset.review.naming import called

__all__ = ["EXACT", "NEAR", "Finding", "agreeing", "blanks", "conflicts", "corrections", "duplicates", "placeholders"]

# How sure a reason is that the image needs a change. Fixed by judgement, not tuned.
EXACT = 0.95
NEAR = 0.75
CONFLICT = 0.9
CONFLICT_SETTLED = 0.55  # the model agrees with the label it has
CORRECTED = 0.97
SERVED_OFTEN = 0.9
BLANK = 0.9

MANY, MANY_OF_ONE = 4, 10
"""So many URLs gave the same file, of several classes or of one: a site's "photo unavailable" rather than a picture."""

LEAST_ENTROPY, COMMON = 1.0, 0.5
"""Bits of luma entropy below which a picture is blank, and the share of blank ones from which that is what the set looks like. Of
120 scraped photos none had fewer than 2.7 bits."""


@dataclass(frozen=True)
class Finding:
    """One reason to show one image."""

    sha256: str
    reason: CandidateReason
    score: float
    action: Action
    label: str | None
    words: str


def conflicts(evidence: Evidence) -> Iterator[Finding]:
    """The same picture under two classes: the same file, or copies with different labels.

    All copies of a picture are judged by the mean of what the model says of each, so that no two of them are suggested
    for opposite classes.
    """
    groups: list[Sequence[Mapping[str, Any]]] = [*evidence.copies.values()]
    grouped = {r["sha256"] for members in groups for r in members}
    elsewhere = evidence.rows.where(pc.greater(pc.list_value_length(evidence.rows.table["other_labels"]), 0))
    groups += [[r] for r in elsewhere if r["sha256"] not in grouped]
    for members in groups:
        guess = _guess(evidence, members)
        claims = _claims(members).intersection(evidence.labels)
        for row in members:
            if row["sha256"] not in evidence.past.decided and (words := _disagreement(evidence, row, members)):
                yield _conflict(row, guess, claims, words)


def _claims(members: Sequence[Mapping[str, Any]]) -> set[str]:
    """Every class that one of the copies has, or was found under; perhaps one that is gone since."""
    return {label for m in members for label in (m["label"], *m["other_labels"])}


def _guess(evidence: Evidence, members: Sequence[Mapping[str, Any]]) -> str | None:
    """The class that the model takes the copies for, all together. None if it has seen none of them."""
    said = [p["cv_probs"] for m in members if (p := evidence.prediction(m["sha256"])) is not None]
    if not said:
        return None
    sums = [sum(of_class) for of_class in zip(*said, strict=True)]
    return evidence.classes[sums.index(max(sums))]


def _disagreement(evidence: Evidence, row: Mapping[str, Any], members: Sequence[Mapping[str, Any]]) -> str:
    label = row["label"]
    found = set(row["other_labels"]) - {label}
    copies = [m for m in members if m["label"] != label]
    words = [f"found under '{label}' and also under {_named(found)}"] if found else []
    if copies:
        name = called(copies[0]["sha256"], evidence.images)
        words.append(f"labelled '{label}', but its copy {name} is labelled {_named({m['label'] for m in copies})}")
    return "; ".join(words)


def _named(labels: set[str]) -> str:
    return ", ".join(f"'{label}'" for label in sorted(labels))


def _conflict(row: Mapping[str, Any], guess: str | None, claims: set[str], words: str) -> Finding:
    sha, reason = row["sha256"], CandidateReason.LABEL_CONFLICT
    words += f"; looks like '{guess}'" if guess in claims else ""
    if guess in claims and guess != row["label"]:
        return Finding(sha, reason, CONFLICT, Action.RELABEL, guess, words)
    return Finding(sha, reason, CONFLICT_SETTLED, Action.KEEP, None, words)


def placeholders(evidence: Evidence) -> Iterator[Finding]:
    """Files that many URLs gave. Copies in folders of one's own are left to the search for duplicates."""
    for image in evidence.images.where(pc.greater_equal(evidence.images.table["copies"], MANY)):
        sha = image["sha256"]
        if sha not in evidence.rows or image["source"] in LOCAL_SOURCES or sha in evidence.past.decided:
            continue
        row = evidence.rows[sha]
        label = row["label"]
        others = {*row["other_labels"], *image["other_labels"]} - {label}
        if image["copies"] >= (MANY if others else MANY_OF_ONE):
            words = f"{image['copies']} URLs returned this same file (classes: {_named({label} | others)}); it is probably a placeholder"
            words += " such as 'photo unavailable'"
            yield Finding(sha, CandidateReason.PLACEHOLDER, SERVED_OFTEN, Action.DELETE, None, words)


def blanks(evidence: Evidence) -> Iterator[Finding]:
    """Pictures with hardly anything in them, unless half of the set is like that."""
    found = [r["sha256"] for r in evidence.images.where(pc.less(evidence.images.table["entropy"], LEAST_ENTROPY))]
    used = [sha for sha in found if sha in evidence.rows]
    if len(used) <= COMMON * len(evidence.rows):
        words = "hardly anything in it: one colour, or nearly"
        for sha in (s for s in used if s not in evidence.past.decided):
            yield Finding(sha, CandidateReason.LOW_INFORMATION, BLANK, Action.DELETE, None, words)


def agreeing(evidence: Evidence, findings: Iterable[Finding]) -> Iterator[Finding]:
    """``findings`` in which copies of one picture are relabelled to one class only, that of ``conflicts``.

    What a person said is not touched.
    """
    groups = evidence.copies.values()
    guesses = {m["sha256"]: guess for members in groups for guess in [_guess(evidence, members)] for m in members}
    for f in findings:
        said = f.reason == CandidateReason.USER_CORRECTION or f.action != Action.RELABEL
        if said or guesses.get(f.sha256, f.label) == f.label:
            yield f
        else:
            words = f"{f.words}, but its copies and it together look like '{guesses[f.sha256]}'"
            yield replace(f, action=Action.KEEP, label=None, words=words)


def duplicates(evidence: Evidence) -> Iterator[Finding]:
    """All but the best active copy of each picture, unless a person judged them different."""
    for members in evidence.copies.values():
        best = members[0]
        for row in members[1:]:
            sha = row["sha256"]
            if evidence.past.are_apart(sha, best["sha256"]):
                continue
            exact = _same_pixels(row, best)
            reason = CandidateReason.EXACT_DUPLICATE if exact else CandidateReason.NEAR_DUPLICATE
            words = f"{_likeness(evidence, row, best, exact=exact)} (kept: {_better(evidence, best, row)})"
            yield Finding(sha, reason, EXACT if exact else NEAR, Action.DELETE, None, words)


def _same_pixels(row: Mapping[str, Any], best: Mapping[str, Any]) -> bool:
    """Whether both are the same picture: one an exact copy of the other, or both of a third that is gone."""
    if row["dup_kind"] != "exact":
        return False
    third = best["dup_kind"] == "exact" and best["dup_of"] == row["dup_of"]
    return bool(row["dup_of"] == best["sha256"] or third)


def _likeness(evidence: Evidence, row: Mapping[str, Any], best: Mapping[str, Any], *, exact: bool) -> str:
    name = called(best["sha256"], evidence.images)
    if exact:
        return f"same pixels as {name}"
    image = evidence.images.get(row["sha256"], {})
    how = image.get("dup_how") if image.get("dup_of") == best["sha256"] else None
    return f"copy of {name}: {how}" if how else f"almost the same as {name}"


def _better(evidence: Evidence, best: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    one, two = evidence.images.get(best["sha256"]), evidence.images.get(row["sha256"])
    if not one or not two or not one["width"] or not two["width"]:
        return "the better copy"
    more = one["width"] * one["height"] - two["width"] * two["height"]
    if more:
        why = "larger picture" if more > 0 else "shows more, or has nothing added"
        return f"{why}, {one['width']}×{one['height']} against {two['width']}×{two['height']}"
    return "larger file" if one["bytes"] > two["bytes"] else "one of the two is enough"


def corrections(evidence: Evidence) -> Iterator[Finding]:
    """What users of the prediction page said."""
    for sha, c in evidence.corrections.items():
        by = f" ({c.who})" if c.who else ""
        words = f"a user{by} says it is '{c.label}'"
        known = c.label in evidence.labels
        action, label = (Action.RELABEL, c.label) if known else (Action.KEEP, None)
        words += "" if known else ", which is not a class here"
        if not evidence.dataset[sha]["active"]:
            words += "; it came by the inbox, and is used only if it is relabelled"
        yield Finding(sha, CandidateReason.USER_CORRECTION, CORRECTED, action, label, words)
