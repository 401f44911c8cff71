"""The recipe of lesson 2: one-cycle on the head, unfreeze, learning-rate finder, discriminative rates."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.config import TrainConfig
from keepset.errors import TrainingError
from keepset.pixels import Preprocess
from keepset.stages import Progress
from keepset.train.batches import augment, to_input
from keepset.train.pixels_cache import PixelCache

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

__all__ = ["Task", "find_rate", "fine_tune", "predict_logits"]

FIND_STEPS, FIND_BATCH = 40, 8
PLAIN_SAMPLE = 64
"""Training images whose plain loss is measured after each epoch: enough to diagnose by, about a second."""
RATES_KEPT = 24


@dataclass
class Task:
    """One training: what to learn from, on what, and how."""

    cache: PixelCache
    spec: Preprocess
    config: TrainConfig
    device: torch.device
    seed: int
    train_shas: list[str]
    train_labels: npt.NDArray[np.int64]
    valid_shas: list[str]
    valid_labels: npt.NDArray[np.int64]
    progress: Progress
    batch_size: int


def fine_tune(task: Task, network: torch.nn.Module, base_rate: float) -> list[dict[str, Any]]:
    """Train ``network`` in place; return its history, one row an epoch. Raises ``TrainingError`` on NaN loss."""
    history: list[dict[str, Any]] = []
    cfg = task.config
    if cfg.head_epochs:
        _freeze(network, body=True)
        history += _phase(task, network, "head", cfg.head_epochs, [base_rate] * 3, pct_start=0.99, div=25.0)
    _freeze(network, body=False)
    rate = base_rate / 2
    rates = np.geomspace(rate / cfg.lr_mult, rate, 3).tolist()
    return history + _phase(task, network, "fine_tune", cfg.epochs, rates, pct_start=0.3, div=5.0)


def _phase(
    task: Task,
    network: torch.nn.Module,
    phase: str,
    epochs: int,
    rates: list[float],
    *,
    pct_start: float,
    div: float,
) -> list[dict[str, Any]]:
    import torch

    optimizer = _optimizer(task, network, rates)
    peaks = [g["lr"] for g in optimizer.param_groups]
    steps = max(1, epochs * math.ceil(len(task.train_shas) / task.batch_size))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peaks, total_steps=steps + 1, pct_start=pct_start, div_factor=div, final_div_factor=1e5 / div,
        base_momentum=0.85, max_momentum=0.95,
    )  # fmt: skip
    history = []
    for epoch in range(epochs):
        begin = time.perf_counter()
        _train_mode(network)
        task.progress.start(f"{phase}, epoch {epoch + 1} of {epochs}", len(task.train_shas))
        losses, taken = [], []
        for squares, labels in _batches(task, epoch, phase):
            taken.append(float(optimizer.param_groups[-1]["lr"]))
            losses.append(_step(task, network, optimizer, squares, labels, epoch))
            if schedule.last_epoch < steps:
                schedule.step()
            task.progress.advance(len(labels), loss=losses[-1])
        logits = predict_logits(task, network, task.valid_shas)
        row = {"phase": phase, "epoch": epoch, "lr": taken[-1], "train_loss": float(np.mean(losses))}
        row |= _validation(logits, task.valid_labels) | {"train_plain_loss": _plain_loss(task, network)}
        row |= {
            "rates": taken[:: -math.ceil(len(taken) / RATES_KEPT)][::-1],
            "seconds": time.perf_counter() - begin,
        }
        history.append(row)
        task.progress.note(
            f"{phase} {epoch + 1}/{epochs}: train loss {row['train_loss']:.3f}, "
            f"valid loss {row['valid_loss']:.3f}, error {row['error_rate']:.1%}"
        )
    return history


def _validation(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> dict[str, float]:
    from keepset.train.head import nll, softmax

    wrong = float((logits.argmax(1) != labels).mean()) if len(labels) else 0.0
    return {"valid_loss": nll(softmax(logits), labels) if len(labels) else 0.0, "error_rate": wrong}


def _plain_loss(task: Task, network: torch.nn.Module) -> float:
    """Mean loss of a fixed sample of training images, measured as the validation loss is: after the epoch, without
    augmentation or label smoothing. Only so can the two be compared.
    """
    from keepset.train.head import nll, softmax

    rng = np.random.default_rng([task.seed, PLAIN_SAMPLE])
    chosen = rng.permutation(len(task.train_shas))[:PLAIN_SAMPLE]
    logits = predict_logits(task, network, [task.train_shas[i] for i in chosen])
    return nll(softmax(logits), task.train_labels[chosen])


def _train_mode(network: torch.nn.Module) -> None:
    """Training mode, but batch norm keeps its pretrained statistics: a few hundred alike pictures would shift them
    so far in one batch that the linear head, which fine-tuning starts from, no longer fits its features.
    """
    import torch

    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()


def _step(
    task: Task,
    network: torch.nn.Module,
    optimizer: Any,
    squares: torch.Tensor,
    labels: torch.Tensor,
    epoch: int,
) -> float:
    import torch
    import torch.nn.functional as F

    rng = torch.Generator().manual_seed(int(torch.randint(2**31, (1,))))
    if task.config.augment:
        x = augment(squares, task.spec, task.device, rng)
    else:
        x = to_input(squares, task.spec, task.device)
    loss = F.cross_entropy(network(x), labels.to(task.device), label_smoothing=task.config.label_smoothing)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(
            f"The loss became {value} in epoch {epoch + 1}.",
            "The learning rate is too high: set a lower [train] lr, or leave it to the finder.",
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return value


def _batches(task: Task, epoch: int, phase: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    import torch

    rng = np.random.default_rng([task.seed, epoch, len(phase)])
    order = rng.permutation(len(task.train_shas))
    if task.config.oversample:
        counts = np.bincount(task.train_labels)
        weights = 1.0 / counts[task.train_labels]
        order = rng.choice(len(order), len(order), p=weights / weights.sum())
    i = 0
    while i < len(order):
        chosen = order[i : i + task.batch_size]
        i += len(chosen)
        squares = task.cache.read([task.train_shas[j] for j in chosen])
        yield torch.from_numpy(squares), torch.from_numpy(task.train_labels[chosen])


def _optimizer(task: Task, network: torch.nn.Module, rates: list[float]) -> Any:
    """AdamW over three layer groups (first half of the body, second half, head); no decay on norm and bias."""
    import torch

    groups = []
    for params, rate in zip(_layer_groups(network), rates, strict=True):
        decay = [p for p in params if p.ndim > 1 and p.requires_grad]
        plain = [p for p in params if p.ndim <= 1 and p.requires_grad]
        for chosen, wd in ((decay, task.config.weight_decay), (plain, 0.0)):
            groups.append({"params": chosen, "lr": rate, "weight_decay": wd})
    return torch.optim.AdamW(groups, eps=1e-5, betas=(0.95, 0.99), fused=True)


def _layer_groups(network: Any) -> list[list[Any]]:
    head = {id(p) for p in network.get_classifier().parameters()}
    body = [p for p in network.parameters() if id(p) not in head]
    middle = len(body) // 2
    return [body[:middle], body[middle:], [p for p in network.parameters() if id(p) in head]]


def _freeze(network: Any, *, body: bool) -> None:
    head = {id(p) for p in network.get_classifier().parameters()}
    for p in network.parameters():
        p.requires_grad_(not body or id(p) in head)


def predict_logits(task: Task, network: torch.nn.Module, shas: list[str]) -> npt.NDArray[np.float32]:
    """float32 [n, classes], without augmentation."""
    import torch

    network.eval()
    out = []
    with torch.inference_mode():
        for i in range(0, len(shas), 32):
            squares = torch.from_numpy(task.cache.read(shas[i : i + 32]))
            out.append(network(to_input(squares, task.spec, task.device)).float().cpu().numpy())
    classes = int(network.get_classifier().out_features)  # type: ignore[operator]
    return np.concatenate(out) if out else np.zeros((0, classes), np.float32)


def find_rate(task: Task, network: torch.nn.Module) -> dict[str, Any]:
    """Smith's learning-rate range test (arXiv:1506.01186) on a copy of the network, with small batches."""
    import torch

    trial = copy.deepcopy(network)
    _train_mode(trial)
    _freeze(trial, body=False)
    optimizer = _optimizer(task, trial, [1.0, 1.0, 1.0])
    lrs = np.geomspace(1e-6, 1.0, FIND_STEPS)
    rng = np.random.default_rng([task.seed, 99])
    task.progress.start("learning-rate finder", FIND_STEPS)
    smooth, best, losses = 0.0, math.inf, []
    for i, lr in enumerate(lrs):
        for g in optimizer.param_groups:
            g["lr"] = float(lr)
        chosen = rng.choice(len(task.train_shas), min(FIND_BATCH, len(task.train_shas)), replace=False)
        squares = torch.from_numpy(task.cache.read([task.train_shas[j] for j in chosen]))
        try:
            loss = _step(task, trial, optimizer, squares, torch.from_numpy(task.train_labels[chosen]), 0)
        except TrainingError:
            break
        smooth = 0.7 * smooth + 0.3 * loss
        losses.append(smooth / (1 - 0.7 ** (i + 1)))
        best = min(best, losses[-1])
        task.progress.advance(loss=loss)
        if losses[-1] > 4 * best and i > 10:
            break
    return _advice(lrs[: len(losses)], np.array(losses))


def _advice(lrs: npt.NDArray[np.float64], losses: npt.NDArray[np.float64]) -> dict[str, Any]:
    """valley: two thirds into the longest fall; steep: where the loss falls fastest."""
    found: dict[str, Any] = {"lrs": lrs.tolist(), "losses": losses.tolist()}
    if len(losses) < 5:
        return found | {"valley": None, "steep": None, "chosen": 2e-3}
    start, end = _longest_fall(losses)
    valley = float(lrs[start + (end - start) * 2 // 3])
    steep = float(lrs[int(np.gradient(losses, np.log(lrs)).argmin())])
    return found | {"valley": valley, "steep": steep, "chosen": float(np.clip(valley, 1e-4, 5e-3))}


def _longest_fall(losses: npt.NDArray[np.float64]) -> tuple[int, int]:
    length = [1] * len(losses)
    for i in range(1, len(losses)):
        for j in range(i):
            if losses[i] < losses[j] and length[i] < length[j] + 1:
                length[i] = length[j] + 1
    end = int(np.argmax(length))
    start = max(0, end - length[end])
    return start, end
