"""What differs between two revisions of the data set, who decided it, and what the models of the two say differently.

Both revisions are compared in Arrow; only rows that differ become Python objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from keepset import manifests
from keepset.errors import ConfigError, KeepsetError
from keepset.history.timeline import named
from keepset.models import list_models
from keepset.reasons import Split
from keepset.review.revisions import Revision, revisions
from keepset.workspace import Workspace

__all__ = ["Change", "Diff", "Kind", "Said", "State", "diff"]

State = tuple[str, str]
"""Class and side (train, valid or test) of a picture in use."""


class Kind(StrEnum):
    CAME = "came"
    WENT = "went"
    RELABELLED = "relabelled"
    MOVED = "moved"  # to another side; the class may have changed too


@dataclass(frozen=True)
class Change:
    """A picture before and after; None where it is not in use. ``decision``: the last revision between the two that changed it."""

    sha256: str
    name: str
    before: State | None
    after: State | None
    decision: Revision

    @property
    def kind(self) -> Kind:
        if self.before is None:
            return Kind.CAME
        if self.after is None:
            return Kind.WENT
        return Kind.MOVED if self.before[1] != self.after[1] else Kind.RELABELLED


@dataclass(frozen=True)
class Said:
    """A picture in use in both revisions of which the two models say different things. ``label``: its class afterwards."""

    sha256: str
    name: str
    label: str
    side: str
    before: str
    after: str

    @property
    def verdict(self) -> str:
        """fixed, broken, or other: wrong both times, each time in another way."""
        return "fixed" if self.after == self.label else "broken" if self.before == self.label else "other"


@dataclass(frozen=True)
class Diff:
    """From revision ``first`` to ``second``. ``models``: the newest of each revision; empty unless both have one."""

    first: int
    second: int
    changes: tuple[Change, ...]
    models: tuple[str, str]
    said: tuple[Said, ...]

    def of(self, kind: Kind) -> list[Change]:
        return [c for c in self.changes if c.kind == kind]

    def by_decision(self) -> dict[Revision, list[Change]]:
        """The changes under what made them, the newest decision first."""
        found: dict[Revision, list[Change]] = {}
        for c in sorted(self.changes, key=lambda c: -c.decision.revision):
            found.setdefault(c.decision, []).append(c)
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            "first": self.first, "second": self.second, "counts": {k: len(self.of(k)) for k in Kind},
            "changes": [{"kind": c.kind} | asdict(c) for c in self.changes], "models": list(self.models),
            "predictions": [{"verdict": s.verdict} | asdict(s) for s in self.said],
        }  # fmt: skip


def diff(ws: Workspace, first: int | None = None, second: int | None = None) -> Diff:
    """From one revision to another, in either direction; by default from the one before the newest to the newest.

    Raises ``ConfigError`` for a revision that does not exist.
    """
    numbers = ws.revisions()
    second = second if second is not None else (numbers or [0])[-1]
    first = first if first is not None else max([n for n in numbers if n < second], default=second)
    if missing := [n for n in (first, second) if n not in numbers]:
        have = f"It has the revisions {numbers[0]} to {numbers[-1]}." if numbers else "Run `keepset split` first."
        raise ConfigError(f"The data set has no revision {missing[0]}.", have)
    rows = list(_differing(ws, first, second))
    models = tuple(_model_of(ws, n) for n in (first, second))
    said = _said(ws, models, second) if all(models) and models[0] != models[1] else []
    names = named(ws, {r["sha256"] for r in (*rows, *said)})
    decisions = {r.revision: r for r in revisions(ws)}
    changes = (
        Change(r["sha256"], names.get(r["sha256"], r["sha256"][:8]), r["before"], r["after"], decisions[r["revision"]])
        for r in rows
    )
    told = (Said(name=names.get(r["sha256"], r["sha256"][:8]), **r) for r in said)
    order = {kind: n for n, kind in enumerate(Kind)}
    return Diff(
        first, second, tuple(sorted(changes, key=lambda c: (order[c.kind], c.after or c.before or (), c.name))),
        (models[0], models[1]) if all(models) else ("", ""),
        tuple(sorted(told, key=lambda s: (s.verdict != "broken", s.verdict, s.label, s.name))),
    )  # fmt: skip


_COLUMNS = ("sha256", "label", "split", "active", "added_in", "changed_in")


def _differing(ws: Workspace, first: int, second: int) -> list[dict[str, Any]]:
    """Rows of pictures whose state differs: sha256, before, after, and the revision that changed them last."""
    old, new = (manifests.table(ws.dataset(n), "dataset", _COLUMNS) for n in (first, second))
    shas = pa.concat_arrays([old["sha256"].combine_chunks(), new["sha256"].combine_chunks()]).unique()
    a, b = (t.take(pc.index_in(shas, t["sha256"].combine_chunks())) for t in (old, new))
    here = [pc.fill_null(t["active"], False) for t in (a, b)]
    same = pc.and_(pc.equal(a["label"], b["label"]), pc.equal(a["split"], b["split"]))
    changed = pc.or_(pc.xor(*here), pc.and_(pc.and_(*here), pc.invert(pc.fill_null(same, True))))
    later = b if second > first else a
    found = zip(
        *(column.filter(changed).to_pylist() for column in (
            pa.chunked_array([shas]), here[0], a["label"], a["split"], here[1], b["label"], b["split"],
            later["changed_in"], later["added_in"],
        )), strict=True,
    )  # fmt: skip
    return [
        {"sha256": sha, "before": (old_label, old_side) if was else None, "after": (label, side) if is_now else None,
         "revision": by or added}
        for sha, was, old_label, old_side, is_now, label, side, by, added in found
    ]  # fmt: skip


def _model_of(ws: Workspace, revision: int) -> str:
    """The newest model that was trained on the revision; empty if there is none."""
    return next((m.id for m in reversed(list_models(ws)) if m.dataset_revision == revision), "")


def _said(ws: Workspace, models: Sequence[str], revision: int) -> list[dict[str, Any]]:
    try:
        old, new = (_predicted(ws, m) for m in models)
    except KeepsetError:
        return []
    differ = {s for s in old.keys() & new.keys() if old[s] != new[s]}
    rows = manifests.picked(ws.dataset(revision), "dataset", ("sha256", "label", "split", "active"), differ)
    return [
        {"sha256": r["sha256"], "label": r["label"], "side": r["split"], "before": old[r["sha256"]], "after": new[r["sha256"]]}
        for r in rows if r["active"]
    ]  # fmt: skip


def _predicted(ws: Workspace, model: str) -> dict[str, str]:
    """What is said of each picture by who has not learnt it: the model itself of held-out ones, else the other folds."""
    columns = ("sha256", "split", "predicted", "cv_predicted")
    rows = manifests.each(ws.models / model / "predictions.parquet", "predictions", columns)
    return {r["sha256"]: r["cv_predicted" if r["split"] == Split.TRAIN else "predicted"] for r in rows}
