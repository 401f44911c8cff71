"""Files, folders, URLs and standard input to rows of predictions, streaming, in order."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from keepset.predict.intake import DEFAULT_LIMITS, Limits, Refused, missing, read_file
from keepset.predict.model import Prediction, Predictor, load
from keepset.predict.remote import is_url, read_now
from keepset.reasons import DownloadReason, ImageReason, ItemStatus
from keepset.settings import settings
from keepset.stages import SILENT, Progress
from keepset.storage.localfiles import walk
from keepset.text import without_surrogates

__all__ = ["Row", "predict_files"]

BATCH = 16


@dataclass(frozen=True)
class Row:
    """One input and what became of it; a refused one has a reason and no prediction."""

    input: str
    status: ItemStatus
    prediction: Prediction | None = None
    reason: ImageReason | DownloadReason | None = None
    detail: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Flat and JSON-ready, the same keys for every row."""
        p = self.prediction
        return {
            "input": without_surrogates(self.input), "status": str(self.status), "label": p and p.label,
            "probability": p and p.probability, "outcome": p and str(p.outcome),
            "unfamiliar": p and p.unfamiliar, "distance": p and p.distance,
            "probabilities": p and p.probabilities, "model_id": p and p.model_id,
            "reason": self.reason and str(self.reason), "detail": self.detail,
        }  # fmt: skip


def predict_files(
    model: Predictor | Path,
    inputs: Iterable[str],
    *,
    limits: Limits = DEFAULT_LIMITS,
    allow_private: tuple[str, ...] = (),
    progress: Progress = SILENT,
) -> Iterator[Row]:
    """A row for each file or URL; a folder is walked in sorted order (hidden files left out), ``-`` is stdin.

    ``allow_private`` holds host:port of servers of one's own; other URLs must lead to public addresses. Raises
    ``ModelError`` before the first row if the model cannot be used.
    """
    predictor = model if isinstance(model, Predictor) else load(model)
    names = [name for given in inputs for name in _expand(given)]
    progress.start("predicting", len(names))
    waiting = iter(names)
    with ThreadPoolExecutor(settings().workers) as pool:
        while chunk := list(islice(waiting, BATCH)):
            prepared = list(pool.map(lambda name: _prepare(predictor, name, limits, allow_private), chunk))
            found = iter(predictor.predict_pixels([p for p in prepared if not isinstance(p, Row)]))
            for name, one in zip(chunk, prepared, strict=True):
                yield one if isinstance(one, Row) else Row(name, ItemStatus.OK, next(found))
                progress.advance()


def _expand(given: str) -> list[str]:
    path = Path(given)
    if given == "-" or is_url(given) or not path.is_dir():
        return [given]
    return [str(e.path) for e in walk(path) if e.problem is None]


def _prepare(predictor: Predictor, name: str, limits: Limits, allow_private: tuple[str, ...]) -> Any:
    try:
        return predictor.prepare(_read(name, limits, allow_private), limits)
    except Refused as e:
        status = ItemStatus.FAILED if isinstance(e.reason, DownloadReason) else ItemStatus.REJECTED
        return Row(name, status, reason=e.reason, detail=e.detail)
    except OSError as e:
        return Row(name, ItemStatus.FAILED, reason=ImageReason.MISSING, detail=missing(e))


def _read(name: str, limits: Limits, allow_private: tuple[str, ...]) -> bytes:
    if is_url(name):
        return read_now(name, limits, allow_private)
    if name != "-":
        return read_file(Path(name), limits)
    data = sys.stdin.buffer.read(limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise Refused(ImageReason.TOO_LARGE, f"The file is larger than {limits.max_bytes / 1e6:g} MB.")
    return data
