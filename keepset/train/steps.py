"""One step of training: a batch, its augmentation, loss, gradients summed over its pieces, the update."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.errors import TrainingError
from keepset.train.batches import Draws, augment, draw, to_input
from keepset.train.layers import groups
from keepset.train.task import Task

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    Ints = npt.NDArray[np.int64]

__all__ = ["MiniBatch", "batches", "draws_of", "optimizer_for", "order", "predict_logits", "read", "step", "taken"]

SLOWER = 100.0
"""How many times slower than the head the first layer learns."""
WEIGHT_DECAY = 0.01


@dataclass(frozen=True)
class MiniBatch:
    """``images``: squares from the pixel cache, augmented by ``draws`` if given; or, if ``ready``, what the network takes.

    ``seed`` decides dropout. It follows from the batch's place in the training, so a training resumed from a checkpoint
    draws the same.
    """

    images: torch.Tensor
    labels: torch.Tensor
    seed: int
    draws: Draws | None = None
    ready: bool = False


def order(task: Task, phase: int, epoch: int) -> Ints:
    """The training images of an epoch, shuffled; with ``oversample``, every class equally often."""
    rng = np.random.default_rng([task.seed, phase, epoch])
    n = len(task.train_shas)
    if not task.config.oversample:
        return rng.permutation(n)
    weights = 1.0 / np.bincount(task.train_labels)[task.train_labels]
    return rng.choice(n, n, p=weights / weights.sum())


def draws_of(task: Task, number: int) -> Draws | None:
    """The augmentation of every training image in the epoch of that number (0: the head's first)."""
    import torch

    if not task.config.augment:
        return None
    rng = torch.Generator().manual_seed(task.seed * 10_007 + number)
    return draw(len(task.train_shas), task.cache.spec.crop, task.spec, rng)


def batches(task: Task, draws: Draws | None, chosen: list[Ints], seeds: list[int]) -> Iterator[MiniBatch]:
    """The batches of an epoch; a thread reads the next one during each step."""
    with ThreadPoolExecutor(1) as pool:
        coming: Future[MiniBatch] | None = None
        for i in range(len(chosen)):
            begin = perf_counter()
            batch = coming.result() if coming else read(task, draws, chosen[i], seeds[i])
            task.waited += perf_counter() - begin
            last = i + 1 == len(chosen)
            coming = None if last else pool.submit(read, task, draws, chosen[i + 1], seeds[i + 1])
            yield batch


def read(task: Task, draws: Draws | None, chosen: Ints, seed: int) -> MiniBatch:
    """The batch of these training images, from the pixel cache."""
    import torch

    squares = torch.from_numpy(task.cache.read([task.train_shas[j] for j in chosen]))
    if task.machine.device.type == "cuda":
        squares = squares.pin_memory()
    labels = torch.from_numpy(task.train_labels[chosen])
    return MiniBatch(squares, labels, seed, draws.of(chosen) if draws else None)


def step(task: Task, network: torch.nn.Module, optimizer: Any, batch: MiniBatch, epoch: int) -> float:
    """Learn from one batch; its mean loss, nats. Raises ``TrainingError`` if that is not a number."""

    def gradients() -> float:
        optimizer.zero_grad(set_to_none=True)
        return _gradients(task, network, batch)

    loss = task.chunks.fitting(gradients, len(batch.labels))
    if not math.isfinite(loss):
        raise TrainingError(
            f"The loss became {loss} in epoch {epoch + 1}.",
            "The learning rate is too high: set a lower [train] lr, or leave it to the finder.",
        )
    optimizer.step()
    return loss


def _gradients(task: Task, network: torch.nn.Module, batch: MiniBatch) -> float:
    """Gradients of the batch's mean loss, and that loss, piece by piece."""
    import torch
    import torch.nn.functional as F

    n, device = len(batch.labels), task.machine.device
    torch.manual_seed(batch.seed)
    total = torch.zeros((), device=device)
    for piece in task.chunks.ranges(n):
        labels = batch.labels[piece].to(device, non_blocking=True)
        x = taken(task, batch, piece)
        with task.machine.autocast():
            logits = network(x).float()
        loss = F.cross_entropy(logits, labels, reduction="sum")
        (loss / n).backward()  # type: ignore[no-untyped-call]
        total += loss.detach() / n
    return float(total)


def taken(task: Task, batch: MiniBatch, piece: slice) -> torch.Tensor:
    """A piece of the batch as the network takes it: augmented, and through the frozen front if that is cut off."""
    x = batch.images[piece]
    if batch.ready:
        return x
    draws, device = batch.draws, task.machine.device
    x = augment(x, draws.of(piece), task.spec, device) if draws else to_input(x, task.spec, device)
    return task.front.learning(x) if task.front else x


def optimizer_for(task: Task, network: torch.nn.Module, rate: float) -> Any:
    """AdamW over layer groups, no decay on norm and bias.

    The head learns at ``rate``, a layer at depth d of the body (0 first, 1 last) at ``rate / 100 ** (1 - d)``.
    """
    import torch

    made = []
    for params, depth in groups(network):
        lr = rate / SLOWER ** (1 - depth)
        decay, plain = [p for p in params if p.ndim > 1], [p for p in params if p.ndim <= 1]
        for chosen, wd in ((decay, WEIGHT_DECAY), (plain, 0.0)):
            made.append({"params": chosen, "lr": lr, "weight_decay": wd})
    return torch.optim.AdamW(made, eps=1e-5, betas=(0.95, 0.99), fused=task.machine.fused or None)


def predict_logits(task: Task, network: torch.nn.Module, shas: list[str]) -> npt.NDArray[np.float32]:
    """float32 [n, classes] in the order of ``shas``, without augmentation."""
    import torch

    network.eval()

    def forward(part: slice) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = network(_behind_front(task, shas[part])).float().cpu().numpy()
        return found

    with torch.inference_mode():
        return np.concatenate(list(task.chunks.pieces(len(shas), forward)))


def _behind_front(task: Task, shas: list[str]) -> torch.Tensor:
    """The images as the network takes them; always as many at once go through the front, on which the last bits depend."""
    import torch

    padded = (shas * task.chunks.forward)[: max(len(shas), task.chunks.forward)] if task.front else shas
    x = to_input(torch.from_numpy(task.cache.read(padded)), task.spec, task.machine.device)
    return task.front.chain.run(x, 0, task.front.count)[: len(shas)] if task.front else x
