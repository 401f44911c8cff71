"""What a batch will do to the model, before it is submitted: mistakes before and after, pictures that flip, marks that matter.

The linear head on the frozen features is retrained under the marks (``heads``). It takes tenths of a second, and what it says
is kept in ``batches/<id>/forecasts``, one file per set of decisions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keepset import manifests
from keepset.errors import KeepsetError, TrainingError
from keepset.files import read_json, write_json
from keepset.forecast.marked import Marked, marked, model_for
from keepset.forecast.words import notes, sentence
from keepset.models import ModelRecord, load_record
from keepset.models.columns import Columns, columns
from keepset.reasons import Action
from keepset.review import Batch, load_batch, planned
from keepset.workspace import Workspace

__all__ = ["SURE", "Flip", "Forecast", "Weight", "forecast", "of_decisions", "of_model"]

_NOTHING = "Nothing changes, so there is nothing to forecast."
_VERSION = 1  # raised when the same decisions would now give another forecast
_NAMED = 6  # marks named as those that matter, and as disputed
_WORTH = 0.05  # nats: a mark that changes the loss of all other pictures by less is not named
SURE = 0.8
"""Probability from which the retrained head disputes a relabelling."""


@dataclass(frozen=True)
class Flip:
    """A validation picture with the class that it has after the batch, and what the head says ``before`` and ``after``."""

    sha256: str
    label: str
    before: str
    after: str


@dataclass(frozen=True)
class Weight:
    """A mark. ``effect``: by how much the held-out loss of the other pictures changes with it (nats), below zero for the better.
    ``said``: the class that the retrained head is sure of instead, where it disputes the mark, else empty."""

    sha256: str
    action: str
    label: str
    effect: float
    said: str = ""


@dataclass(frozen=True)
class Forecast:
    """``words``: one sentence. ``notes``: what limits it. Without ``columns`` there is no forecast, and the words say why.

    ``fixed`` and ``broken``: validation pictures that only the head after, or before, gets right. ``weights``: the marks that
    change most, strongest first. ``disputed``: relabelled pictures of which the retrained head says something else.
    """

    words: str
    notes: tuple[str, ...] = ()
    columns: Columns | None = None
    fixed: tuple[Flip, ...] = ()
    broken: tuple[Flip, ...] = ()
    weights: tuple[Weight, ...] = ()
    disputed: tuple[Weight, ...] = ()

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Forecast:
        found = Columns.from_json(raw["columns"]) if raw["columns"] else None
        fixed, broken = (tuple(Flip(**f) for f in raw[k]) for k in ("fixed", "broken"))
        weights, disputed = (tuple(Weight(**w) for w in raw[k]) for k in ("weights", "disputed"))
        return cls(raw["words"], tuple(raw["notes"]), found, fixed, broken, weights, disputed)


def forecast(batch: Batch, *, undecided: str = "keep", keep: Sequence[str] = ()) -> Forecast:
    """What an approval would do now. It never fails: where there is no forecast, its words say why."""
    try:
        return of_decisions(batch, planned(batch, undecided=undecided, keep=keep), batch.ws.newest())
    except TrainingError as e:
        return Forecast(f"Training would stop: {e.message} {e.remedy}")
    except KeepsetError as e:
        return Forecast(f"No forecast: {e.message} {e.remedy}".rstrip())


def of_decisions(batch: Batch, decisions: Mapping[str, Mapping[str, Any]], data: Path) -> Forecast:
    """The forecast of ``decisions`` on the revision in ``data``; kept with the batch. Raises ``TrainingError`` if no model could
    be trained, ``ModelError`` if no model has features."""
    if not _changes(decisions):
        return Forecast(_NOTHING)
    path = _path(batch, decisions, data)
    if (known := _kept(path)) is not None:
        return known
    record = model_for(batch, data)
    found = _forecast(batch, record, marked(batch.ws, data, record.id, _changes(decisions)))
    with suppress(KeepsetError):  # a workspace that cannot be written to is no reason to keep silent
        write_json(path, asdict(found))
    return found


def of_model(ws: Workspace, model_id: str, before: str, *, make: bool) -> Forecast | None:
    """What was forecast of the batch between the models ``before`` and ``model_id``, to stand beside what came.

    None if not just one batch lies between them, or the forecast was not kept; ``make``: then make it now, from the revision
    before, as the batch was decided.
    """
    try:
        first, second = (load_record(ws, m).dataset_revision for m in (before, model_id))
        cause = str(manifests.read_header(ws.dataset(second)).extra.get("cause", ""))
        if second != first + 1 or not cause.startswith("batch:"):
            return None
        batch, data = load_batch(ws, cause.removeprefix("batch:")), ws.dataset(first)
        approval = batch.approval()
        if approval is None:
            return None
        if make:
            return of_decisions(batch, approval.decisions, data)
        return _kept(_path(batch, approval.decisions, data))
    except KeepsetError:
        return None


def _kept(path: Path) -> Forecast | None:
    """None too for a damaged file, which is made again."""
    try:
        return Forecast.from_json(read_json(path))
    except (KeepsetError, FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _changes(decisions: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {sha: d for sha, d in decisions.items() if d["action"] != Action.KEEP}


def _path(batch: Batch, decisions: Mapping[str, Mapping[str, Any]], data: Path) -> Path:
    what = sorted((s, str(d["action"]), d["label"]) for s, d in _changes(decisions).items())
    facts = [_VERSION, manifests.read_header(data).content_hash, list(batch.ws.config().labels), what]
    return batch.folder / "forecasts" / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}.json"


def _forecast(batch: Batch, record: ModelRecord, m: Marked) -> Forecast:
    from threadpoolctl import threadpool_limits

    if not m.changed:
        return Forecast(_NOTHING)
    with threadpool_limits(1, user_api="blas"):  # so that the numbers do not depend on how many cores there are
        return _retrained(batch, record, m)


def _retrained(batch: Batch, record: ModelRecord, m: Marked) -> Forecast:
    from keepset.forecast.heads import OUT, effects, retrained

    start, now, classes = m.start, m.now, batch.ws.config().labels
    after = retrained(start.known, now)
    both = (start.was != OUT) & (now != OUT)
    said = [h.probs.argmax(1)[both] for h in (start.heads, after)]
    found = columns(start.was[both], now[both], *said)
    held_out = start.valid & both
    old, new = start.heads.said == now, after.said == now

    def flips(which: Any) -> tuple[Flip, ...]:
        names = (now, start.heads.said, after.said)
        return tuple(Flip(start.shas[i], *(classes[n[i]] for n in names)) for i in np.flatnonzero(held_out & which))

    effect = effects(start.known, after, start.was, now)
    marks = [i for i in np.flatnonzero(start.was != now) if start.shas[i] in m.changed]
    weights = {
        i: _weight(start.shas[i], now[i], effect[i], classes) for i in sorted(marks, key=lambda i: -abs(effect[i]))
    }
    sure = after.probs.max(1) >= SURE
    disputed = [i for i in weights if now[i] != OUT and sure[i] and after.probs[i].argmax() != now[i]]
    return Forecast(
        sentence(found), notes(batch, record, m.unseen), found, flips(~old & new), flips(old & ~new),
        tuple(w for w in weights.values() if abs(w.effect) >= _WORTH)[:_NAMED],
        tuple(replace(weights[i], said=classes[after.probs[i].argmax()]) for i in disputed)[:_NAMED],
    )  # fmt: skip


def _weight(sha: str, now: int, effect: float, classes: Sequence[str]) -> Weight:
    label = "" if now < 0 else classes[now]
    return Weight(sha, str(Action.RELABEL if label else Action.DELETE), label, float(effect))
