"""A cleaning batch as it stands on disk: ``ws.batches / <batch id>``.

batch.json          what was opened: revision, model, deadline. Written last, never changed
candidates.parquet  the images to look at. Never changed
decisions.jsonl     every mark, undo, redo and reopening; only appended to. Its lines are the version
approval.json       the decision, with an immutable snapshot of what is to be done. Written exclusively
applied.json        the revision that it became

Nothing here is kept in memory: every question is answered from the files, so any number of processes agree.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset import manifests
from keepset.errors import ConfigError, KeepsetError, ManifestError, ReviewError
from keepset.files import read_json
from keepset.machine.remembered import remembered
from keepset.reasons import ON_REQUEST, UNPROPOSED, Action, CandidateReason
from keepset.review import log
from keepset.review.log import MarkState
from keepset.review.rows import Rows
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "Approval",
    "Batch",
    "BatchProgress",
    "BatchRecord",
    "BatchStatus",
    "damaged_batches",
    "list_batches",
    "load_batch",
    "next_number",
]

_ID = re.compile(r"b\d{4,9}-[0-9a-f]{8}")


class BatchStatus(StrEnum):
    OPEN = "open"
    APPROVED = "approved"  # decided, and not applied yet
    REJECTED = "rejected"
    SENT_BACK = "sent_back"
    EXPIRED = "expired"  # the deadline passed without a decision
    APPLIED = "applied"


@dataclass(frozen=True)
class BatchRecord:
    """What was opened, as it stands in ``batch.json``.

    ``counts`` is candidates by reason; ``frame`` what the random share was drawn from: by class, the number of pictures and
    how many of them the scores expect to be wrong; ``large_share`` and ``min_per_class`` are the guards' limits of the
    run config at that time.
    """

    id: str
    number: int
    revision: int
    dataset_hash: str
    model_id: str
    opened_at: datetime
    deadline: datetime
    counts: Mapping[str, int]
    large_share: float
    min_per_class: int
    fingerprint: str = ""
    frame: Mapping[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def drawn(self) -> int:
        """Images that nothing speaks against, drawn at random."""
        return self.counts.get(CandidateReason.RANDOM_LOOK, 0)

    @property
    def on_request(self) -> int:
        """Images that nothing speaks against: shown because somebody asked for all (each has that one reason)."""
        return sum(self.counts.get(reason, 0) for reason in ON_REQUEST)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> BatchRecord:
        times = {k: datetime.fromisoformat(raw[k]) for k in ("opened_at", "deadline")}
        facts = {k: v for k, v in raw.items() if k != "labels"}  # the classes of its time, of an earlier version
        return cls(**facts | times)


@dataclass(frozen=True)
class Approval:
    """A decision on a whole batch, as it stands in ``approval.json``. Never changed once written.

    ``decisions`` maps a sha256 to ``{"action", "label", "by", "who"}``, where ``by`` is ``mark`` (a person
    marked this image), ``suggestion`` or ``keep`` (it was on the list of images to keep).
    """

    batch_id: str
    decision: str
    who: str
    note: str
    at: str
    via: str
    undecided: str
    version: int
    guards: tuple[str, ...]
    decisions: Mapping[str, Mapping[str, Any]]

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Approval:
        return cls(**{**raw, "guards": tuple(raw["guards"])})

    def changes(self) -> dict[str, Mapping[str, Any]]:
        """The decisions that change the data set."""
        return {sha: d for sha, d in self.decisions.items() if d["action"] != Action.KEEP}


@dataclass(frozen=True)
class BatchProgress:
    """How far a batch is: numbers of candidates. ``found`` is marked as wrong (delete or relabel)."""

    total: int
    marked: int
    kept: int
    deleted: int
    relabelled: int

    @property
    def undecided(self) -> int:
        return max(0, self.total - self.marked)

    @property
    def found(self) -> int:
        return self.deleted + self.relabelled


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Batch:
    """A handle on one batch. Get one with ``load_batch`` or ``list_batches``."""

    ws: Workspace
    record: BatchRecord
    clock: Callable[[], datetime] = field(default=_now, compare=False)

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def folder(self) -> Path:
        return self.ws.batches / self.id

    @property
    def status(self) -> BatchStatus:
        approval = self.approval()
        if approval is None:
            return BatchStatus.EXPIRED if self.clock() > self.deadline else BatchStatus.OPEN
        if approval.decision == "approve":
            return BatchStatus.APPLIED if self.applied_revision() is not None else BatchStatus.APPROVED
        return BatchStatus.REJECTED if approval.decision == "reject" else BatchStatus.SENT_BACK

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that a picture may get: those of the run config now, which may have changed since the batch was opened."""
        try:
            return tuple(sorted(self.ws.config().labels))
        except ConfigError:  # damaged, which a run will say: the page goes on with the classes in the batch
            return tuple(sorted(self.rows().table["label"].unique().to_pylist()))

    @property
    def version(self) -> int:
        """Lines of the decision log. Grows with every mark, undo, redo and reopening."""
        return len(self.events())

    @property
    def deadline(self) -> datetime:
        """The deadline in force: that of the last reopening, if there was one."""
        times = [e["deadline"] for e in self.events() if e["kind"] == "reopen"]
        return datetime.fromisoformat(times[-1]) if times else self.record.deadline

    def events(self) -> list[dict[str, Any]]:
        """The decision log, oldest first."""
        return log.read(self.folder / "decisions.jsonl")

    @property
    def _file(self) -> Path:
        return self.folder / "candidates.parquet"

    def candidates(self) -> manifests.Manifest:
        return _candidates(self._file)

    @property
    def proposed(self) -> int:
        """How many images something speaks against."""
        return self.candidates().header.rows - self.record.on_request - self.record.drawn

    def unproposed(self) -> frozenset[str]:
        """Images that nothing speaks against. Until a person marks them they count as not looked at."""
        return _of_reasons(self._file, UNPROPOSED)

    def drawn(self) -> frozenset[str]:
        """Those of them that were drawn at random."""
        return _of_reasons(self._file, frozenset({CandidateReason.RANDOM_LOOK}))

    def rows(self) -> Rows:
        """The candidates as columns, by rank."""
        return _rows(self._file)

    def ranks(self, shas: Sequence[str]) -> npt.NDArray[np.int64]:
        """The rank of each image in the batch, [n]; -1 for one that is not a candidate."""
        return self.rows().places(shas)

    def markable(self) -> frozenset[str]:
        """Images that can be marked: the candidates, and the other members of their duplicate groups."""
        return _markable(self._file)

    def marks(self) -> dict[str, MarkState]:
        """The marks that stand now, by sha256."""
        return log.fold(self.events())

    def progress(self) -> BatchProgress:
        marks, rows = self.marks(), self.rows()
        count = {a: sum(m.action == a for m in marks.values()) for a in Action}
        ranks = self.ranks(list(marks))
        return BatchProgress(
            total=len(rows),
            marked=int((ranks >= 0).sum()),
            kept=count[Action.KEEP],
            deleted=count[Action.DELETE],
            relabelled=count[Action.RELABEL],
        )

    def approval(self) -> Approval | None:
        """The decision on the batch, or None while it is undecided."""
        try:
            return Approval.from_json(read_json(self.folder / "approval.json"))
        except FileNotFoundError:
            return None

    def applied_revision(self) -> int | None:
        """The revision that an approved batch became, or None.

        ``applied.json`` says it; after a kill between the revision and that file, the revisions do.
        """
        try:
            return int(read_json(self.folder / "applied.json")["revision"])
        except FileNotFoundError:
            return find_revision(self.ws, f"batch:{self.id}", after=self.record.revision)


