"""More data, or cleaner data? What each would take off the error, tried on the pictures that are there.

*Cleaner*: the linear head is cross-validated twice, with the labels as they are and with those that are probably wrong put
right. *More*: the fitted curve over the number of pictures, carried on to twice as many. Both are judged on pictures whose
labels are not in doubt: on a wrongly labelled one the better head counts as wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from keepset import manifests
from keepset.errors import ModelError
from keepset.forecast.heads import Known, held_out, rows_of
from keepset.interpret.datasize import STRENGTHS, DataSize, data_size_curve, weighed
from keepset.interpret.doubts import Doubts, doubts_of
from keepset.manifests.rows import DatasetRow
from keepset.models import ModelRecord
from keepset.stages import Progress
from keepset.text import many, share
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["more_or_cleaner", "tried"]

MOST = 20_000
"""Images that are tried, a random part of larger data sets: some 5 CPU seconds."""
_COLUMNS = ("sha256", "label", "fold")
WORTH = 0.1
"""A share of the mistakes that is worth the work."""
PER_WRONG = 2.5
"""The share of the mistakes that usually goes with each share of labels corrected."""


def more_or_cleaner(ws: Workspace, record: ModelRecord, progress: Progress) -> dict[str, Any]:
    """For the report: ``data_size``, the curve over the number of images, and ``gain``, the advice (``tried``).

    Raises ``ModelError`` if all pictures that the model learned from were taken down.
    """
    data, doubts = _learned(ws, record)
    curve = data_size_curve(data, progress)
    return {"data_size": curve, "gain": tried(data, doubts, curve)}


def _learned(ws: Workspace, record: ModelRecord) -> tuple[DataSize, Doubts]:
    """Without pictures that were taken down, whose features are zero."""
    features, rows = rows_of(ws, record.id)
    there = np.concatenate([found.any(axis=1) for _, found in features.pieces()])
    if not there.any():
        raise ModelError(
            f"All pictures that model {record.id} learnt from were taken down.", "Add pictures and run `keepset run`."
        )
    places = np.flatnonzero(there)
    if len(places) > MOST:
        places = np.sort(np.random.default_rng([record.seed, 1]).permutation(places)[:MOST])
    shas = [features.sha256[i] for i in places]
    of = {r["sha256"]: r for r in manifests.picked(ws.dataset(record.dataset_revision), DatasetRow, _COLUMNS, shas)}
    labels = np.array([record.classes.index(of[s]["label"]) for s in shas])
    folds = np.array([of[s]["fold"] for s in shas])
    doubts = doubts_of(ws, record, shas)
    known = Known(rows[places], folds, np.ones(len(shas), bool), len(record.classes))
    return DataSize(known, labels, ~doubts.wrong, int(there.sum()), record.seed), doubts


def tried(data: DataSize, doubts: Doubts, curve: Mapping[str, Any]) -> dict[str, Any]:
    """What cleaning and doubling would do, and the advice in words; JSON-ready.

    ``curve``: of ``data_size_curve`` for the same ``data``, judged where ``~doubts.wrong``. ``answer`` is "cleaner", "more",
    "either" or "neither"; ``cleaner`` and ``more`` are the shares of the mistakes that each would save, of ``error_rate``.
    """
    doubtful, n = doubts.wrong, len(data.labels)
    found: dict[str, Any] = {
        "images": data.total, "doubtful": round(doubtful.sum() * data.total / n), "cleaner": 0.0, "more": None, "error_rate": None,
    }  # fmt: skip
    if curve["points"]:
        error = float(curve["error_rate"])
        found |= {"error_rate": error, "more": float(curve["saved"])}
        if doubtful.any() and data.judged.any() and error:
            saved, spread = _cleaned(data, doubts)
            usual = PER_WRONG * float(doubts.chance.sum()) / n
            found["cleaner"], _ = weighed(usual, usual, saved / error, spread / error)
    found["answer"] = _answer(found)
    return found | {"words": _words(found)}


def _cleaned(data: DataSize, doubts: Doubts) -> tuple[float, float]:
    """By how much the error falls if what is probably wrong is put right, and the standard error of that."""
    clean = np.where(data.judged, data.labels, doubts.label)
    with threadpool_limits(1):  # for matrices this small several threads mostly wait for one another
        now, then = (_wrong(data, labels).astype(float) for labels in (data.labels, clean))
    return float((now - then).mean()), float(((now - then).std() ** 2 + 1 / len(now)) ** 0.5 / len(now) ** 0.5)


def _wrong(data: DataSize, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether heads that learned these ``labels`` in the other folds are wrong about the judged pictures, at the best strength."""
    known = data.known
    said = (held_out(known.rows, labels, known.folds, known.classes, s).argmax(1) for s in STRENGTHS)
    return min((np.asarray(one != data.labels)[data.judged] for one in said), key=lambda wrong: int(wrong.sum()))


def _answer(found: Mapping[str, Any]) -> str:
    """The larger gain, if it is a tenth of the mistakes, and one at least. Of two that are alike the one that is less
    work: to look at what is proposed."""
    if found["more"] is None:
        return "more"
    cleaner, more = found["cleaner"], found["more"]
    if max(cleaner, more) < WORTH or max(cleaner, more) * found["error_rate"] * found["images"] < 1:
        return "neither"
    if min(cleaner, more) >= 0.8 * max(cleaner, more):
        return "either"
    return "cleaner" if cleaner > more else "more"


def _words(found: Mapping[str, Any]) -> str:
    if found["more"] is None:
        return "More data: there are too few pictures to draw a curve over their number."
    error, doubtful = found["error_rate"], found["doubtful"]
    labels = f"correcting the {many(doubtful, 'label')} that look{'s' if doubtful == 1 else ''} wrong"
    cleaned, doubled = (share(error * (1 - found[k])) for k in ("cleaner", "more"))
    clean = f"{labels} would take the error on new pictures from about {share(error)} to {cleaned}"
    twice = f"twice as many pictures would take the error on new pictures from about {share(error)} to {doubled}"
    beside = f"; {labels}, to {cleaned}." if doubtful else "; no label looks wrong."
    match found["answer"]:
        case "cleaner":
            return f"Cleaner data: {clean}; twice as many pictures, to {doubled}."
        case "more":
            return f"More data: {twice}{beside}"
        case "either":
            return f"Cleaner data first, since it is less work: {clean}, and twice as many pictures to {doubled}."
    if error == 0:
        return "Neither: no mistake is left that more or cleaner data could take away. Only harder pictures would tell more."
    return (
        f"Neither would change much: the error on new pictures is about {share(error)}, with twice as many {doubled}"
        + (f", with correct labels {cleaned}" if doubtful else "")
        + ". A larger network ([train] arch) or pictures of another kind may do more."
    )
