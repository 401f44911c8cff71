"""How likely it is that a person would change or throw out a picture, from scorers that err on different pictures.

None of them has seen the picture, and each compares it with its own class:

* **label**: minus the logarithm of the out-of-sample probability of the label (``cv_probs`` of the model).
* **unlike**: cosine distance to the mean of the other pictures of the class, in features of length one, centred by a sample of the set.
* **graphic**: what a classifier says that has learnt graphics made of the set's own photos (``graphics``), less what it says
  of the set's usual picture.
* **print**: share of ImageNet's classes for print and layout in what the network itself sees (``imagenet``).

*unlike* and *print* are counted in robust standard deviations (1.4826 x the median absolute deviation) from the median of
the class. The four add up to log-odds, so that one strong reason is enough and several weak ones count. Their weights were
fitted by logistic regression on labelled sets and planted noise (``bench/review/weights.py``), and are the same for every data set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keepset.config import saved_train
from keepset.models.features import ModelFeatures, units
from keepset.review import graphics
from keepset.review.imagenet import Sight, graphic_classes, sight_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from keepset.review.evidence import Evidence

    Floats = npt.NDArray[np.float64]
    Singles = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]

__all__ = ["WEIGHTS", "Suspicion", "SuspicionScores", "Weights", "scores_of", "suspicion"]

SPREAD_UNLIKE, SPREAD_PRINT = 0.04, 0.15
"""Least standard deviation that counts: of a cosine, and of the decimal logarithm of a probability."""
FAINT = 0.01
"""Probability that is added to that of print: what is far below it makes no difference."""
FEW = 8
"""A class with fewer pictures is compared with the spread of all."""
LEAST, MOST = -2.0, 8.0
"""A score counts between these."""
SUREST = 0.96
"""Scores alone are never surer than this; what a person says is."""


@dataclass(frozen=True)
class Weights:
    """Log-odds per unit of each score, and with all scores 0."""

    label: float
    unlike: float
    graphic: float
    print: float
    bias: float


WEIGHTS = Weights(label=0.74, unlike=0.98, graphic=2.56, print=0.47, bias=-4.63)


@dataclass(frozen=True)
class SuspicionScores:
    """By image, in the order of ``sha256``, [n] each: the four scores (0 where one could not be computed), and what the
    network sees: the likeliest ImageNet class (-1: not asked), its probability, and its mean probability in the
    other pictures of the image's class. ``beyond``: as ``unlike``, from the class that the model takes the image for.
    """

    sha256: list[str]
    label: Floats
    unlike: Floats
    graphic: Floats
    print: Floats
    seen: Ints
    share: Floats
    usual: Floats
    beyond: Floats


@dataclass(frozen=True)
class Suspicion:
    """``chance`` [n] is the estimated share of such pictures that a person would act on; what each scorer adds to its
    log-odds is ``label``, ``unlike`` and ``graphic`` (with ``print``), [n] each.
    """

    scores: SuspicionScores
    chance: Floats
    label: Floats
    unlike: Floats
    graphic: Floats


def suspicion(evidence: Evidence, weights: Weights = WEIGHTS) -> Suspicion | None:
    """Of every active image that the model has predicted; None if they are of fewer than two classes."""
    scores = scores_of(evidence)
    if scores is None:
        return None
    label, unlike = weights.label * _cut(scores.label), weights.unlike * _cut(scores.unlike)
    graphic = weights.graphic * _cut(scores.graphic) + weights.print * _cut(scores.print)
    # Each score is cut before it is weighed, so that one that is wild (an odd class, a broken scorer) decides nothing alone.
    odds = np.exp(label + unlike + graphic + weights.bias)
    return Suspicion(scores, SUREST * odds / (1 + odds), label, unlike, graphic)


def _cut(score: Floats) -> Floats:
    return np.clip(score, LEAST, MOST)


def scores_of(evidence: Evidence) -> SuspicionScores | None:
    """The scores of every active image that the model has predicted; None if they are of fewer than two classes.

    Time is linear in the images; memory holds some thousand rows of features and some numbers per image.
    """
    known = _Scored.of(evidence)
    if known is None:
        return None
    sample = known.stored.at(known.rows[known.sample].tolist())
    centre = known.unit(sample).mean(axis=0)
    sums, sight = _sums(known, centre)
    n = len(known.shas)
    unlike, graphic, beyond = np.zeros(n), np.zeros(n), np.zeros(n)
    taken = _taken_for(evidence, known)
    head = _graphic_head(known, sample) if sight.asked else None
    for rows, features in known.pieces():
        centred = known.unit(features) - centre
        unlike[rows] = _distance(centred, known.labels[rows], sums)
        beyond[rows] = _distance(centred, taken[rows], sums, own=False)
        if head is not None:
            graphic[rows] = head.score(_length_one(features[:, known.stored.first]))
    if head is not None:
        # The head has learnt from these; each is scored as if it had not.
        graphic[known.sample] = head.left_out
        graphic -= np.median(graphic)
    usual = sight.usual(known.labels)
    return SuspicionScores(
        known.shas, _label_loss(evidence, known),
        _standard(unlike, known.labels, SPREAD_UNLIKE), graphic,
        _standard(np.log10(sight.print + FAINT), known.labels, SPREAD_PRINT),
        sight.seen, sight.share, usual,
        _standard(beyond, taken, SPREAD_UNLIKE, (unlike, known.labels)),
    )  # fmt: skip


@dataclass(frozen=True)
class _Scored:
    """The images that are scored: their rows among the model's features, their labels as numbers, their rows among the
    predictions, and the places of a sample among them."""

    evidence: Evidence
    stored: ModelFeatures
    shas: list[str]
    rows: Ints
    labels: Ints
    said: Ints
    sample: Ints

    @staticmethod
    def of(evidence: Evidence) -> _Scored | None:
        stored = ModelFeatures.of(evidence.ws, evidence.record.id)
        at, said = evidence.rows.places(stored.sha256), evidence.predictions.places(stored.sha256)
        given = _numbers(evidence.rows.table["label"], evidence.classes)
        rows = np.flatnonzero((at >= 0) & (said >= 0) & (given[at] >= 0))
        labels = given[at[rows]]
        if len(np.unique(labels)) < 2:
            return None
        sample = np.sort(np.random.default_rng(len(rows)).permutation(len(rows))[: graphics.OWN])
        shas = [stored.sha256[i] for i in rows]
        return _Scored(evidence, stored, shas, rows, labels, said[rows], sample)

    def pieces(self) -> Iterator[tuple[slice, Singles]]:
        """Raw features, some thousand rows at a time, and their places among the images that are scored."""
        for rows, found in self.stored.pieces():
            low, high = np.searchsorted(self.rows, [rows.start, rows.stop])
            if high > low:
                yield slice(int(low), int(high)), found[self.rows[low:high] - rows.start]

    def unit(self, features: Singles) -> Singles:
        """Each network's block of length one."""
        return units(features, self.stored.widths)


