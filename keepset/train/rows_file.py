"""Rows of numbers by sha256 in two flat files that only grow: what a body makes of images, for any number of them.

``shas`` holds 32 bytes per row, ``rows`` the float32 numbers in the same order. A row counts once its sha256 is on disk,
which is written after it, so that a process may be killed at any moment; what was written beyond that is cut off by the
next one that appends. Reading maps the file into memory: only the rows asked for are read.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keepset.files import refusals

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["RowsFile"]

DIGEST = 32


class RowsFile:
    """The rows in ``folder``, ``width`` numbers each. Several processes may append at once."""

    def __init__(self, folder: Path, width: int) -> None:
        self.folder, self.width = folder, width
        self._known: dict[bytes, int] = {}
        self._read_shas()

    def __len__(self) -> int:
        return len(self._known)

    def missing(self, shas: Iterable[str]) -> list[str]:
        """Those of ``shas`` that have no row yet, each once, in their order."""
        self._read_shas()
        return [s for s in dict.fromkeys(shas) if bytes.fromhex(s) not in self._known]

    def read(self, shas: Sequence[str]) -> Floats:
        """float32 [n, width] in the order of ``shas``. Raises ``KeyError`` for one without a row."""
        if not shas:
            return np.zeros((0, self.width), np.float32)
        places = np.array([self._known[bytes.fromhex(s)] for s in shas])
        mapped: Floats = np.memmap(self.folder / "rows", np.float32, "r", shape=(len(self._known), self.width))
        return np.asarray(mapped[places])

    def append(self, shas: Sequence[str], rows: Floats) -> None:
        """Add rows; a sha256 that has one already keeps it. A full disk raises ``WorkspaceNotWritable``."""
        with refusals(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "rows").exists():
                (self.folder / "width").write_text(str(self.width), "ascii")
            with (self.folder / "shas").open("ab") as names, (self.folder / "rows").open("ab") as numbers:
                fcntl.flock(names, fcntl.LOCK_EX)
                self._read_shas()
                new = {s: i for i, s in enumerate(shas) if bytes.fromhex(s) not in self._known}
                names.truncate(len(self._known) * DIGEST)
                numbers.truncate(len(self._known) * self.width * 4)
                numbers.write(np.ascontiguousarray(rows[list(new.values())], dtype="<f4").data)
                _sync(numbers)
                names.write(b"".join(bytes.fromhex(s) for s in new))
                _sync(names)
                self._read_shas()

    @classmethod
    def blank(cls, folder: Path, shas: Iterable[str]) -> int:
        """Overwrite the rows of these images with zeros, for good, and forget whose they were; returns how many.

        No row moves, so that who reads the file at this moment is not disturbed.
        """
        try:
            width = int((folder / "width").read_text("ascii"))
        except FileNotFoundError:  # made before widths were written down: computed again when it is needed
            shutil.rmtree(folder, ignore_errors=True)
            return 0
        gone = {bytes.fromhex(s) for s in shas}
        with refusals(folder), (folder / "shas").open("r+b") as names, (folder / "rows").open("r+b") as numbers:
            fcntl.flock(names, fcntl.LOCK_EX)
            data = names.read()
            mine = [i for i in range(len(data) // DIGEST) if data[i * DIGEST : (i + 1) * DIGEST] in gone]
            for i in mine:
                numbers.seek(i * width * 4)
                numbers.write(bytes(width * 4))
            _sync(numbers)  # before the names: a kill leaves them findable
            for i in mine:
                names.seek(i * DIGEST)
                names.write(i.to_bytes(DIGEST, "big"))  # each its own, so that every row still has a name
            _sync(names)
        return len(mine)

    def _read_shas(self) -> None:
        """Take in the rows that were added since, by whichever process."""
        try:
            rows = (self.folder / "rows").stat().st_size // (self.width * 4)
            with (self.folder / "shas").open("rb") as f:
                f.seek(len(self._known) * DIGEST)
                data = f.read()
        except FileNotFoundError:
            self._known = {}
            return
        count = min(len(data) // DIGEST, rows - len(self._known))
        for i in range(count):
            self._known[data[i * DIGEST : (i + 1) * DIGEST]] = len(self._known)


def _sync(file: object) -> None:
    file.flush()  # type: ignore[attr-defined]
    os.fsync(file.fileno())  # type: ignore[attr-defined]
