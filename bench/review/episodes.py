"""Simulated data sets whose errors are known, scored as the review scores them, from features that are computed once.

A pool of photos and planted junk goes through the product's stages once (``pool_of``). A set is then drawn from it: some
photos of each class, and between 1 and 30 % of them wrong in the ways of the web: junk, swapped labels, photos of a class that the
set does not have. ``episode`` scores it with the product's scorers and weights, lets the person clean what is proposed,
fits the head again, and so on: what each review would say, without the random share. How a random share is drawn and judged
is left to ``bench.review.left``, which asks the same episodes many times.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.review.noise.base import Base
from bench.review.noise.planting import Condition, planted
from bench.review.runs import file_hashes, reviewed
from bench.review.truth import read_truth
from keepset.config import TrainConfig
from keepset.importing import find_pictures
from keepset.models.features import ModelFeatures, units
from keepset.review import graphics
from keepset.review.evidence import gather
from keepset.review.graphics import self_made_features
from keepset.review.imagenet import graphic_classes, sight_of
from keepset.review.suspicion import FAINT, LEAST, MOST, SPREAD_PRINT, SPREAD_UNLIKE, SUREST, WEIGHTS, _standard
from keepset.train.networks import parts

POOL = Condition("left", junk=0.5, copies=0.0, bursts=0.0, innocents=0.1, per_class=200, seed=1)
STRENGTH = 0.03
"""Of the linear head: one of those that training chooses from."""
LEAST_SCORE, MOST_CARDS = 0.15, 200
ROUNDS = 3
FOLDS = 5


@dataclass(frozen=True)
class Pool:
    """Of each picture: features by network (length one each), those of the first network, the head's rows, the logarithm of
    the probability of print, its class, and whether it is junk. ``made``: features of self-made graphics."""

    unit: np.ndarray
    first: np.ndarray
    rows: np.ndarray
    print: np.ndarray
    label: np.ndarray
    junk: np.ndarray
    made: np.ndarray


@dataclass(frozen=True)
class Episode:
    """One set. ``wrong`` [n] and ``label`` [n] as the set begins; by round the chance of each picture [rounds, n] and
    which are proposed, if all that was proposed before was decided rightly. ``kind``: what was planted."""

    kind: str
    wrong: np.ndarray
    label: np.ndarray
    chance: np.ndarray
    proposed: np.ndarray


def pool_of(base: Base, work: Path) -> Pool:
    """Plants the junk, runs the stages without fine-tuning, and keeps what it needs in ``work``."""
    stored = work / "pool.npz"
    if not stored.exists():
        np.savez(stored, **_computed(base, work))
    with np.load(stored) as f:
        return Pool(**{name: f[name] for name in f.files})


def _computed(base: Base, work: Path) -> dict[str, np.ndarray]:
    made = planted(base, POOL, work / "set")
    run = reviewed(made.folder, work / "ws", epochs=0)
    evidence = gather(run.ws, run.ws.config())
    hashes = file_hashes(find_pictures(made.folder))
    junk = {hashes[v.file] for v in read_truth(made.truth, None, run.classes).verdicts}
    known = ModelFeatures.of(run.ws, run.model_id)
    keep = [i for i, sha in enumerate(known.sha256) if sha in evidence.rows]
    shas, raw = [known.sha256[i] for i in keep], known.all()[keep]
    unit = units(raw, known.widths)
    sight = sight_of(evidence.record.features_of, evidence.record.weights, known.widths)
    seen = sight.posterior(raw)[:, graphic_classes()].sum(axis=1) if sight else np.zeros(len(raw))
    photos = [s for s in shas if s not in junk]
    record = evidence.record
    train = TrainConfig.model_validate(record.config["train"])
    own = self_made_features(run.ws, parts(record.features_of)[0], train, photos, record.seed)
    return {
        "unit": unit, "first": units(raw[:, known.first], (known.widths[0],)), "rows": _head_rows(raw),
        "print": np.log10(seen + FAINT), "made": units(own, (own.shape[1],)),
        "label": np.array([evidence.classes.index(evidence.rows[s]["label"]) for s in shas]),
        "junk": np.array([s in junk for s in shas]),
    }  # fmt: skip


def _head_rows(raw: np.ndarray) -> np.ndarray:
    """The head's scaled features in the space that all pictures of the pool span: the same dot products in fewer columns."""
    std = raw.std(axis=0)
    scaled = (raw - raw.mean(axis=0)) / np.sqrt(std**2 + 0.25 * (std**2).mean())
    scaled /= np.sqrt((scaled**2).mean())
    left, lengths, _ = np.linalg.svd(scaled, full_matrices=False)
    return left * lengths


