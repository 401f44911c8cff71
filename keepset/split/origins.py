"""Which pictures come from one place: one page or observation, or one creator.

A site such as iNaturalist gives several photos of one animal, and one photographer takes many of one scene. On both sides
of the split they would make the figures too good, as copies do. The keys are joined with the duplicate groups, the finer
one first. A key that holds too much of a class is left out (all pictures of a class may come from one page, or from
"unknown"), so that the validation set can still have the share asked for; what remains are the finer groups.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keepset import manifests
from keepset.duplicates.sets import Sets
from keepset.reasons import ItemStatus
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

__all__ = ["Origins", "creator_key", "find_origins"]

KEYS = ("landing_page", "creator")
"""The finer one first."""
LEAST = 2
"""Pictures per class that may always stay together."""
AN_OBSERVATION = 8
"""As many pictures per class may share a page, whatever the validation set holds, up to a third of the class."""
_NOBODY = re.compile(
    r"(unknown|anonymous|anonym|unbekannt|inconnu|desconocido|none|null|n/?a|various|see (below|source)|own work|public domain"
    r"|unknown (author|photographer|artist)|not (known|given|provided)|flickr user|user|admin)?"
)


@dataclass(frozen=True)
class Origins:
    """``of``: for a duplicate group that is joined with others, the smallest of their ids. ``too_large``: for each key that
    was left out, the largest first, its name, a class, and the share of the class that it holds.
    """

    of: dict[str, str]
    too_large: list[tuple[str, str, float]]


def creator_key(name: str | None) -> str | None:
    """A creator's name for comparisons; None for a name that stands for nobody."""
    plain = " ".join((name or "").casefold().split()).strip(" .-–—?*[]()<>\"'")
    return None if _NOBODY.fullmatch(plain) else plain


def find_origins(ws: Workspace, valid: float) -> Origins:
    """Of the good images, where the validation set is to have the share ``valid`` of each class."""
    columns = ("sha256", "status", "label", "group_id", *KEYS)
    table = pa.Table.from_batches(
        [b.filter(pc.equal(b["status"], str(ItemStatus.OK))) for b in manifests.batches(ws.images, "images", columns)]
        or [pa.RecordBatch.from_pylist([], pa.schema([(c, pa.string()) for c in columns]))]
    )
    groups, names = _codes(pc.coalesce(table["group_id"], table["sha256"]))
    labels, classes = _codes(table["label"])
    joining = _Joining(groups, labels, len(names))
    too_large = []
    for kind in KEYS:
        values, words = _codes(table[kind])
        if kind == "creator":
            values, words = _by_creator(values, words)
        most = _most(kind, joining.per_class, valid)
        for value, rows in _shared(values, groups, words):
            held = joining.join(rows, most)
            if held is not None:
                too_large.append((words[value], classes[held[0]], held[1]))
    roots = {i: joining.sets.root(i) for i in joining.touched}
    smallest: dict[int, str] = {}
    for i, root in roots.items():
        smallest[root] = min(names[i], smallest.get(root, names[i]))
    return Origins({names[i]: smallest[root] for i, root in roots.items()}, sorted(too_large, key=lambda t: -t[2]))


def _most(kind: str, per_class: Ints, valid: float) -> npt.NDArray[np.float64]:
    """Pictures of each class that one value may hold."""
    share = per_class * valid
    if kind == "creator":
        return np.asarray(np.maximum(LEAST, share / 2))
    return np.asarray(np.maximum(np.maximum(LEAST, share), np.minimum(AN_OBSERVATION, per_class / 3)))


class _Joining:
    """Duplicate groups, joined as long as no set of them holds too much of a class."""

    def __init__(self, groups: Ints, labels: Ints, n: int) -> None:
        self.groups, self.labels = groups, labels
        self.per_class = np.bincount(labels)
        self.sets, self.touched = Sets(n), set[int]()
        self.order = np.argsort(groups, kind="stable")
        self.starts = np.searchsorted(groups[self.order], np.arange(n + 1))
        self.held: dict[int, Counter[int]] = {}

    def join(self, rows: Ints, most: npt.NDArray[np.float64]) -> tuple[int, float] | None:
        """Join the groups of these rows. If the rows alone are too many of a class: that class and their share of it."""
        alone = Counter(self.labels[rows].tolist())
        if too_many := [(n / self.per_class[c], c) for c, n in alone.items() if n > most[c]]:
            share, label = max(too_many)
            return label, float(share)
        roots = sorted({self.sets.root(int(g)) for g in np.unique(self.groups[rows])})
        together = sum((self._of(r) for r in roots), Counter[int]())
        if len(roots) < 2 or any(n > most[c] for c, n in together.items()):
            return None
        for other in roots[1:]:
            self.sets.join(roots[0], other)
        self.touched.update(np.unique(self.groups[rows]).tolist(), roots)
        self.held[self.sets.root(roots[0])] = together
        return None

    def _of(self, root: int) -> Counter[int]:
        """Images per class of the set that ``root`` begins."""
        if root not in self.held:
            mine = self.order[self.starts[root] : self.starts[root + 1]]
            self.held[root] = Counter(self.labels[mine].tolist())
        return self.held[root]


def _codes(column: pa.ChunkedArray) -> tuple[Ints, list[Any]]:
    """A number for each value, -1 where there is none; and the values."""
    found = pc.dictionary_encode(column).combine_chunks()
    if isinstance(found, pa.ChunkedArray):
        found = found.chunk(0)
    return found.indices.fill_null(-1).to_numpy().astype(np.int64), found.dictionary.to_pylist()


def _by_creator(values: Ints, names: list[str]) -> tuple[Ints, list[str]]:
    """The same for names that may be written in several ways."""
    keys = [creator_key(name) for name in names]
    number = {key: i for i, key in reversed(list(enumerate(keys))) if key is not None}
    new = np.array([number.get(key, -1) if key is not None else -1 for key in keys] + [-1], dtype=np.int64)
    return new[values], names


def _shared(values: Ints, groups: Ints, words: list[str]) -> Iterator[tuple[int, Ints]]:
    """Values that several groups have, with their rows; those with few rows first."""
    order = np.lexsort((groups, values))
    order = order[values[order] >= 0]
    v, g = values[order], groups[order]
    starts = np.flatnonzero(np.r_[True, v[1:] != v[:-1]]) if len(v) else v
    ends = np.r_[starts[1:], len(v)]
    several = g[starts] != g[ends - 1] if len(v) else v.astype(bool)
    found = [(int(v[a]), order[a:b]) for a, b in zip(starts[several], ends[several], strict=True)]
    yield from sorted(found, key=lambda f: (len(f[1]), words[f[0]]))
