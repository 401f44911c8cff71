"""What frozen blocks make of the images as they are: computed once, and looked at after every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keepset.train import parallel

if TYPE_CHECKING:
    import torch

__all__ = ["Kept"]

MOST = 512 * 2**20
"""Bytes: what is larger is computed again each time."""


class Kept:
    """What the first ``count`` blocks make of ``shas``, in their order, filled from the first on: float32 [n, ...]."""

    def __init__(self, count: int, shas: Sequence[str], like: torch.Tensor) -> None:
        """``like``: what the blocks make of one image, [1, ...]."""
        import torch

        self.count = count
        self.places = {s: i for i, s in enumerate(shas)}
        self.filled = 0
        self.rows = torch.empty((len(self.places), *like.shape[1:]), dtype=torch.float32)

    @staticmethod
    def fits(n: int, like: torch.Tensor) -> bool:
        """Whether it pays: in memory that is plentiful, and in one process, whose share is all."""
        return like.device.type == "cpu" and parallel.world() == 1 and n * like.numel() * 4 <= MOST

    @property
    def whole(self) -> bool:
        return self.filled == len(self.rows)

    def add(self, rows: torch.Tensor) -> None:
        self.rows[self.filled : self.filled + len(rows)] = rows
        self.filled += len(rows)

    def of(self, shas: Sequence[str]) -> torch.Tensor:
        import torch

        found = self.rows[[self.places[s] for s in shas]]
        return found.contiguous(memory_format=torch.channels_last) if found.ndim == 4 else found
