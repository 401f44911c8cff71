"""The learning-rate range test: raise the rate from tiny to large over some steps, and look at where the loss falls.

L. Smith, Cyclical Learning Rates, arXiv:1506.01186; the valley is that of fastai's ``lr_find``.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.errors import TrainingError
from keepset.train.fine_tune import learning
from keepset.train.layers import freeze, train_mode
from keepset.train.steps import draws_of, optimizer_for, read, step, taken
from keepset.train.task import Task

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    Floats = npt.NDArray[np.float64]

__all__ = ["advice", "find_rate"]

STEPS, BATCH, AT_LEAST = 16, 8, 8
LOW, HIGH = 1e-4, 1.0
DEFAULT = 2e-3
"""Taken where the curve says nothing."""
SANE = (6e-4, 3e-3)
"""The advice is kept within these: on three drawn sets of bench/train (one seed) the best rate lay between them."""


def find_rate(task: Task, network: torch.nn.Module, share: float) -> dict[str, Any]:
    """Learning rates and losses of the test, and the advice, on a copy of the network.

    ``share`` of its front is frozen as it will be in training. All steps see the same few images under the same
    augmentation: with fresh small batches the curve shows which images came rather than what the rate does.
    """
    import torch

    trial = copy.deepcopy(network)
    freeze(trial, share)
    optimizer = optimizer_for(task, trial, 1.0)
    scale = [float(g["lr"]) for g in optimizer.param_groups]
    lrs = np.geomspace(LOW, HIGH, STEPS)
    rng = np.random.default_rng([task.seed, 99])
    n = len(task.train_shas)
    chosen = rng.choice(n, min(BATCH, n), replace=False)
    batch = read(task, draws_of(task, 0), chosen, int(rng.integers(2**31)))
    task.progress.start("learning-rate finder", STEPS)
    losses: list[float] = []
    with learning(task, trial):
        pieces = task.chunks.pieces(len(batch.labels), lambda piece: taken(task, batch, piece))
        batch = replace(batch, images=torch.cat(list(pieces)), ready=True)
        train_mode(trial)
        for i in range(STEPS):
            for group, by in zip(optimizer.param_groups, scale, strict=True):
                group["lr"] = float(lrs[i]) * by
            try:
                loss = step(task, trial, optimizer, batch, 0)
            except TrainingError:
                break
            losses.append(loss)
            task.progress.advance(loss=loss, lr=float(lrs[i]))
            if losses[-1] > 4 * min(losses) and i >= AT_LEAST:
                break
    return advice(lrs[: len(losses)], np.array(losses))


def advice(lrs: Floats, losses: Floats) -> dict[str, Any]:
    """valley: half way down the longest fall; chosen: the valley, kept sane."""
    found: dict[str, Any] = {"lrs": lrs.tolist(), "losses": losses.tolist()}
    if len(losses) < 5 or not np.isfinite(losses).all():
        return found | {"valley": None, "chosen": DEFAULT}
    start, end = _longest_fall(losses)
    valley = float(lrs[(start + end) // 2]) if end - start >= 3 else None
    chosen = DEFAULT if valley is None else float(np.clip(valley, *SANE))
    return found | {"valley": valley, "chosen": chosen}


def _longest_fall(losses: Floats) -> tuple[int, int]:
    """First and last index of the longest decreasing subsequence."""
    n = len(losses)
    length, begin = [1] * n, list(range(n))
    for i in range(1, n):
        for j in range(i):
            if losses[i] < losses[j] and length[i] < length[j] + 1:
                length[i], begin[i] = length[j] + 1, begin[j]
    end = int(np.argmax(length))
    return begin[end], end