@dataclass
class _Seen:
    """What the network sees of each image, [n] each, and the sum over each class, [classes, 1000]."""

    asked: bool
    seen: Ints
    share: Floats
    print: Floats
    sums: Floats

    def usual(self, labels: Ints) -> Floats:
        """How probable the class that is seen in an image is in the other images of its own class, [n]."""
        if not self.asked:
            return np.zeros(len(labels))
        others = np.bincount(labels)[labels] - 1
        found: Floats = (self.sums[labels, self.seen] - self.share) / np.maximum(others, 1)
        return found


def _sums(known: _Scored, centre: Singles) -> tuple[Floats, _Seen]:
    """The sum of the centred features of length one of each class, [classes, d], and what the network sees."""
    n, sums = len(known.shas), np.zeros((len(known.evidence.classes), len(centre)))
    record = known.evidence.record
    sight: Sight | None = sight_of(record.features_of, record.weights, known.stored.widths)
    found = _Seen(
        sight is not None, np.full(n, -1), np.zeros(n), np.zeros(n), np.zeros((len(known.evidence.classes), 1000))
    )
    for rows, features in known.pieces():
        labels = known.labels[rows]
        _add(sums, labels, _length_one(known.unit(features) - centre))
        if sight is not None:
            posterior = sight.posterior(features)
            found.seen[rows], found.share[rows] = posterior.argmax(axis=1), posterior.max(axis=1)
            found.print[rows] = posterior[:, graphic_classes()].sum(axis=1)
            _add(found.sums, labels, posterior)
    return sums, found


def _add(sums: Floats, labels: Ints, rows: Singles) -> None:
    """Add each row to the sum of its class."""
    for label in np.unique(labels):
        sums[label] += rows[labels == label].sum(axis=0)


def _taken_for(evidence: Evidence, known: _Scored) -> Ints:
    """The number of the class that the model takes each image for, out of sample, [n]."""
    return _numbers(evidence.predictions.table["cv_predicted"], evidence.classes)[known.said]


def _numbers(labels: pa.ChunkedArray, classes: Sequence[str]) -> Ints:
    """The number of each label's class, -1 for a label that is no class of the model."""
    found: Ints = pc.index_in(labels, pa.array(classes)).fill_null(-1).to_numpy().astype(np.int64)
    return found


def _distance(centred: Singles, labels: Ints, sums: Floats, *, own: bool = True) -> Floats:
    """Cosine distance to the mean of the *other* images of the class, [n]; 1 for the only one. Not ``own``: to the mean of
    all images of the class.
    """
    rows = _length_one(centred)
    # The sum less the picture itself: with it, a class of three would be near to each of the three, whatever they show.
    others = _length_one((sums[labels] - rows if own else sums[labels]).astype(np.float32))
    found: Floats = 1.0 - np.einsum("nd,nd->n", rows, others).astype(np.float64)
    return found


def _graphic_head(known: _Scored, sample: Singles) -> graphics.GraphicHead:
    from keepset.train.networks import parts

    record = known.evidence.record
    shas = [known.shas[i] for i in known.sample]
    train = saved_train(record.config["train"])
    made = graphics.self_made_features(known.evidence.ws, parts(record.features_of)[0], train, shas, record.seed)
    return graphics.fit(_length_one(sample[:, known.stored.first]), _length_one(made))


def _label_loss(evidence: Evidence, known: _Scored) -> Floats:
    """Minus the logarithm of the out-of-sample probability of the label, nats, [n]."""
    probs = pc.list_flatten(evidence.predictions.table["cv_probs"]).to_numpy()
    given = probs.reshape(-1, len(evidence.classes))[known.said, known.labels].astype(np.float64)
    found: Floats = -np.log(np.maximum(given, 1e-9))
    return found


def _standard(values: Floats, labels: Ints, least: float, among: tuple[Floats, Ints] | None = None) -> Floats:
    """Robust standard deviations from the median of the class, [n]; of ``among`` (values, labels) if that is given."""
    out = np.empty(len(values))
    theirs, of = among or (values, labels)
    for label in np.unique(labels):
        inside = labels == label
        whole = theirs if (of == label).sum() < FEW else theirs[of == label]
        middle = np.median(whole)
        out[inside] = (values[inside] - middle) / max(1.4826 * np.median(np.abs(whole - middle)), least)
    return out


def _length_one(rows: Singles) -> Singles:
    return units(rows, (rows.shape[1],))
