"""One training: what it learns from, on what and how, and what it has made on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from keepset.config import TrainConfig
from keepset.images.pixels import Preprocess
from keepset.stages import Progress
from keepset.train.batches import Draws
from keepset.train.chain import Chain, Front
from keepset.train.kept import Kept
from keepset.train.machine import Chunks, Machine
from keepset.train.pixels_cache import PixelCache

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    Ints = npt.NDArray[np.int64]

__all__ = ["Pass", "Task"]


@dataclass(frozen=True)
class Pass:
    """``draws``: of every place in the pass, None without augmentation. ``rows``: every training image behind the
    first ``count`` blocks, [n, ...], or None if that is computed batch by batch.
    """

    number: int
    draws: Draws | None
    rows: torch.Tensor | None = None
    count: int = 0


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
    """What computes the frozen blocks, if the network starts behind them just now."""
    apart: int = field(default=0)
    """How many of the chain's blocks stay frozen all through the training."""
    passes: list[Pass] = field(default_factory=list)
    kept: dict[int, Kept] = field(default_factory=dict)
    """By number of blocks: what they make of the images as they are."""
