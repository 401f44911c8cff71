"""The prediction service of one workspace: the model in use, swapped when another is promoted, and a bounded queue."""

from __future__ import annotations

import functools
import logging
import math
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepset.errors import KeepsetError, ModelError
from keepset.machine.heap import give_back
from keepset.models import ModelRecord, load_record
from keepset.predict.metrics import Metrics
from keepset.predict.model import Predictor, find, load
from keepset.predict.queueing import Answer, Busy, Item, Lines, QueueOptions
from keepset.reasons import ImageReason
from keepset.settings import settings
from keepset.storage import StoredPath
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Answer", "Busy", "QueueOptions", "Service", "Serving"]

log = logging.getLogger("keepset.predict")
WATCH_S = 0.5
_WATCH_STORE_S = 15.0  # a look costs six requests
Stamp = tuple[str, int, int]


@dataclass(frozen=True)
class Serving:
    """A model in memory: ``stamp`` tells its file from a later one."""

    predictor: Predictor
    record: ModelRecord
    stamp: Stamp


class Service:
    """Threads start with the first use and end with ``close``. All methods may be called from any thread."""

    def __init__(self, ws: Workspace, options: QueueOptions | None = None) -> None:
        self.ws, self.options, self.metrics = (ws, options or QueueOptions(workers=settings().workers), Metrics())
        self.serving: Serving | None = None
        self.trouble: ModelError | None = None
        self._failed: Stamp | None = None
        self._lines: Lines | None = None
        self._pending, self._each = 0, 0.05
        self._lock, self._loading, self._stop = threading.Lock(), threading.Lock(), threading.Event()

    # -- the model ---------------------------------------------------------------------------------

    def model(self) -> Serving:
        """The model in use; loads it, and starts the threads, at the first call. Raises ``ModelError`` if none is."""
        if self.serving is None:
            _stamp(self.ws)  # without a model, nothing is started
            self._start()
            self.refresh()
        if self.serving is None:
            raise self.trouble or ModelError("No model is in use yet.", "Run `keepset train` first.")
        return self.serving

    def refresh(self) -> None:
        """Load the promoted model if it is not the one that is served. What is on its way ends with the old one."""
        with self._loading:
            try:
                stamp = _stamp(self.ws)
                if self.serving and self.serving.stamp == stamp:
                    return
                if stamp != self._failed:
                    self._swap(stamp)
            except KeepsetError as e:
                self.trouble = e if isinstance(e, ModelError) else ModelError(e.message, e.remedy)

    def _swap(self, stamp: Stamp) -> None:
        self._failed = stamp  # a damaged file is not read twice a second
        predictor = load(self.ws.models / stamp[0])
        record = load_record(self.ws, predictor.model_id)
        if record.classes != predictor.classes:
            raise ModelError(
                f"The classes of {predictor.path} are not those of its record.", "Delete it and run `keepset train`."
            )
        predictor.predict_pixels([_blank(predictor)])  # the first run of a session is slow
        give_back()
        self.serving, self.trouble, self._failed = Serving(predictor, record, stamp), None, None
        self.metrics.swaps.inc()
        self.metrics.model.info({"id": record.id, "revision": str(record.dataset_revision)})
        log.info("model %s is in use", record.id)

    def _start(self) -> None:
        with self._lock:
            if self._lines is None and not self._stop.is_set():
                self._lines = Lines(self.options, self.metrics)
                threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._stop.wait(_WATCH_STORE_S if isinstance(self.ws.root, StoredPath) else WATCH_S):
            try:
                self.refresh()
            except Exception:  # the old model goes on, whatever is wrong with the new one
                log.exception("the promoted model could not be looked at")

    def close(self) -> None:
        """End the threads and their processes, after what was taken in."""
        self._stop.set()
        with self._lock:
            lines, self._lines = self._lines, None
        if lines is not None:
            lines.close()

    # -- pictures ----------------------------------------------------------------------------------

    def room(self, n: int) -> None:
        """Raise ``Busy`` if ``n`` more pictures would be too many."""
        with self._lock:
            self._check(n)

    def submit(self, serving: Serving, pictures: list[bytes], *, preview: bool = False) -> list[Future[Answer]]:
        """Take all of the pictures in, for the model ``serving``, or none: raises ``Busy``.

        A future gives an ``Answer``, or raises ``Refused`` for a picture that is not usable and ``Busy`` for one
        that waited too long.
        """
        items = [Item(data, preview, serving.predictor) for data in pictures]
        with self._lock:
            self._check(len(items))
            lines = self._lines
            if lines is None:
                raise Busy(1)  # it is being closed
            self._pending += len(items)
            self.metrics.pending.set(self._pending)
            for item in items:
                item.future.add_done_callback(functools.partial(self._done, item.born))
                lines.put(item)
        return [item.future for item in items]

    def _check(self, n: int) -> None:
        if self._pending + n > self.options.capacity:
            self.metrics.busy.inc()
            raise Busy(min(30, max(1, math.ceil(self._pending * self._each / self.options.workers))))

    def _done(self, born: float, future: Future[Answer]) -> None:
        took = time.monotonic() - born
        with self._lock:
            self._each += 0.05 * (took * self.options.workers / max(1, self._pending) - self._each)
            self._pending -= 1
            self.metrics.pending.set(self._pending)
        self.metrics.seconds.observe(took)
        self.metrics.images.labels(_outcome(future)).inc()


def _outcome(future: Future[Answer]) -> str:
    if future.cancelled():
        return "cancelled"
    trouble = future.exception()
    if trouble is None:
        return str(future.result().prediction.outcome)
    reason = getattr(trouble, "reason", None)
    return str(reason) if isinstance(reason, ImageReason) else "busy" if isinstance(trouble, Busy) else "error"


def _stamp(ws: Workspace) -> Stamp:
    """Which model is promoted, and which file that is. Raises ``ModelError``."""
    try:
        path = find(ws.root)
        facts = path.stat()
    except OSError as e:
        raise ModelError(f"The promoted model cannot be read: {e}.", "Run `keepset train`.") from e
    return path.parent.name, facts.st_ino, facts.st_mtime_ns


def _blank(predictor: Predictor) -> npt.NDArray[np.uint8]:
    import numpy as np

    side = predictor.preprocess.crop
    return np.zeros((side, side, 3), np.uint8)
