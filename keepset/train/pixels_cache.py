"""Images decoded once: uint8 squares on disk, keyed by content and preprocessing.

They are not synced, which would take most of the time; one that a power cut left short is decoded again.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keepset.errors import TrainingError
from keepset.files import atomic_path
from keepset.images.pixels import Preprocess, decode, model_input
from keepset.settings import settings
from keepset.stages import Progress
from keepset.storage.carrying import bring
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["PixelCache"]


class PixelCache:
    """Squares of ``spec.resize`` px: their centre is just what prediction sees, the rim is for augmentation."""

    def __init__(self, ws: Workspace, spec: Preprocess) -> None:
        self.ws, self.spec = ws, replace(spec, crop=spec.resize)
        facts = json.dumps(asdict(self.spec), sort_keys=True).encode()
        self.folder = ws.cache / "pixels" / hashlib.sha256(facts).hexdigest()[:12]
        self.file_size = _file_size((self.spec.resize, self.spec.resize, 3))

    def fill(self, shas: Sequence[str], progress: Progress) -> None:
        """Decode what is not there yet."""
        missing = [s for s in dict.fromkeys(shas) if not self._stands(s)]
        if not missing:
            return
        progress.start("decoding images", len(missing))
        with ThreadPoolExecutor(settings().workers) as pool:
            blobs = bring(self.ws.blob(s) for s in missing)
            for _ in pool.map(self._decode, missing, blobs):
                progress.advance()

    def read(self, shas: Sequence[str]) -> npt.NDArray[np.uint8]:
        """uint8 [n, resize, resize, 3], of images that ``fill`` has seen to.

        One array for all, filled from the files: memory that is short is numpy's ``MemoryError``, not an ``OSError``
        of some image's mapping.
        """
        side = self.spec.resize
        squares = np.empty((len(shas), side, side, 3), np.uint8)
        for square, sha in zip(squares, shas, strict=True):
            with self._path(sha).open("rb", buffering=0) as f:
                f.seek(self.file_size - square.nbytes)
                if f.readinto(square.data) != square.nbytes:
                    raise _cut(self._path(sha))
        return squares

    def _path(self, sha: str) -> Path:
        return self.folder / sha[:2] / f"{sha}.npy"

    def _stands(self, sha: str) -> bool:
        try:
            return self._path(sha).stat().st_size == self.file_size
        except FileNotFoundError:
            return False

    def _decode(self, sha: str, blob: Path) -> None:
        try:
            image = decode(blob.read_bytes(), shortest=self.spec.resize)
        except FileNotFoundError as e:
            raise TrainingError(
                f"The file of image {sha} is missing from the workspace.",
                "Run `keepset download` to fetch it again, then the same command. If its source is gone too, delete the "
                "image in a review (`keepset review --all`).",
            ) from e
        except (OSError, ValueError) as e:
            raise TrainingError(
                f"The file of image {sha} cannot be read: {e}.",
                f"It has changed since it was taken in: delete {blob}, then run `keepset download` to fetch it again.",
            ) from e
        with atomic_path(self._path(sha), sync=False) as part, part.open("wb") as f:
            np.save(f, model_input(image, self.spec))


def _cut(path: Path) -> TrainingError:
    return TrainingError(f"{path} is cut short.", "Run the same command again: it is then decoded again.")


def _file_size(shape: tuple[int, ...]) -> int:
    """Bytes of a uint8 array in numpy's format."""
    file = io.BytesIO()
    np.save(file, np.zeros(shape, np.uint8))
    return file.tell()
