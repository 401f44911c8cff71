"""How many wrong pictures are left, from the decisions of all batches, and whether one can stop. The mathematics is in
``left_odds``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from keepset.machine.remembered import remembered
from keepset.reasons import Action, CandidateReason
from keepset.review.batch import Batch, BatchStatus, list_batches
from keepset.review.left_odds import Draw, certified, estimate, looks_until_certified, may_be_left
from keepset.review.rows import Rows, read_rows
from keepset.text import many
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Bools = npt.NDArray[np.bool_]

__all__ = ["ErrorsLeft", "errors_left"]

_COPIES = frozenset({CandidateReason.EXACT_DUPLICATE, CandidateReason.NEAR_DUPLICATE})
MAINLY = 0.5
"""A class is named if it has so large a share of what is left."""


@dataclass(frozen=True)
class ErrorsLeft:
    """Wrong pictures (to delete or to relabel; copies apart) among the ``undecided`` ones: ``wrong``, likely ``low`` to ``high`` (95 %).

    ``by_class`` and ``by_action`` divide ``wrong`` as the scores expect, and as what was ``found`` so far. ``looks``: random pictures
    with a decision; ``open_looks``: random pictures in open batches that are undecided. ``enough``: at least 95 % of what is wrong is found, with an
    error of at most 5 %; if not, ``more`` random pictures, all right, would show that it is.
    """

    wrong: int
    low: int
    high: int
    found: int
    undecided: int
    by_class: Mapping[str, int]
    by_action: Mapping[str, int]
    looks: int
    open_looks: int
    enough: bool
    more: int

    @property
    def words(self) -> str:
        """``About 9 wrong pictures are left (likely 4–17), most of them in teddys.``"""
        if not self.undecided:
            return "Every picture was looked at."
        if not self.high:
            return "Probably no wrong picture is left."
        if not self.wrong:
            return f"Probably no wrong picture is left; at most {_rounded(self.high)}."
        what = "wrong picture is" if self.wrong == 1 else "wrong pictures are"
        of = f"About {self.about} {what} left (likely {self.range})"
        label, share = max(self.by_class.items(), key=lambda item: item[1], default=("", 0))
        mostly = self.wrong > 1 and len(self.by_class) > 1 and share > MAINLY * sum(self.by_class.values())
        return f"{of}, most of them in {label}." if mostly else f"{of}."

    @property
    def about(self) -> str:
        """``wrong``, of large numbers two digits."""
        return _rounded(self.wrong)

    @property
    def range(self) -> str:
        """``4–17``"""
        return f"{_rounded(self.low)}–{_rounded(self.high)}"

    @property
    def advice(self) -> str:
        """Whether to stop, and what would tell."""
        if self.enough:
            return "At least 95 % of the wrong pictures are found: you can stop."
        if self.open_looks:
            return f"Decide on the {many(self.open_looks, 'random picture')} in the open batch to learn more."
        if not self._likely_enough:
            return (
                "Probably less than 95 % of the wrong pictures are found. Go on with the most suspicious ones; to be sure, "
                f"you would have to look at about {self.more} more."
            )
        return (
            f"Probably 95 % of the wrong pictures are found. To be sure, look at {self.more} others, drawn at random."
        )

    @property
    def command(self) -> tuple[str, ...]:
        """The command that opens these looks; empty if none are needed, or others come first."""
        if self.enough or self.open_looks:
            return ()
        return ("keepset", "review", *(("--random", str(self.more)) if self._likely_enough else ("--all",)))

    @property
    def _likely_enough(self) -> bool:
        return self.wrong <= may_be_left(self.found)


@dataclass(frozen=True)
class _Decisions:
    """Of each picture that somebody decided: the first batch that it was decided in (its place in the list of batches), and whether
    it was wrong by the last decision."""

    first: Mapping[str, int]
    wrong: Mapping[str, bool]
    actions: Counter[str]

    @staticmethod
    def of(batches: list[Batch]) -> _Decisions:
        first: dict[str, int] = {}
        last: dict[str, str] = {}
        for number, batch in enumerate(batches):
            copies = _copies(batch)
            for sha, action in _decided(batch):
                first.setdefault(sha, number)
                last[sha] = Action.KEEP if action == Action.DELETE and sha in copies else action
        return _Decisions(first, {s: a != Action.KEEP for s, a in last.items()}, Counter(map(str, last.values())))


def errors_left(ws: Workspace) -> ErrorsLeft | None:
    """Of the current revision, from the approved batches and the marks of open ones; None before anybody decided on a random picture.

    A picture that was restored counts as right. Rejected and expired batches decide nothing. The random share of an open batch
    counts when it is decided whole.
    """
    batches, revisions = [b for b in list_batches(ws) if _counts(b)], ws.revisions()
    if not any(b.record.drawn for b in batches) or not revisions:
        return None
    said, data = _Decisions.of(batches), _pictures(ws, revisions[-1])
    left = data.used & ~data.rows.among(said.first)
    open_looks = {b.id: len(b.drawn() - said.first.keys()) for b in batches if b.status == BatchStatus.OPEN}
    draws = [
        _draw(b, n, said, data, left) for n, b in enumerate(batches) if b.record.drawn and not open_looks.get(b.id)
    ]
    looks = sum(d.drawn - d.undecided for d in draws)
    if not looks:
        return None
    undecided, found = int(left.sum()), sum(said.wrong[s] for s in said.wrong if s not in data.restored)
    now = estimate(draws, undecided)
    enough = certified(draws, undecided, found)
    more = 0 if enough else looks_until_certified(draws, undecided, found)
    frame = next(b.record.frame for b in reversed(batches) if b.record.drawn)
    kinds = {str(a): said.actions[a] + 0.5 for a in (Action.DELETE, Action.RELABEL)}
    return ErrorsLeft(
        round(now.mean), now.low, now.high, found, undecided,
        _shared(round(now.mean), {label: expected for label, (_, expected) in frame.items()}),
        _shared(round(now.mean), kinds), looks, sum(open_looks.values()), enough, more,
    )  # fmt: skip


def _rounded(n: int) -> str:
    """Two digits of what has more."""
    return f"{float(f'{n:.2g}'):,.0f}" if n >= 100 else str(n)


def _shared(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """``total`` divided by the weights into whole numbers that add up to it: the largest remainders are rounded up."""
    whole = sum(weights.values()) or 1.0
    exact = {name: total * weight / whole for name, weight in weights.items()}
    shares = {name: int(part) for name, part in exact.items()}
    for name in sorted(exact, key=lambda n: shares[n] - exact[n])[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


def _counts(batch: Batch) -> bool:
    return batch.status in (BatchStatus.OPEN, BatchStatus.APPROVED, BatchStatus.APPLIED)


def _decided(batch: Batch) -> Iterator[tuple[str, str]]:
    approval = batch.approval()
    if approval is not None:
        yield from ((sha, str(d["action"])) for sha, d in approval.decisions.items())
    else:
        yield from ((sha, str(m.action)) for sha, m in batch.marks().items())


def _copies(batch: Batch) -> frozenset[str]:
    """The candidates that are shown mainly as copies of another picture, and the copies of candidates that are not candidates."""
    table = batch.rows().table
    pairs = zip(table["sha256"].to_pylist(), table["reasons"].to_pylist(), strict=True)
    others = frozenset(sha for sha, reasons in pairs if reasons[0] not in _COPIES)
    return batch.markable() - others


@dataclass(frozen=True)
class _Pictures:
    """The pictures of a revision: when each came, which are in use, without copies of another one in use, and which were restored."""

    rows: Rows
    added: npt.NDArray[np.int64]
    used: Bools
    restored: frozenset[str]

    def outside(self, batch: Batch) -> Bools:
        """Which pictures could not be drawn for ``batch`` even if nobody had decided them: proposed ones, and later ones."""
        return self.rows.among(batch.rows().keys() - batch.unproposed()) | (self.added > batch.record.revision)


@remembered(2)
def _pictures(ws: Workspace, revision: int) -> _Pictures:
    """Revisions are immutable, so a cache cannot go stale."""
    rows = read_rows(ws.dataset(revision), "dataset", ("sha256", "active", "dup_of", "added_in", "changed_by"))
    table = rows.table
    active = table.filter(table["active"])["sha256"].combine_chunks()
    copies = pc.is_in(table["dup_of"], value_set=active, skip_nulls=True)
    used = np.asarray(pc.and_(table["active"], pc.invert(copies)))
    restored = table.filter(pc.starts_with(table["changed_by"], "restore:"))["sha256"].to_pylist()
    return _Pictures(rows, np.asarray(table["added_in"]), used, frozenset(restored))


def _draw(batch: Batch, number: int, said: _Decisions, data: _Pictures, undecided: Bools) -> Draw:
    drawn = batch.drawn()
    wrong = {s for s, w in said.wrong.items() if w and s not in data.restored}
    later = [s for s in wrong if said.first[s] >= number and s not in drawn]
    outside = data.outside(batch)
    return Draw(
        frame=sum(n for n, _ in batch.record.frame.values()),
        expected=sum(expected for _, expected in batch.record.frame.values()),
        drawn=len(drawn),
        wrong=len(wrong & drawn),
        undecided=len(drawn - said.first.keys()),
        later=int((data.rows.among(later) & ~outside).sum()),
        outside=int((undecided & outside).sum()),
    )
