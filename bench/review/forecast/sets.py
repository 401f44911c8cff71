"""The sets that the forecast is judged on: features as the product computes them, what is true, and what the review suggests.

* ``bears``: the photos as they came, with what people found wrong.
* ``junk``, ``labels``, ``mixed``: web noise planted among them (``bench.review.noise``).
* ``large-5``: 1,600 rows mixed from the bears' features, so that the forecast works on fewer directions than training does.
* ``labels-21``, ``mixed-22``, ``drawn``, ``polygons``, ``digits``: not looked at while the method was chosen.

In ``large``, ``drawn``, ``polygons`` and ``digits`` labels are changed after the features were computed, that many percent of
all, by seed.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.review.many import no_copies
from bench.review.noise.base import clean_base
from bench.review.noise.planting import Condition, planted
from bench.review.runs import Reviewed, file_hashes, reviewed
from bench.review.truth import read_truth, standing
from bench.train.pictures import folder_of
from keepset.importing import find_pictures
from keepset.models import load_record
from keepset.models.features import ModelFeatures

__all__ = ["CHOSEN_ON", "JUNK", "OTHERS", "Labelled", "labelled", "mixed"]

CHECKOUT = Path(__file__).resolve().parents[3]
JUNK = -1
"""The true class of a picture that is to be deleted."""
CHOSEN_ON = ("bears", "junk", "labels", "mixed", "large-5")
OTHERS = ("labels-21", "mixed-22", "drawn-10", "drawn-3", "polygons-8", "digits-10")
_CONDITIONS = (
    Condition("junk", junk=0.11),
    Condition("labels", swaps=0.04, foreign=0.06, seed=4),
    Condition("mixed", junk=0.04, swaps=0.02, pairwise=True, copies=0.06, bursts=0.04),
    Condition("labels-21", swaps=0.1, foreign=0.02, seed=21),
    Condition("mixed-22", junk=0.06, swaps=0.05, copies=0.04, seed=22),
)
LARGE = 1600
_PER_CLASS = {"drawn": 110, "polygons": 90, "digits": 50}


@dataclass(frozen=True)
class Labelled:
    """Pictures in use, n of them: ``features`` float32 [n, d]; class numbers ``labels`` as given and ``truth`` (or ``JUNK``);
    ``folds``; ``learn`` and ``valid`` [n]; the class that the review suggests, ``JUNK`` to delete and the label to keep,
    ``suggested`` [n]; ``sure``: the truth is known. ``strength`` None: as training chooses it."""

    name: str
    classes: int
    features: np.ndarray
    labels: np.ndarray
    truth: np.ndarray
    suggested: np.ndarray
    sure: np.ndarray
    folds: np.ndarray
    learn: np.ndarray
    valid: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def labelled(name: str, out: Path) -> Labelled | None:
    """The set of that name, computed once and kept in ``out``; where there are no photos it prints why and returns None."""
    base, _, noise = name.partition("-")
    if base == "large":
        small = labelled("bears", out)
        return small and _mislabelled(replace(mixed(small, LARGE), name=name), int(noise) / 100)
    kept = out / f"{base if base in _PER_CLASS else name}.npz"
    if not kept.exists() and not _made(name, out, kept):
        return None
    with np.load(kept) as f:
        found = Labelled(name=name, **{k: f[k] for k in f.files if k != "classes"}, classes=int(f["classes"]))
    return _mislabelled(found, int(noise) / 100) if base in _PER_CLASS else found


def _made(name: str, out: Path, kept: Path) -> bool:
    found = _run(name, out.resolve())
    if found is None:
        return False
    arrays = _arrays(*found)
    np.savez(kept.with_suffix(".part.npz"), **arrays)
    kept.with_suffix(".part.npz").rename(kept)
    return True


def _run(name: str, out: Path) -> tuple[Reviewed, Path, Path | None, Path | None] | None:
    """The finished run, its folder of pictures, and the files about what is true of them."""
    cache = out / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    base = name.partition("-")[0]
    if base in _PER_CLASS:
        whole = folder_of(base, out / "whole")
        assert whole is not None
        folder = _some(whole, out / base, _PER_CLASS[base])
        with no_copies():  # small digits look like copies of one another
            return reviewed(folder, out / f"{base}-ws", epochs=0, cache=cache), folder, None, None
    photos = Path(os.environ.get("KEEPSET_PHOTOS", CHECKOUT.parent / "shared" / "photos"))
    if not (photos / "bears").is_dir():
        print(f"skipped: {name} needs photos, and there are none at {photos}; set KEEPSET_PHOTOS")
        return None
    truth, pairs = (photos / "truth" / f"bears{s}.csv" for s in ("", "_pairs"))
    if name == "bears":
        return reviewed(photos / "bears", out / "bears-ws", epochs=0, cache=cache), photos / "bears", truth, pairs
    condition = next(c for c in _CONDITIONS if c.name == name)
    made = planted(clean_base(photos / "bears", truth, pairs), condition, out / name)
    return reviewed(made.folder, out / f"{name}-ws", epochs=0, cache=cache), made.folder, made.truth, made.pairs


def _some(whole: Path, folder: Path, per_class: int) -> Path:
    for label in sorted(p for p in whole.iterdir() if p.is_dir()):
        (folder / label.name).mkdir(parents=True, exist_ok=True)
        for file in sorted(label.iterdir())[:per_class]:
            shutil.copyfile(file, folder / label.name / file.name)
    return folder


def _arrays(run: Reviewed, folder: Path, truth_file: Path | None, pairs: Path | None) -> dict[str, Any]:
    record, known = load_record(run.ws, run.model_id), ModelFeatures.of(run.ws, run.model_id)
    number = {c: i for i, c in enumerate(record.classes)}
    rows = {r["sha256"]: r for r in run.ws.current_dataset().rows()}
    mine = [rows[s] for s in known.sha256]
    labels = np.array([number[r["label"]] for r in mine])
    truth, sure = labels.copy(), np.ones(len(labels), bool)
    if truth_file is not None:
        active = {s: r["label"] for s, r in rows.items() if r["active"]}
        hashes = file_hashes(find_pictures(folder))
        said = standing(read_truth(truth_file, pairs, run.classes), hashes, active, list(active))
        sure = np.array([s not in said.ignored for s in known.sha256])
        right = _right(truth_file, hashes, number)
        truth = np.array(
            [right.get(s, JUNK) if s in said.bad else y for s, y in zip(known.sha256, labels, strict=True)]
        )
    suggested = labels.copy()
    place = {s: i for i, s in enumerate(known.sha256)}
    for r in run.batch:
        if (i := place.get(r["sha256"])) is not None:
            suggested[i] = {"delete": JUNK, "keep": labels[i]}.get(
                r["suggestion"], number.get(r["suggested_label"], labels[i])
            )
    split = np.array([r["split"] for r in mine])
    return {
        "features": known.all(), "labels": labels, "truth": truth, "suggested": suggested, "sure": sure,
        "folds": np.array([r["fold"] for r in mine]), "learn": split == "train", "valid": split == "valid",
        "classes": len(record.classes),
    }  # fmt: skip


def _right(truth_file: Path, hashes: dict[str, str], number: dict[str, int]) -> dict[str, int]:
    """The true class of what has the label of another class of the set: the one that ``kind`` names, or the planted one."""
    import csv

    found = {}
    with truth_file.open(newline="", encoding="utf-8-sig") as f:
        for r in csv.DictReader(f):
            words = f"{r['kind']} {r.get('note', '')}".lower()
            named = [
                i
                for label, i in number.items()
                if label.lower().rstrip("s") in words and not r["file"].startswith(f"{label}/")
            ]
            if r["verdict"] == "wrong_label" and named and "foreign" not in words and r["file"] in hashes:
                found[hashes[r["file"]]] = named[0]
    return found


def mixed(s: Labelled, n: int) -> Labelled:
    """A picture plus half the difference of two others: as many directions as the set has, and no two alike."""
    rng = np.random.default_rng(n)
    i, j, k = (rng.integers(0, len(s), n) for _ in range(3))
    features = (s.features[i] + 0.5 * (s.features[j] - s.features[k])).astype(np.float32)
    features += rng.normal(0, 0.1 * features.std(), features.shape).astype(np.float32)
    learn, labels = rng.random(n) < 0.8, s.labels[i]
    return replace(
        s, features=features, labels=labels, truth=labels, suggested=labels, sure=np.ones(n, bool),
        folds=rng.integers(0, 5, n), learn=learn, valid=~learn,
    )  # fmt: skip


def _mislabelled(s: Labelled, share: float) -> Labelled:
    """Another label for a share of the right pictures; the review's suggestions are then what the head says."""
    from keepset.train.head import cross_validate

    rng = np.random.default_rng([len(s), round(1000 * share)])
    wrong = rng.permutation(np.flatnonzero(s.truth == s.labels))[: round(share * len(s))]
    labels, truth = s.labels.copy(), s.truth.copy()
    labels[wrong] = (labels[wrong] + rng.integers(1, s.classes, len(wrong))) % s.classes
    probs = cross_validate(s.features, labels, s.folds, s.classes, (0.01,))[0]
    given = probs[np.arange(len(s)), labels]
    suggested = np.where((given < 0.2) & (probs.max(1) > 0.6), probs.argmax(1), labels)
    return replace(s, labels=labels, truth=truth, suggested=suggested)
