"""One step of training: a batch, its augmentation, loss, gradients summed over pieces and processes, the update."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.errors import TrainingError
from keepset.train import parallel
from keepset.train.batches import Draws, to_input
from keepset.train.layers import groups
from keepset.train.passes import augmented
from keepset.train.shortage import cause, out_of_memory
from keepset.train.task import Pass, Task

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    Ints = npt.NDArray[np.int64]

__all__ = ["Batch", "batches", "optimizer_for", "order", "predict_logits", "read", "step"]


@dataclass(frozen=True)
class Batch:
    """``chosen``: training images of the whole batch; the rest: this process's share of it.

    ``images``: squares to be augmented by ``draws``, or, with a ``start``, what the blocks before that one made of them.
    ``seed`` decides dropout, by the batch's place in the training: a training that goes on from a checkpoint draws
    what it would have drawn. ``ready``, of a batch that is learnt from again and again, keeps its pieces as the
    network takes them.
    """

    chosen: Ints
    images: torch.Tensor
    labels: torch.Tensor
    seed: int
    draws: Draws | None = None
    start: int = 0
    ready: dict[tuple[int, int], torch.Tensor] | None = None


def order(task: Task, epoch: int, phase: str) -> Ints:
    """The training images of an epoch, shuffled; with ``oversample``, every class equally often."""
    rng = np.random.default_rng([task.seed, epoch, len(phase)])
    n = len(task.train_shas)
    if not task.config.oversample:
        return rng.permutation(n)
    weights = 1.0 / np.bincount(task.train_labels)[task.train_labels]
    return rng.choice(n, n, p=weights / weights.sum())


def batches(task: Task, of: Pass, places: list[Ints], seeds: list[int]) -> Iterator[Batch]:
    """The batches of a pass, each read by a thread while the one before is being learnt from."""
    with ThreadPoolExecutor(1) as pool:
        coming: Future[Batch] | None = None
        for i in range(len(places)):
            begin = perf_counter()
            batch = coming.result() if coming else read(task, of, places[i], seeds[i])
            task.waited += perf_counter() - begin
            last = i + 1 == len(places)
            coming = None if last else pool.submit(read, task, of, places[i + 1], seeds[i + 1])
            yield batch


def read(task: Task, of: Pass, chosen: Ints, seed: int) -> Batch:
    """This process's share of a batch: from the pass, or from the pixel cache."""
    import torch

    mine = np.asarray(parallel.share(chosen.tolist()), dtype=np.int64)
    labels = torch.from_numpy(task.train_labels[mine])
    if of.rows is not None:
        return Batch(chosen, of.rows[mine], labels, seed, start=of.count)
    squares = torch.from_numpy(task.cache.read([task.train_shas[j] for j in mine]))
    if task.machine.device.type == "cuda":
        squares = squares.pin_memory()
    return Batch(chosen, squares, labels, seed, of.draws.of(mine) if of.draws else None)


def step(task: Task, network: torch.nn.Module, optimizer: Any, batch: Batch, epoch: int) -> float:
    """Learn from one batch; its mean loss, nats. Raises ``TrainingError`` if that is not a number."""
    loss = None
    while loss is None:
        optimizer.zero_grad(set_to_none=True)
        short = ""
        try:
            loss = _gradients(task, network, batch)
        except (RuntimeError, MemoryError) as e:
            if not out_of_memory(e):
                raise
            short = cause(e)
        if parallel.any_rank(bool(short)):  # all take smaller pieces, or none
            loss = None
            optimizer.zero_grad(set_to_none=True)
            task.chunks.halve(short or "on another process", min(task.chunks.size, len(batch.chosen)))
    parallel.sum_gradients(network)
    loss = parallel.summed(loss)
    if not math.isfinite(loss):
        raise TrainingError(
            f"The loss became {loss} in epoch {epoch + 1}.",
            "The learning rate is too high: set a lower [train] lr, or leave it to the finder.",
        )
    optimizer.step()
    return loss


def _gradients(task: Task, network: torch.nn.Module, batch: Batch) -> float:
    """Gradients of this process's part of the batch's mean loss, and that part, piece by piece."""
    import torch
    import torch.nn.functional as F

    n, device = len(batch.chosen), task.machine.device
    torch.manual_seed(batch.seed)
    total = torch.zeros((), device=device)
    for piece in task.chunks.ranges(len(batch.labels)):
        labels = batch.labels[piece].to(device, non_blocking=True)
        x = _taken(task, batch, piece)
        with task.machine.autocast():
            logits = network(x).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=task.config.label_smoothing, reduction="sum")
        (loss / n).backward()  # type: ignore[no-untyped-call]
        total += loss.detach() / n
    return float(total)


def _taken(task: Task, batch: Batch, piece: slice) -> torch.Tensor:
    """A piece of the batch as the network takes it: augmented, and through the frozen front if that is cut off."""
    key = (piece.start, piece.stop)
    if batch.ready and key in batch.ready:
        return batch.ready[key]
    x = batch.images[piece]
    if not batch.start:
        x = augmented(task, x, batch.draws.of(piece) if batch.draws else None)
    x = task.front.learning(x, batch.start) if task.front else x
    if batch.ready is not None:
        batch.ready[key] = x
    return x


def optimizer_for(task: Task, network: torch.nn.Module, rate: float) -> Any:
    """AdamW over layer groups, no decay on norm and bias.

    The head learns at ``rate``, a layer at depth d of the body (0 first, 1 last) at ``rate / lr_mult ** (1 - d)``.
    """
    import torch

    made = []
    for params, depth in groups(network):
        lr = rate / task.config.lr_mult ** (1 - depth)
        decay, plain = [p for p in params if p.ndim > 1], [p for p in params if p.ndim <= 1]
        for chosen, wd in ((decay, task.config.weight_decay), (plain, 0.0)):
            made.append({"params": chosen, "lr": lr, "weight_decay": wd})
    return torch.optim.AdamW(made, eps=1e-5, betas=(0.95, 0.99), fused=task.machine.fused or None)


def predict_logits(task: Task, network: torch.nn.Module, shas: list[str]) -> npt.NDArray[np.float32]:
    """float32 [n, classes] in the order of ``shas``, without augmentation."""
    import torch

    from keepset.train.networks import head_of

    network.eval()
    mine, out = parallel.share(shas), []
    kept = task.kept.get(task.front.count) if task.front else None

    def forward(part: slice) -> Any:
        if kept and kept.whole:
            x = kept.of(mine[part])
        else:
            squares = torch.from_numpy(task.cache.read(mine[part]))
            x = to_input(squares, task.spec, task.machine.device)
            x = task.front.judging(x) if task.front else x
        return network(x).float().cpu().numpy()

    with torch.inference_mode():
        at = 0
        while at < len(mine):
            found = task.chunks.fitting(lambda i=at: forward(slice(i, i + task.chunks.forward)))  # type: ignore[misc]
            out.append(found)
            at += len(found)
    classes = int(head_of(network).weight.shape[0])
    rows = np.concatenate(out) if out else np.zeros((0, classes), np.float32)
    return parallel.gathered(rows, len(shas))
