"""Two rows of threads with a queue each: decoding in killable processes, then inference a few pictures at a time."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from keepset.predict.intake import UPLOADS, Job, Limits, Prepared, Refused, prepare
from keepset.predict.metrics import Metrics
from keepset.predict.model import AT_ONCE, Prediction, Predictor
from keepset.reasons import ImageReason

if TYPE_CHECKING:
    from keepset.validate.pool import StandingWorker

__all__ = ["Answer", "Busy", "Item", "Lines", "Options"]

log = logging.getLogger("keepset.predict")


class Busy(Exception):
    """More work than can be done soon; ``retry_after`` in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"busy; try again in {retry_after} s")
        self.retry_after = retry_after


@dataclass(frozen=True)
class Options:
    """Bounds of the service. Times in seconds.

    ``capacity``: pictures taken in and not yet answered. ``patience``: longest wait in the queue. ``gather``: wait
    for others that are being decoded right now. ``decode`` and ``decode_mb``: time and memory for one picture.
    """

    workers: int = 2
    capacity: int = 128
    patience: float = 15.0
    gather: float = 0.002
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
    prepared: Prepared | None = None


class Lines:
    """The threads and queues. ``put`` from any thread; results come through each item's future."""

    def __init__(self, options: Options, metrics: Metrics) -> None:
        self.options, self.metrics = options, metrics
        self.raw: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self.ready: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self.decoding = 0
        self.lock = threading.Lock()
        loops = [self._decode_loop] * options.workers + [self._infer_loop] * options.workers
        self.threads = [threading.Thread(target=f, daemon=True) for f in loops]
        for t in self.threads:
            t.start()

    def put(self, item: Item) -> None:
        self.raw.put(item)

    def close(self) -> None:
        """Finish what was put, then end."""
        n = self.options.workers
        for line, threads in ((self.raw, self.threads[:n]), (self.ready, self.threads[n:])):
            for _ in threads:
                line.put(None)
            for t in threads:
                t.join()

    # -- decoding ----------------------------------------------------------------------------------

    def _decode_loop(self) -> None:
        worker = _worker(self.options)
        try:
            while (item := self.raw.get()) is not None:
                self._guarded([item], self._decode, worker, item)
        finally:
            worker.close()

    def _decode(self, worker: StandingWorker, item: Item) -> None:
        if not item.future.set_running_or_notify_cancel():
            return
        begin = time.monotonic()
        if begin - item.born > self.options.patience:
            raise Busy(int(self.options.patience))
        with self.lock:
            self.decoding += 1
        try:
            side = self.options.preview if item.preview else 0
            found = worker.ask(Job(item.data, item.predictor.preprocess, self.options.limits, side))
        finally:
            with self.lock:
                self.decoding -= 1
        self.metrics.decoding.observe(time.monotonic() - begin)
        if not isinstance(found, Prepared):
            raise found if isinstance(found, Refused) else _lost(found.why, self.options)
        item.data, item.prepared = b"", found
        self.ready.put(item)

    # -- inference ---------------------------------------------------------------------------------

    def _infer_loop(self) -> None:
        while (first := self.ready.get()) is not None:
            items = self._gather(first)
            for predictor in {id(i.predictor): i.predictor for i in items}.values():
                mine = [i for i in items if i.predictor is predictor]
                self._guarded(mine, self._infer, predictor, mine)

    def _gather(self, first: Item) -> list[Item]:
        """What is ready, and what is being decoded if it comes within ``gather``; alone, nothing is waited for."""
        items, until = [first], time.monotonic() + self.options.gather
        while len(items) < AT_ONCE:
            wait = until - time.monotonic() if self.decoding else 0.0
            try:
                item = self.ready.get(timeout=wait) if wait > 0 else self.ready.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self.ready.put(None)
                break
            items.append(item)
        return items

    def _infer(self, predictor: Predictor, items: list[Item]) -> None:
        begin = time.monotonic()
        ready = [(i, i.prepared) for i in items if i.prepared is not None]
        found = predictor.predict_pixels([p.pixels for _, p in ready])
        self.metrics.inference.observe(time.monotonic() - begin)
        self.metrics.batch.observe(len(ready))
        for (item, prepared), prediction in zip(ready, found, strict=True):
            item.future.set_result(Answer(prediction, prepared.preview))

    def _guarded(self, items: list[Item], work: Callable[..., None], *given: Any) -> None:
        """Whatever happens to these items, the thread goes on and every one of them is answered."""
        try:
            work(*given)
        except Exception as e:
            if not isinstance(e, Refused | Busy):
                log.exception("a picture could not be predicted")
            for item in items:
                if not item.future.done():
                    item.future.set_exception(e)


def _worker(options: Options) -> StandingWorker:
    from keepset.validate.pool import StandingWorker

    return StandingWorker(prepare, timeout_s=options.decode, memory_mb=options.decode_mb)


def _lost(why: str, options: Options) -> Refused:
    if why == "timeout":
        return Refused(ImageReason.TIMEOUT, f"It was not decoded within {options.decode:g} s.")
    return Refused(ImageReason.CRASHED, "The decoder crashed on it.")
