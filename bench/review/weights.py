"""Fit the weights of the review's scorers on sets whose truth is known, and say how they do on sets they were not fitted on.

    python -m bench.review.weights --work DIR FOLDER TRUTH.csv [PAIRS.csv] [FOLDER TRUTH.csv [PAIRS.csv] ...]

Each set runs through the product's stages without fine-tuning (kept in DIR). The scores of its images and the truth go
into one logistic regression, in which each set counts the same, but the first ``FIRST`` times: give real photos first, since
planted noise is what its makers thought of. What it prints as ``WEIGHTS`` belongs into
``keepset/review/suspicion.py``. *Apart* is the average precision of each set under weights that were fitted on the others:
sets that share a base (the name before the first "-") are left out together.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.review.real import sets_of
from bench.review.runs import file_hashes, reviewed
from bench.review.truth import read_truth, standing
from keepset.importing import find_pictures
from keepset.review.evidence import gather
from keepset.review.suspicion import LEAST, MOST, scores_of

FIRST = 3
NAMES = ("label", "unlike", "graphic", "print")


@dataclass(frozen=True)
class Labelled:
    """Scores [n, 4] of the images that count, and which of them are bad."""

    name: str
    scores: np.ndarray
    bad: np.ndarray

    @property
    def base(self) -> str:
        return self.name.split("-")[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="workspaces and scores are kept here")
    args = parser.parse_args()
    sets = [_labelled(*s, args.work) for s in sets_of(args.paths)]
    slope, bias = fitted([*sets[:1] * (FIRST - 1), *sets])
    print("WEIGHTS:", ", ".join(f"{n}={w:.2f}" for n, w in zip(NAMES, slope, strict=True)), f"bias={bias:.2f}")
    for s in sets:
        others = [o for o in [*sets[:1] * (FIRST - 1), *sets] if o.base != s.base] or sets
        apart, here = fitted(others), s.scores @ slope + bias
        print(
            f"{s.name:28} {len(s.bad):5} images {s.bad.sum():4} bad  apart {precision(s, s.scores @ apart[0]):.3f}  "
            f"here {precision(s, here):.3f}  over 0.2: {s.bad[_chance(here) >= 0.2].sum()} of {(_chance(here) >= 0.2).sum()}"
        )
    return 0


def _labelled(folder: Path, truth_file: Path, pairs: Path | None, work: Path) -> Labelled:
    stored = work / f"{folder.name}.npz"
    if stored.exists():
        with np.load(stored) as f:
            return Labelled(folder.name, f["scores"], f["bad"])
    cache = work / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    run = reviewed(folder, work / folder.name, epochs=0, cache=cache)
    evidence = gather(run.ws, run.ws.config())
    scores = scores_of(evidence)
    if scores is None:
        raise SystemExit(f"{folder}: one class only")
    hashes = file_hashes(find_pictures(folder))
    active = {sha: row["label"] for sha, row in evidence.rows.items()}
    said = standing(read_truth(truth_file, pairs, run.classes), hashes, active, list(active))
    counts = [i for i, sha in enumerate(scores.sha256) if sha not in said.ignored]
    matrix = np.stack([np.clip(getattr(scores, name), LEAST, MOST) for name in NAMES], axis=1)[counts]
    bad = np.array([scores.sha256[i] in said.bad for i in counts])
    np.savez(stored, scores=matrix, bad=bad)
    return Labelled(folder.name, matrix, bad)


def fitted(sets: list[Labelled]) -> tuple[np.ndarray, float]:
    """Weights [4] and bias of a logistic regression in which every set counts the same."""
    from sklearn.linear_model import LogisticRegression

    weight = np.concatenate([np.full(len(s.bad), 1 / len(s.bad)) for s in sets])
    model = LogisticRegression(C=1.0, max_iter=1000)
    model.fit(
        np.vstack([s.scores for s in sets]), np.concatenate([s.bad for s in sets]), sample_weight=weight / weight.mean()
    )
    return model.coef_[0], float(model.intercept_[0])


def precision(s: Labelled, score: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(s.bad, score)) if s.bad.any() else float("nan")


def _chance(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))


if __name__ == "__main__":
    sys.exit(main())
