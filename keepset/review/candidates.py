"""From single findings to the ranked rows of a batch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keepset.config import ReviewConfig
from keepset.reasons import Action, CandidateReason
from keepset.review.evidence import Evidence
from keepset.review.findings import Finding, agreeing, blanks, conflicts, corrections, duplicates, placeholders
from keepset.review.suspected import suspected
from keepset.review.suspicion import Suspicion, suspicion
from keepset.review.unproposed import draw, the_rest

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Candidates", "find_candidates"]

_SCORED = frozenset({CandidateReason.LABEL_ISSUE, CandidateReason.OUTLIER, CandidateReason.GRAPHIC})
"""Reasons that share one score: what the scorers say together."""


@dataclass(frozen=True)
class Candidates:
    """``rows`` of the manifest ``candidates``, the likeliest trouble first, with a random share mixed in; ``proposed`` of them
    are worth a look, and ``left`` more are as likely to be wrong, but over the limit of a batch. ``frame``: what the random share
    was drawn from (``RandomShare``)."""

    rows: list[dict[str, Any]]
    proposed: int
    left: int
    frame: Mapping[str, tuple[int, float]]


def find_candidates(
    evidence: Evidence,
    config: ReviewConfig,
    rng: np.random.Generator,
    *,
    everything: bool = False,
    looks: int | None = None,
) -> Candidates:
    """The images that are worth a look: whose chance to need a change is ``min_score`` or more.

    Reasons of different kinds add up to 1 - prod(1 - score). Among them are images drawn at random from the others: ``looks``,
    else as many as ``config`` says. With ``everything`` nothing is cut, and every other active image follows, the most
    suspicious first.
    """
    scored = suspicion(evidence)
    found: dict[str, list[Finding]] = {}
    for f in agreeing(evidence, _all(evidence, scored, config.min_score)):
        found.setdefault(f.sha256, []).append(f)
    for several in found.values():
        several.sort(key=lambda f: -f.score)
    ranked = sorted(found.items(), key=lambda item: (-_score(item[1]), item[0]))
    likely = [item for item in ranked if _score(item[1]) >= config.min_score]
    proposed = likely if everything else likely[: config.max_candidates]
    share = draw(evidence, scored, dict(proposed), looks, config, rng)
    shown = _mixed(proposed, [(f.sha256, [f]) for f in share.findings], rng)
    if everything:
        evidence.rows.take_all()
        evidence.predictions.take_all()
        shown += [(f.sha256, [f]) for f in the_rest(evidence, scored, dict(shown), found)]
    copies = {r["sha256"]: rows for rows in evidence.copies.values() for r in rows}
    rows = [_row(evidence, rank, sha, several, copies.get(sha, ())) for rank, (sha, several) in enumerate(shown)]
    drawn = {f.sha256 for f in share.findings}
    rows = [row | {"drawn": share.probability} if row["sha256"] in drawn else row for row in rows]
    return Candidates(rows, len(proposed), len(likely) - len(proposed), share.frame)


Item = tuple[str, list[Finding]]


def _mixed(proposed: list[Item], drawn: list[Item], rng: np.random.Generator) -> list[Item]:
    """``proposed`` in their order, with ``drawn`` at random places among them."""
    places = set(rng.permutation(len(proposed) + len(drawn))[: len(drawn)].tolist())
    both = {True: iter(drawn), False: iter(proposed)}
    return [next(both[i in places]) for i in range(len(proposed) + len(drawn))]


def _all(evidence: Evidence, scored: Suspicion | None, least: float) -> Iterable[Finding]:
    if scored is not None:
        yield from suspected(evidence, scored, least)
    yield from placeholders(evidence)
    yield from conflicts(evidence)
    yield from duplicates(evidence)
    yield from blanks(evidence)
    yield from corrections(evidence)


def _score(several: list[Finding]) -> float:
    apart = [f.score for f in several if f.reason not in _SCORED]
    together = [f.score for f in several if f.reason in _SCORED]
    return 1.0 - math.prod(1.0 - s for s in [*apart, *together[:1]])


def _row(
    evidence: Evidence, rank: int, sha: str, several: list[Finding], copies: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    row, said = evidence.dataset[sha], _suggested(several)
    words = "; ".join(f.words for f in several)
    members = [m["sha256"] for m in copies if m["sha256"] != sha]
    return {
        "sha256": sha, "rank": rank, "score": _score(several),
        "reasons": [str(f.reason) for f in several], "explanation": words[:1].upper() + words[1:] + ".",
        "suggestion": str(said.action), "suggested_label": said.label, "label": row["label"],
        **_model_says(evidence, row), "split": row["split"], "group_id": row["group_id"],
        "group_members": members,
    }  # fmt: skip


_FIRST = (Action.DELETE, Action.RELABEL, Action.KEEP)


def _suggested(several: list[Finding]) -> Finding:
    """What a person said comes first; then deleting (a copy or junk needs no better label), then relabelling.

    Of findings that ask for the same, the strongest speaks; ``several`` has the strongest first.
    """
    said = [f for f in several if f.reason == CandidateReason.USER_CORRECTION and f.action != Action.KEEP]
    return said[0] if said else min(several, key=lambda f: _FIRST.index(f.action))


def _model_says(evidence: Evidence, row: dict[str, Any]) -> dict[str, Any]:
    """Out-of-sample opinion; where there is none (added after training) every class is as likely."""
    p = evidence.prediction(row["sha256"])
    n = len(evidence.classes)
    probs = p["cv_probs"] if p else [1.0 / n] * n
    given = evidence.given_probability(row["sha256"])
    return {
        "predicted": p["cv_predicted"] if p else row["label"],
        "probability": float(max(probs)),
        "given_probability": given,
        "loss": -math.log(max(given, 1e-7)),
    }
