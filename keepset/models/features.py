"""The frozen features that stand beside a model: ``features.safetensors`` in its folder, rows of float32.

They are as the networks give them, each network's columns side by side. ``units`` scales each network's block to length
one where pictures are compared, so that no network counts more than another.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keepset.errors import ModelError
from keepset.files import atomic_path, refusals
from keepset.storage import StoredPath
from keepset.storage.copies import forget
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["ModelFeatures", "blank", "save", "units"]


@dataclass(frozen=True)
class ModelFeatures:
    """``sha256`` of each row, how many columns come from each network (``widths``), and the rows, read on demand.

    Of a million images of three networks the rows are 15 GB: ``pieces`` reads some thousand at a time, and does not map
    the file, whose pages would count as this process's memory.
    """

    file: Path
    sha256: list[str]
    widths: tuple[int, ...]
    begin: int

    @classmethod
    def of(cls, ws: Workspace, model_id: str) -> ModelFeatures:
        """Raises ``ModelError`` if the file is missing or damaged."""
        path = _path(ws, model_id)
        try:
            file = Path(os.fspath(path))
            with file.open("rb") as f:
                length = int.from_bytes(f.read(8), "little")
                header = json.loads(f.read(length))
            known, stored = header["__metadata__"], header["features"]
            shape, begin = stored["shape"], 8 + length + stored["data_offsets"][0]
            widths = tuple(map(int, known["widths"].split(","))) if known.get("widths") else (shape[1],)
            shas = known["sha256"].split("\n") if shape[0] else []
        except FileNotFoundError as e:
            raise ModelError(f"{path} is missing.", _AGAIN) from e
        except (ValueError, KeyError, MemoryError, OverflowError) as e:
            raise ModelError(f"{path} is damaged.", _AGAIN) from e
        return cls(file, shas, widths, begin)

    def __len__(self) -> int:
        return len(self.sha256)

    @cached_property
    def first(self) -> slice:
        """The columns of the first network."""
        return slice(0, self.widths[0])

    def pieces(self, rows: int = 2048) -> Iterator[tuple[slice, Floats]]:
        """Features [at most ``rows``, sum(widths)] and their places."""
        width = sum(self.widths)
        with self.file.open("rb") as f:
            f.seek(self.begin)
            for start in range(0, len(self), rows):
                place = slice(start, min(start + rows, len(self)))
                count = (place.stop - place.start) * width
                found = np.fromfile(f, np.float32, count)
                if len(found) < count:
                    raise ModelError(f"{self.file} is damaged.", _AGAIN)
                yield place, found.reshape(-1, width)

    def at(self, places: Sequence[int]) -> Floats:
        """The rows at some places, [n, sum(widths)], read one by one."""
        out = np.empty((len(places), sum(self.widths)), np.float32)
        with self.file.open("rb") as f:
            for row, place in zip(out, places, strict=True):
                f.seek(self.begin + int(place) * row.nbytes)
                if f.readinto(row.data) < row.nbytes:
                    raise ModelError(f"{self.file} is damaged.", _AGAIN)
        return out

    def all(self) -> Floats:
        """Every row, [n, sum(widths)]: 15 kB an image."""
        return np.concatenate([found for _, found in self.pieces()])


_AGAIN = "Delete that model's folder and run `keepset train`."


def save(ws: Workspace, model_id: str, shas: Sequence[str], features: Floats, widths: Sequence[int]) -> None:
    """Write raw features float32 [n, d] beside the model, and the width of each network's block."""
    from safetensors.numpy import save_file

    meta = {"sha256": "\n".join(shas), "widths": ",".join(map(str, widths))}
    with atomic_path(_path(ws, model_id)) as part:
        save_file({"features": np.ascontiguousarray(features)}, part, meta)


def blank(ws: Workspace, model_id: str, shas: Iterable[str]) -> int:
    """Overwrite the rows of these images with zeros, for good; returns how many. Nothing if there is no such file."""
    try:
        found = ModelFeatures.of(ws, model_id)
    except ModelError:
        return 0
    gone, size = set(shas), 4 * sum(found.widths)
    places = [i for i, sha in enumerate(found.sha256) if sha in gone]
    if places and isinstance(path := _path(ws, model_id), StoredPath):
        with atomic_path(path) as part:
            shutil.copyfile(found.file, part)
            _zero(part, [found.begin + i * size for i in places], size)
        forget(path)  # copies of before lie around for an hour
    elif places:
        _zero(found.file, [found.begin + i * size for i in places], size)
    return len(places)


def _zero(file: Path, places: Iterable[int], size: int) -> None:
    with refusals(file), file.open("r+b") as f:
        for place in places:
            f.seek(place)
            f.write(bytes(size))
        f.flush()
        os.fsync(f.fileno())


def units(features: Floats, widths: Sequence[int]) -> Floats:
    """``features`` [n, d] with each network's block scaled to length one; the dot product of two rows is then the sum of
    the networks' cosines.
    """
    out = np.array(features, np.float32)
    for block in np.split(out, np.cumsum(widths)[:-1], axis=1):
        block /= np.linalg.norm(block, axis=1, keepdims=True) + 1e-9
    return out


def _path(ws: Workspace, model_id: str) -> Path:
    return ws.models / model_id / "features.safetensors"