def find_revision(ws: Workspace, cause: str, *, after: int = 0) -> int | None:
    """The revision later than ``after`` whose header gives this cause."""
    for n in (n for n in reversed(ws.revisions()) if n > after):
        if manifests.read_header(ws.dataset(n)).extra.get("cause") == cause:
            return n
    return None


def list_batches(ws: Workspace) -> list[Batch]:
    """All batches that can be read, the oldest first; ``damaged_batches`` names the others."""
    return sorted((b for b in _each(ws) if isinstance(b, Batch)), key=lambda b: b.record.number)


def damaged_batches(ws: Workspace) -> list[ReviewError]:
    """What is wrong with each batch that cannot be read. It stops nothing: its pictures are proposed again."""
    return [e for e in _each(ws) if isinstance(e, ReviewError)]


def next_number(ws: Workspace) -> int:
    """The number of the next batch, after those that cannot be read, too."""
    return max((int(name.partition("-")[0][1:]) for name in _names(ws)), default=0) + 1


def _names(ws: Workspace) -> list[str]:
    folders = ws.batches.iterdir() if ws.batches.is_dir() else []
    return [p.name for p in folders if _ID.fullmatch(p.name) and (p / "batch.json").exists()]


def _each(ws: Workspace) -> Iterator[Batch | ReviewError]:
    for name in _names(ws):
        try:
            batch = load_batch(ws, name)
            _check(batch.folder)
        except KeepsetError as e:
            remedy = (
                f"Restore {ws.batches / name} from a backup, or move it out of the workspace. `keepset review` proposes "
                "its pictures again; marks made in it do not count."
            )
            yield ReviewError(f"Batch {name} is damaged. {e.message}", remedy)
        else:
            yield batch


