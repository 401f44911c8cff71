"""Several processes on one training, started by ``torchrun``: rank 0 leads and writes, the others share its work.

Each batch is cut into one share a process; gradients are summed over all of them and divided by the whole batch, so
that shares need not be equal and the result is one process's up to rounding. Summing them here, rather than in torch's
DistributedDataParallel, lets all processes agree to take smaller pieces when one runs out of memory; networks of this
size gain nothing from overlapping the sum with the backward pass. Without torchrun everything here does nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

__all__ = [
    "any_rank",
    "gathered",
    "group",
    "leads",
    "local_rank",
    "rank",
    "share",
    "shared",
    "sum_gradients",
    "summed",
    "world",
]

T = TypeVar("T")
PATIENCE = timedelta(hours=24)
"""How long a process waits for the others: rank 0 may decode a million images first."""


def rank() -> int:
    return int(os.environ.get("RANK", "0")) if world() > 1 else 0


def local_rank() -> int:
    """Which of this machine's devices is ours."""
    return int(os.environ.get("LOCAL_RANK", "0")) if world() > 1 else 0


def world() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def leads() -> bool:
    return rank() == 0


@contextlib.contextmanager
def group(choose: Callable[[], torch.device]) -> Iterator[None]:
    """Join the other processes within this block; NCCL between CUDA devices, gloo otherwise.

    ``choose`` says which device this process is to use; it is asked only if there are others.
    """
    if world() == 1:
        yield
        return
    import torch
    import torch.distributed as dist

    device = choose()
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def share(items: Sequence[T]) -> Sequence[T]:
    """Every ``world()``-th of ``items``, from ours on: what this process does of a job."""
    return items[rank() :: world()]


def shared(value: T) -> T:
    """Rank 0's ``value``, on every process."""
    if world() == 1:
        return value
    import torch.distributed as dist

    box: list[Any] = [value]
    dist.broadcast_object_list(box, src=0)
    found: T = box[0]
    return found


def gathered(mine: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """The rows of all shares (see ``share``) in the order of the whole, [n, ...], on every process."""
    if world() == 1:
        return mine
    import torch.distributed as dist

    parts: list[Any] = [None] * world()
    dist.all_gather_object(parts, mine)
    out = np.empty((n, *mine.shape[1:]), mine.dtype)
    for i, part in enumerate(parts):
        out[i :: world()] = part
    return out


def any_rank(flag: bool) -> bool:
    """Whether ``flag`` is set on any process."""
    if world() == 1:
        return flag
    import torch
    import torch.distributed as dist

    said = torch.tensor([float(flag)])
    dist.all_reduce(said, op=dist.ReduceOp.MAX)
    return bool(said[0])


def summed(value: float) -> float:
    if world() == 1:
        return value
    import torch
    import torch.distributed as dist

    total = torch.tensor([value], dtype=torch.float64)
    dist.all_reduce(total)
    return float(total[0])


def sum_gradients(network: torch.nn.Module) -> None:
    """Sum the gradients over all processes, in one flat message."""
    if world() == 1:
        return
    import torch
    import torch.distributed as dist

    params = [p for p in network.parameters() if p.requires_grad]
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in params])
    dist.all_reduce(flat)
    parts = torch.split(flat, [p.numel() for p in params])
    for p, part in zip(params, parts, strict=True):
        p.grad = torch.empty_like(p).copy_(part.view_as(p))  # in the parameter's own memory layout
