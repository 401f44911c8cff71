"""Which pictures look alike: a small copy of the model's features that can be asked while a person waits.

The raw features of a picture are some thousand numbers; of 100,000 pictures 1.5 GB. ``space`` keeps ``WIDTH`` of them: each
network's block is scaled to length one, the mean of all pictures is taken away, what is left is projected on the directions
in which a sample of the pictures differs most (principal components), and scaled to length one again. The dot product of two rows is then
their likeness, from -1 to 1. The file is mapped into memory, so that a process holds only what it asks about.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keepset import manifests
from keepset.errors import ModelError
from keepset.files import atomic_path
from keepset.machine.remembered import remembered
from keepset.models.features import ModelFeatures, units
from keepset.review.batch import Batch
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Singles = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]
    Strings = npt.NDArray[np.str_]

__all__ = ["WIDTH", "Space", "likeness", "nearest", "rows_of", "space_of"]

WIDTH = 128
"""Numbers per picture."""
_SAMPLE = 2048  # pictures from which the directions are computed
_VERSION = 2  # raised when the same features would now give other rows
_AT_ONCE = 16_384  # rows per piece when all are compared


@dataclass(frozen=True)
class Space:
    """``rows`` float32 [n, d] of length one, mapped from a file, and for each candidate of a batch, by rank, the number of its
    row, or -1 where the model knows nothing of the picture."""

    rows: Singles
    places: Ints

    def of(self, ranks: Ints) -> Singles:
        """The rows of candidates, [m, d]; zeros where there is none."""
        places = self.places[ranks]
        found = np.zeros((len(ranks), self.rows.shape[1]), np.float32)
        found[places >= 0] = self.rows[places[places >= 0]]
        return found


def space_of(batch: Batch) -> Space | None:
    """None if the model's features are gone. An exact copy stands where the picture stands that is kept."""
    try:
        return _space(batch.ws, batch.record.model_id, batch.folder)
    except ModelError:
        return None


def likeness(space: Space, examples: Ints) -> Singles:
    """How much each candidate looks like the most similar of ``examples`` (ranks), [candidates]; -1 where nothing is known."""
    asked = space.of(examples)
    asked = asked[np.abs(asked).sum(axis=1) > 0]
    found = np.full(len(space.places), -1.0, np.float32)
    if len(asked):
        for start in range(0, len(found), _AT_ONCE):
            piece = slice(start, start + _AT_ONCE)
            near = (space.of(np.arange(len(found))[piece]) @ asked.T).max(axis=1)
            found[piece] = np.where(space.places[piece] >= 0, near, -1.0)
    return found


def rows_of(ws: Workspace, model_id: str) -> tuple[ModelFeatures, Singles]:
    """What the model knows of every picture, and its row of length one, mapped from a file: [n, d].

    Raises ``ModelError`` if the model's features are gone.
    """
    path = ws.cache / "similar" / f"{model_id}-{_VERSION}.npy"
    known = ModelFeatures.of(ws, model_id)
    if not path.exists():
        _build(known, path)
    return known, np.load(path, mmap_mode="r")


@remembered(4)
def _space(ws: Workspace, model_id: str, folder: Path) -> Space:
    known, rows = rows_of(ws, model_id)
    return Space(rows, _places(known, folder / "candidates.parquet"))


def _places(known: ModelFeatures, candidates: Path) -> Ints:
    """The row of each candidate among the features: its own, else that of the best of its copies, else -1."""
    import pyarrow as pa
    import pyarrow.compute as pc

    shas = pa.array(known.sha256, pa.string())

    def rows_of(names: pa.Array) -> Ints:
        return np.array(pc.index_in(names, value_set=shas).fill_null(-1), np.int64)

    found = [np.empty(0, np.int64)]
    for piece in manifests.batches(candidates, "candidates", ("sha256", "group_members")):
        places = rows_of(piece["sha256"])
        for i in np.flatnonzero(places < 0).tolist():
            members = rows_of(pa.array(piece["group_members"][i].as_py(), pa.string()))
            places[i] = next((m for m in members.tolist() if m >= 0), -1)
        found.append(places)
    return np.concatenate(found)


def _build(known: ModelFeatures, path: Path) -> None:
    count = len(known)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _SAMPLE)).astype(np.int64))
    total, sample = np.zeros(sum(known.widths)), []
    for place, found in known.pieces():
        unit = units(found, known.widths)
        total += unit.sum(axis=0)
        sample.append(unit[chosen[(chosen >= place.start) & (chosen < place.stop)] - place.start])
    centre = (total / count).astype(np.float32)
    directions = _directions(np.concatenate(sample) - centre)
    with atomic_path(path, sync=False) as part, part.open("wb") as f:
        np.lib.format.write_array_header_2_0(
            f, {"descr": "<f4", "fortran_order": False, "shape": (count, len(directions))}
        )
        for _, found in known.pieces():
            rows = ((units(found, known.widths) - centre) @ directions.T).astype(np.float32)
            f.write(np.ascontiguousarray(units(rows, (len(directions),)), "<f4").data)


def _directions(sample: Singles) -> Singles:
    """float32 [at most ``WIDTH``, d], orthogonal and of length one, in which the rows [n, d] differ most."""
    from sklearn.utils.extmath import randomized_svd

    width = max(1, min(WIDTH, len(sample) - 1))
    found: Singles = randomized_svd(sample, width, n_oversamples=16, n_iter=4, random_state=0)[2]
    return found


# -- the pictures to compare a doubtful one with -----------------------------------------------------------


def nearest(batch: Batch, sha256: str, label: str, count: int) -> list[str]:
    """The ``count`` most similar active pictures of the class ``label``, the nearest first; without the picture itself
    and its copies. Fewer if there are fewer; none if the model knows nothing of the picture or its features are gone."""
    try:
        places, labels, groups = _in_use(batch.ws, batch.record.model_id, batch.record.revision)
    except ModelError:
        return []
    space, here = space_of(batch), places.get(sha256)
    if space is None or here is None:
        return []
    others = np.flatnonzero((labels == label) & (groups != groups[here]))
    likeness = space.rows[others] @ space.rows[here]
    shas = list(places)
    return [shas[others[i]] for i in np.argsort(-likeness, kind="stable")[:count]]


@remembered(4)
def _in_use(ws: Workspace, model_id: str, revision: int) -> tuple[dict[str, int], Strings, Strings]:
    """Row of each picture among the model's features, in their order; of each row its label ("" if the picture is not in
    use) and duplicate group. Revisions and models never change, so a cache cannot go stale."""
    places = {sha: i for i, sha in enumerate(ModelFeatures.of(ws, model_id).sha256)}
    labels, groups = [""] * len(places), [""] * len(places)
    for row in manifests.each(ws.dataset(revision), "dataset", ("sha256", "label", "group_id", "active")):
        place = places.get(row["sha256"])
        if place is not None and row["active"]:
            labels[place], groups[place] = row["label"], row["group_id"]
    return places, np.array(labels), np.array(groups)
