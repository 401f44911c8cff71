"""Rows of a manifest by sha256, held as columns: about a hundred bytes per row, not the thousands of a ``dict``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from keepset import manifests

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

__all__ = ["ManifestRow", "Rows", "read_rows"]

ManifestRow = dict[str, Any]


class Rows(Mapping[str, ManifestRow]):
    """The rows of ``table``, which has a column ``sha256`` without repeats; a row becomes a ``dict`` when it is asked for."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()
        self._taken: dict[str, ManifestRow] = {}
        keys = _keys(self.table["sha256"].to_pylist())
        self._order = np.argsort(keys)
        self._sorted = keys[self._order]

    def places(self, shas: Sequence[str]) -> Ints:
        """Where each of ``shas`` stands in the table, -1 where it does not, [n]."""
        asked = _keys(shas)
        if not len(self._sorted):
            return np.full(len(asked), -1)
        at = np.minimum(np.searchsorted(self._sorted, asked), len(self._sorted) - 1)
        return np.where(self._sorted[at] == asked, self._order[at], -1)

    def among(self, shas: Iterable[str]) -> Mask:
        """Which rows of the table are of ``shas``, [rows]."""
        found = np.zeros(len(self), bool)
        places = self.places(list(shas))
        found[places[places >= 0]] = True
        return found

    def at(self, places: npt.ArrayLike) -> list[ManifestRow]:
        """The rows at ``places``."""
        found: list[ManifestRow] = self.table.take(pa.array(np.asarray(places, np.int64))).to_pylist()
        return found

    def where(self, mask: pa.ChunkedArray | Mask) -> list[ManifestRow]:
        """The rows for which ``mask`` is true, in the table's order; null counts as false."""
        found: list[ManifestRow] = self.table.filter(
            pa.array(mask) if isinstance(mask, np.ndarray) else mask
        ).to_pylist()
        return found

    def __getitem__(self, sha: str) -> ManifestRow:
        if sha not in self._taken:
            (place,) = self.places([sha])
            if place < 0:
                raise KeyError(sha)
            self._taken[sha] = self.at([place])[0]
        return self._taken[sha]

    def __contains__(self, sha: object) -> bool:
        return sha in self._taken or (isinstance(sha, str) and bool(self.places([sha])[0] >= 0))

    def take_all(self) -> None:
        """Make every row a ``dict`` now: a hundred times faster than one by one, for whoever will ask for all of them."""
        self._taken = {row["sha256"]: row for row in self.table.to_pylist()}

    def __iter__(self) -> Iterator[str]:
        yield from self.table["sha256"].to_pylist()

    def __len__(self) -> int:
        return int(self.table.num_rows)


def read_rows(path: Path, schema: str, columns: Sequence[str], only: Iterable[str] | None = None) -> Rows:
    """Some columns of a manifest, of all images or of those in ``only``. Raises as ``manifests.read`` does."""
    return Rows(manifests.table(path, schema, columns, only))


def _keys(shas: Sequence[str]) -> npt.NDArray[np.bytes_]:
    return np.array(shas, "S64") if len(shas) else np.zeros(0, "S64")
