"""What the prediction service counts, in Prometheus' text format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)


class Metrics:
    """One registry a service, so that two of them in one process never mix."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        self.images = Counter("keepset_images", "Pictures by what became of them.", ["outcome"], registry=r)
        self.seconds = Histogram(
            "keepset_image_seconds", "From taking a picture in to its answer.", buckets=_SECONDS, registry=r
        )
        self.decoding = Histogram("keepset_decode_seconds", "Decoding a picture.", buckets=_SECONDS, registry=r)
        self.inference = Histogram("keepset_inference_seconds", "One call of the model.", buckets=_SECONDS, registry=r)
        self.pending = Gauge("keepset_pending_images", "Pictures taken in and not answered.", registry=r)
        self.busy = Counter("keepset_refused_busy", "Requests refused because of too much work.", registry=r)
        self.swaps = Counter("keepset_model_loads", "Models put in use since the start.", registry=r)
        self.model = Info("keepset_model", "The model in use.", registry=r)

    def text(self) -> bytes:
        return generate_latest(self.registry)
