"""A queue of pictures and the threads that answer them: decoding in a killable process, then inference.

One picture a call: in batches the network takes no less time per picture on a CPU (docs/benchmarks-predict.md).
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from keepset.predict.intake import UPLOADS, DecodeJob, Limits, Prepared, Refused, prepare
from keepset.predict.metrics import Metrics
from keepset.predict.model import Prediction, Predictor
from keepset.reasons import ImageReason

if TYPE_CHECKING:
    from keepset.validate.pool import StandingWorker

__all__ = ["Answer", "Busy", "Item", "Lines", "QueueOptions"]

log = logging.getLogger("keepset.predict")


class Busy(Exception):
    """More work than can be done soon; ``retry_after`` in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"busy; try again in {retry_after} s")
        self.retry_after = retry_after


@dataclass(frozen=True)
class QueueOptions:
    """Bounds of the service. Times in seconds.

    ``capacity``: pictures taken in and not yet answered. ``patience``: longest wait in the queue. ``decode`` and ``decode_mb``: time and memory for one picture.
    """

    workers: int = 2
    capacity: int = 128
    patience: float = 15.0
    decode: float = 5.0
    decode_mb: int = 1024
    preview: int = 360
    limits: Limits = UPLOADS


@dataclass(frozen=True)
class Answer:
    """A prediction, and a small WebP of the picture if one was asked for."""

    prediction: Prediction
    preview: bytes


@dataclass
class Item:
    """One picture on its way; it stays with the model that was in use when it came."""

    data: bytes
    preview: bool
    predictor: Predictor
    future: Future[Answer] = field(default_factory=Future)
    born: float = field(default_factory=time.monotonic)


class Lines:
    """Threads on one queue. ``put`` from any thread; results come through each item's future."""

    def __init__(self, options: QueueOptions, metrics: Metrics) -> None:
        self.options, self.metrics = options, metrics
        self.waiting: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self.threads = [threading.Thread(target=self._loop, daemon=True) for _ in range(options.workers)]
        for t in self.threads:
            t.start()

    def put(self, item: Item) -> None:
        self.waiting.put(item)

    def close(self) -> None:
        """Finish what was put, then end."""
        for _ in self.threads:
            self.waiting.put(None)
        for t in self.threads:
            t.join()

    def _loop(self) -> None:
        """Whatever happens to an item, it is answered and the thread goes on."""
        worker = _worker(self.options)
        try:
            while (item := self.waiting.get()) is not None:
                if not item.future.set_running_or_notify_cancel():
                    continue
                try:
                    item.future.set_result(self._answer(worker, item))
                except Exception as e:
                    if not isinstance(e, Refused | Busy):
                        log.exception("a picture could not be predicted")
                    item.future.set_exception(e)
        finally:
            worker.close()

    def _answer(self, worker: StandingWorker, item: Item) -> Answer:
        begin = time.monotonic()
        if begin - item.born > self.options.patience:
            raise Busy(int(self.options.patience))
        side = self.options.preview if item.preview else 0
        found = worker.ask(DecodeJob(item.data, item.predictor.preprocess, self.options.limits, side))
        decoded = time.monotonic()
        self.metrics.decoding.observe(decoded - begin)
        if not isinstance(found, Prepared):
            raise found if isinstance(found, Refused) else _lost(found.why, self.options)
        (prediction,) = item.predictor.predict_pixels([found.pixels])
        self.metrics.inference.observe(time.monotonic() - decoded)
        return Answer(prediction, found.preview)


def _worker(options: QueueOptions) -> StandingWorker:
    from keepset.validate.pool import StandingWorker

    return StandingWorker(prepare, timeout_s=options.decode, memory_mb=options.decode_mb)


def _lost(why: str, options: QueueOptions) -> Refused:
    if why == "timeout":
        return Refused(ImageReason.TIMEOUT, f"It was not decoded within {options.decode:g} s.")
    return Refused(ImageReason.CRASHED, "The decoder crashed on it.")
