"""The images that no finder proposes: a random share of them, by which a person learns how many wrong ones are left, and all
of them for a person who wants to look through every image.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keepset.config import ReviewConfig
from keepset.reasons import Action, CandidateReason
from keepset.review.evidence import Evidence
from keepset.review.findings import Finding
from keepset.review.suspicion import Suspicion

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = ["RandomShare", "draw", "drawn_places", "random_share", "the_rest"]

TINY = 100
"""With fewer pictures to draw from, looking at all of them is as quick."""


@dataclass(frozen=True)
class RandomShare:
    """The pictures drawn, the ``probability`` with which each was, and what they were drawn from: by class, the number of
    pictures and how many of them the scores expect to be wrong."""

    findings: Sequence[Finding] = ()
    probability: float = 0.0
    frame: Mapping[str, tuple[int, float]] = field(default_factory=dict)


def random_share(frame: int, asked: int) -> int:
    """How many of ``frame`` pictures are drawn."""
    return min(asked, frame) if frame >= TINY else 0


def drawn_places(frame: int, count: int, rng: np.random.Generator) -> Ints:
    """``count`` places of ``frame``, each with the same probability, spread evenly: a systematic sample with a random start."""
    found: Ints = np.floor((np.arange(count) + rng.random()) * frame / max(count, 1)).astype(np.int64)
    return found


def draw(
    evidence: Evidence, scored: Suspicion | None, proposed: Iterable[str], asked: int | None, config: ReviewConfig,
    rng: np.random.Generator,
) -> RandomShare:  # fmt: skip
    """Some of the active images that nobody has decided and that are not ``proposed``, spread evenly over their chances.

    ``asked`` of them, else as many as ``config`` says. Copies of another active image are left out: a person who sees one
    alone cannot judge it.
    """
    rows, table = evidence.rows, evidence.rows.table
    copies = np.asarray(pc.is_in(table["dup_of"], value_set=table["sha256"].combine_chunks(), skip_nulls=True))
    frame = np.flatnonzero(~(rows.among(proposed) | rows.among(evidence.past.decided) | copies))
    count = random_share(len(frame), config.random_looks) if asked is None else min(asked, len(frame))
    if not count:
        return RandomShare()
    chance = _by_row(evidence, scored)
    frame = frame[np.argsort(-chance[frame], kind="stable")]
    picked = rng.permutation(frame[drawn_places(len(frame), count, rng)])
    shas = table["sha256"].take(pa.array(picked)).to_pylist()
    findings = [_drawn(sha, p) for sha, p in zip(shas, chance[picked].tolist(), strict=True)]
    return RandomShare(findings, count / len(frame), _by_class(table["label"].take(pa.array(frame)), chance[frame]))


def _by_row(evidence: Evidence, scored: Suspicion | None) -> Floats:
    """The chance of each active image, [rows]; of one that the model has not seen, that of a usual image."""
    found = np.full(len(evidence.rows), scored.chance.mean() if scored else 0.0)
    if scored:
        places = evidence.rows.places(scored.scores.sha256)
        found[places[places >= 0]] = scored.chance[places >= 0]
    return found


def _by_class(labels: pa.ChunkedArray, chance: Floats) -> dict[str, tuple[int, float]]:
    coded = labels.combine_chunks().dictionary_encode()
    codes, names = np.asarray(coded.indices), coded.dictionary.to_pylist()
    counts, sums = np.bincount(codes, minlength=len(names)), np.bincount(codes, chance, len(names))
    return {name: (int(n), float(total)) for name, n, total in zip(names, counts, sums, strict=True)}


def _drawn(sha: str, chance: float) -> Finding:
    return Finding(sha, CandidateReason.RANDOM_LOOK, chance, Action.KEEP, None, "no suggestion: drawn at random")


def the_rest(
    evidence: Evidence, scored: Suspicion | None, shown: Container[str], weak: Mapping[str, Sequence[Finding]]
) -> list[Finding]:
    """Every active image that is not ``shown``, the most suspicious first, then those that were not scored.

    Their score is what the scorers say; the suggestion is to keep them. ``weak`` findings are added to its explanation.
    """
    chance = dict(zip(scored.scores.sha256, scored.chance.tolist(), strict=True)) if scored else {}
    left = [sha for sha in evidence.rows if sha not in shown]
    left.sort(key=lambda sha: (-chance.get(sha, 0.0), sha))
    return [_shown(evidence, sha, chance.get(sha, 0.0), weak.get(sha, ())) for sha in left]


def _shown(evidence: Evidence, sha: str, chance: float, weak: Sequence[Finding]) -> Finding:
    known = sha in evidence.past.decided
    reason = CandidateReason.DECIDED_BEFORE if known else CandidateReason.NOT_SUSPECTED
    words = "a person decided it before" if known else "nothing suspicious was found"
    if evidence.prediction(sha) is None:
        words += ", but this model has not seen it"
    words = "; ".join([*(f.words for f in weak), words, "shown because all images were asked for"])
    return Finding(sha, reason, chance, Action.KEEP, None, words)
