"""One training: what it learns from, on what and how, and what it has made on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from keepset.config import TrainConfig
from keepset.images.pixels import Preprocess
from keepset.stages import Progress
from keepset.train.chain import Chain, Front
from keepset.train.machine import Chunks, Machine
from keepset.train.pixels_cache import PixelCache

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

__all__ = ["Task"]


@dataclass
class Task:
    """One training: what to learn from, on what, and how."""

    cache: PixelCache
    spec: Preprocess
    config: TrainConfig
    machine: Machine
    seed: int
    train_shas: list[str]
    train_labels: Ints
    valid_shas: list[str]
    valid_labels: Ints
    progress: Progress
    batch_size: int
    chunks: Chunks
    waited: float = field(default=0.0)
    """Seconds spent waiting for images so far."""
    chain: Chain | None = field(default=None)
    front: Front | None = field(default=None)
    """Computes the frozen blocks while the network starts behind them."""