@functools.lru_cache(maxsize=1024)
def _check(folder: Path) -> None:
    """Raise if the candidates, which never change, are gone or cut off. What is sound is asked for once."""
    manifests.read_header(folder / "candidates.parquet")


def load_batch(ws: Workspace, batch_id: str, *, clock: Callable[[], datetime] = _now) -> Batch:
    """The batch of this id. Raises ``ReviewError`` if there is none."""
    try:
        if not _ID.fullmatch(batch_id):
            raise FileNotFoundError(batch_id)
        record = BatchRecord.from_json(read_json(ws.batches / batch_id / "batch.json"))
    except FileNotFoundError as e:
        raise ReviewError(f"There is no batch {batch_id[:40]!r}.", "`keepset review list` shows all batches.") from e
    except (KeyError, TypeError, AttributeError) as e:
        raise ReviewError(
            f"{ws.batches / batch_id / 'batch.json'} is damaged: {e}.", "Restore it from a backup."
        ) from e
    return Batch(ws, record, clock)


@remembered(8)
def _candidates(path: Path) -> manifests.Manifest:
    """Immutable, so a cache cannot go stale; in one piece, so that ``_rows`` needs no copy. Raises ``ReviewError``."""
    try:
        found = manifests.read(path, "candidates")
    except ManifestError as e:
        remedy = (
            f"Restore it from a backup. Or move the folder {path.parent} out of the workspace; `keepset review` then "
            "proposes the pictures again."
        )
        raise ReviewError(e.message, remedy) from e
    return replace(found, table=found.table.combine_chunks())


@remembered(8)
def _rows(path: Path) -> Rows:
    return Rows(_candidates(path).table)


@functools.lru_cache(maxsize=8)
def _markable(path: Path) -> frozenset[str]:
    table = _candidates(path).table
    members = (s for group in table["group_members"].to_pylist() for s in group)
    return frozenset([*table["sha256"].to_pylist(), *members])


@functools.lru_cache(maxsize=16)
def _of_reasons(path: Path, some: frozenset[CandidateReason]) -> frozenset[str]:
    """The candidates that are shown for nothing but ``some`` reasons."""
    table = _candidates(path).table
    pairs = zip(table["sha256"].to_pylist(), table["reasons"].to_pylist(), strict=True)
    return frozenset(sha for sha, reasons in pairs if some.issuperset(reasons))