def episode(pool: Pool, seed: int) -> Episode:
    """A set drawn by ``seed``, and what up to ``ROUNDS`` reviews say of it."""
    rng = np.random.default_rng(seed)
    kind, places, label, true = _drawn(pool, rng)
    wrong = label != true
    folds = rng.permutation(len(places)) % FOLDS
    active, now, decided = np.ones(len(places), bool), label.copy(), np.zeros(len(places), bool)
    chances, proposals = [], []
    for _ in range(ROUNDS):
        chance = np.zeros(len(places))
        chance[active] = scored(pool, places[active], now[active], folds[active])
        shown = _shown(chance, active & ~decided)
        chances.append(chance)
        proposals.append(shown)
        decided |= shown
        active &= ~(shown & wrong & (true < 0))
        now[shown & (true >= 0)] = true[shown & (true >= 0)]
        if not shown.any():
            break
    return Episode(kind, wrong, label, np.array(chances), np.array(proposals))


def _drawn(pool: Pool, rng: np.random.Generator) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """What is planted, places in the pool, the labels, and the true ones (-1: none of the set's)."""
    kind = rng.choice(["junk", "swap", "foreign", "mixed"], p=[0.25, 0.2, 0.15, 0.4])
    rate = float(np.exp(rng.uniform(np.log(0.01), np.log(0.30))))
    weights = (
        rng.dirichlet([1.0, 1.0, 1.0])
        if kind == "mixed"
        else np.array([kind == k for k in ("junk", "swap", "foreign")], float)
    )
    classes = np.unique(pool.label)
    foreign = int(rng.choice(classes)) if weights[2] > 0 and len(classes) > 2 else -1
    inside = [int(c) for c in classes if c != foreign]
    photos = [rng.permutation(np.flatnonzero((pool.label == c) & ~pool.junk)) for c in inside]
    photos = [p[: int(rng.integers(40, len(p) + 1))] for p in photos]
    places, true = (
        np.concatenate(photos),
        np.concatenate([np.full(len(p), c) for p, c in zip(photos, inside, strict=True)]),
    )
    n = len(places)
    counts = rng.multinomial(max(1, round(rate * n)), weights)
    label = true.copy()
    for i in rng.choice(n, min(int(counts[1]), n), replace=False):
        label[i] = rng.choice([c for c in inside if c != true[i]])
    most = int(rng.choice(inside))
    junk = rng.permutation(np.flatnonzero(pool.junk))
    junk = (
        np.concatenate([junk[pool.label[junk] == most], junk[pool.label[junk] != most]])[: counts[0]]
        if rng.random() < 0.5
        else junk[: counts[0]]
    )
    strangers = rng.permutation(np.flatnonzero((pool.label == foreign) & ~pool.junk))[: counts[2]]
    into = int(rng.choice(inside))
    labels = np.where(rng.random(len(junk)) < 0.65, most, rng.choice(inside, len(junk)))
    return (
        str(kind),
        np.concatenate([places, junk, strangers]),
        np.concatenate([label, labels, np.full(len(strangers), into)]).astype(int),
        np.concatenate([true, np.full(len(junk) + len(strangers), -1)]).astype(int),
    )


def scored(pool: Pool, places: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The chance of each picture to be wrong, [n], as ``keepset.review.suspicion`` computes it."""
    unit = pool.unit[places]
    centred = units(unit - unit.mean(axis=0), (unit.shape[1],))
    sums = np.zeros((labels.max() + 1, unit.shape[1]))
    np.add.at(sums, labels, centred)
    others = units((sums[labels] - centred).astype(np.float32), (unit.shape[1],))
    unlike = 1.0 - (centred * others).sum(axis=1)
    graphic = graphics.fit(pool.first[places], pool.made).left_out
    scores = (
        _label_loss(pool.rows[places], labels, folds), _standard(unlike, labels, SPREAD_UNLIKE),
        graphic - np.median(graphic), _standard(pool.print[places], labels, SPREAD_PRINT),
    )  # fmt: skip
    weights = (WEIGHTS.label, WEIGHTS.unlike, WEIGHTS.graphic, WEIGHTS.print)
    odds = np.exp(sum(w * np.clip(s, LEAST, MOST) for w, s in zip(weights, scores, strict=True)) + WEIGHTS.bias)
    return SUREST * odds / (1 + odds)


def _label_loss(rows: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Nats, out of fold, of a logistic regression. Fewer columns than pictures would be too few: the rows keep their span."""
    from sklearn.linear_model import LogisticRegression

    loss = np.full(len(labels), -np.log(1e-9))
    for fold in range(FOLDS):
        inside, out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        model = LogisticRegression(C=STRENGTH, max_iter=100, tol=1e-3).fit(rows[inside], labels[inside])
        probs = model.predict_proba(rows[out])
        at = np.searchsorted(model.classes_, labels[out]).clip(0, len(model.classes_) - 1)
        known = model.classes_[at] == labels[out]
        loss[out[known]] = -np.log(np.maximum(probs[known, at[known]], 1e-9))
    return loss


def _shown(chance: np.ndarray, left: np.ndarray) -> np.ndarray:
    order = np.argsort(-np.where(left, chance, -1.0), kind="stable")[:MOST_CARDS]
    found = np.zeros(len(chance), bool)
    found[order[(chance[order] >= LEAST_SCORE) & left[order]]] = True
    return found
