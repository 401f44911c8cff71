"""What real retraining gives: the head as ``keepset.train`` fits it, on the marked set. Kept in a file, since it takes a while."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.review.forecast.batches import Marks, batches_of
from bench.review.forecast.sets import JUNK, Labelled
from keepset.train.head import choose_strength, cross_validate, fit_head

__all__ = ["Outcome", "outcomes"]


@dataclass(frozen=True)
class Outcome:
    """After a batch (``kind``): classes ``after`` [n] or ``JUNK``, and what the heads say that were trained so: of each
    picture when its fold is left out, ``cv`` [n], and of all by the head of the training pictures, ``head`` [n] (``JUNK``
    where deleted)."""

    kind: str
    after: np.ndarray
    cv: np.ndarray
    head: np.ndarray
    strength: float


def outcomes(s: Labelled, out: Path) -> list[Outcome]:
    """First of the set as it is (kind ""), then of each batch."""
    kept = out / f"{s.name}-retrained.npz"
    made = [Marks("", s.labels), *batches_of(s)]
    if not kept.exists():
        found = [_retrained(s, m) for m in made]
        arrays = {k: np.stack([getattr(o, k) for o in found]) for k in ("after", "cv", "head", "strength")}
        np.savez(kept, kinds=np.array([o.kind for o in found]), **arrays)
    with np.load(kept) as f:
        each = zip(f["kinds"].tolist(), f["after"], f["cv"], f["head"], f["strength"].tolist(), strict=True)
        found = [Outcome(*one) for one in each]
    if len(found) != len(made) or any((o.after != m.after).any() for o, m in zip(found, made, strict=True)):
        raise SystemExit(f"{kept} is of other batches: delete it")
    return found


def _retrained(s: Labelled, marks: Marks) -> Outcome:
    """As ``keepset.train.recipe`` does it."""
    left = marks.after != JUNK
    features, labels, folds, learn = (a[left] for a in (s.features, marks.after, s.folds, s.learn))
    strength = choose_strength(features[learn], labels[learn], folds[learn], s.classes).strength
    cv, head = np.full(len(s), JUNK), np.full(len(s), JUNK)
    cv[left] = cross_validate(features, labels, folds, s.classes, (strength,))[0].argmax(1)
    head[left] = fit_head(features[learn], labels[learn], s.classes, strength).logits(features).argmax(1)
    return Outcome(marks.kind, marks.after, cv, head, strength)
