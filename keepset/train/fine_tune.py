"""Fine-tuning as in lesson 2: one-cycle on the head, unfreeze, one-cycle with discriminative rates; resumable."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.config import TrainConfig
from keepset.text import share
from keepset.train.batches import Draws
from keepset.train.chain import front_of
from keepset.train.checkpoints import Checkpoints, Place
from keepset.train.layers import freeze, train_mode
from keepset.train.steps import MiniBatch, batches, draws_of, optimizer_for, order, predict_logits, step
from keepset.train.task import Task

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

__all__ = ["Phase", "fine_tune", "learning", "phases"]

PLAIN_SAMPLE = 48
"""Training images whose plain loss is measured after each epoch: enough to diagnose by."""
RATES_KEPT = 24


@dataclass(frozen=True)
class Phase:
    """Some epochs under one one-cycle schedule, with ``frozen`` of the body's front kept as it is (1: all).

    ``number`` is part of the seed of everything drawn in the phase.
    """

    number: int
    name: str
    epochs: int
    rate: float
    frozen: float
    pct_start: float
    div: float


def phases(cfg: TrainConfig, rate: float, frozen: float) -> list[Phase]:
    """The head alone at the base rate, then everything behind the frozen front at half of it, as fastai does."""
    return [
        Phase(0, "head", cfg.head_epochs, rate, 1.0, 0.99, 25.0),
        Phase(1, "fine_tune", cfg.epochs or 0, rate / 2, frozen, 0.3, 5.0),
    ]


def fine_tune(
    task: Task, network: torch.nn.Module, plan: list[Phase], checkpoints: Checkpoints, place: Place
) -> list[dict[str, Any]]:
    """Train ``network`` in place from ``place`` on; its history, one row an epoch. Raises ``TrainingError``."""
    first = place.phase
    for number, phase in enumerate(plan):
        if number < first:
            continue
        if number > first:
            place.phase, place.epoch, place.step = number, 0, 0
        _run(task, network, phase, checkpoints, place)
    return place.history


def _run(task: Task, network: torch.nn.Module, phase: Phase, checkpoints: Checkpoints, place: Place) -> None:
    freeze(network, phase.frozen)
    optimizer = optimizer_for(task, network, phase.rate)
    per_epoch = math.ceil(len(task.train_shas) / task.batch_size)
    schedule = _one_cycle(optimizer, phase, max(1, phase.epochs * per_epoch))
    done = place.epoch * per_epoch + place.step
    if done:
        checkpoints.restore_optimizer(optimizer)
        schedule.load_state_dict({"last_epoch": done, "_step_count": done + 1})
    with learning(task, network):
        while place.epoch < phase.epochs:
            _epoch(task, network, phase, (optimizer, schedule), checkpoints, place)


@contextlib.contextmanager
def learning(task: Task, network: torch.nn.Module) -> Iterator[None]:
    """Within, the frozen front is cut off and computed apart, where the network can be cut."""
    with front_of(network, task.chain, task.machine.front) as task.front:
        try:
            yield
        finally:
            task.front = None


def _epoch(
    task: Task, network: torch.nn.Module, phase: Phase, learning: tuple[Any, Any], checkpoints: Checkpoints,
    place: Place,
) -> None:  # fmt: skip
    optimizer, schedule = learning
    begin = time.perf_counter()
    draws = draws_of(task, len(place.history))
    waited = task.waited
    train_mode(network)
    task.progress.start(f"{phase.name}, epoch {place.epoch + 1} of {phase.epochs}", len(task.train_shas))
    task.progress.advance(min(place.step * task.batch_size, len(task.train_shas)))
    for batch in _rest_of_epoch(task, draws, phase, place):
        place.rates.append(float(optimizer.param_groups[-1]["lr"]))
        place.losses.append(step(task, network, optimizer, batch, place.epoch))
        schedule.step()
        place.step += 1
        task.progress.advance(len(batch.labels), loss=place.losses[-1], **_last_error(place))
        if checkpoints.due():
            checkpoints.save(place, network, optimizer)
    seconds = time.perf_counter() - begin
    rates, losses = place.rates, place.losses
    row: dict[str, Any] = {
        "phase": phase.name,
        "epoch": place.epoch,
        "lr": rates[-1],
        "train_loss": float(np.mean(losses)),
    }
    row |= _validation(predict_logits(task, network, task.valid_shas), task.valid_labels)
    row |= {"train_plain_loss": _plain_loss(task, network), "waited": (task.waited - waited) / seconds}
    row |= {"rates": rates[:: -math.ceil(len(rates) / RATES_KEPT)][::-1]}
    place.history.append(row | {"seconds": time.perf_counter() - begin})
    task.progress.note(
        f"{phase.name} {place.epoch + 1}/{phase.epochs}: train loss {row['train_loss']:.3f}, "
        f"valid loss {row['valid_loss']:.3f}, error {share(row['error_rate'])}"
    )
    place.epoch, place.step, place.losses, place.rates = place.epoch + 1, 0, [], []


def _rest_of_epoch(task: Task, draws: Draws | None, phase: Phase, place: Place) -> Iterator[MiniBatch]:
    """The batches of this epoch that are still to be learnt from, each with the seed of its place."""
    images = order(task, phase.number, place.epoch)
    starts = range(place.step * task.batch_size, len(images), task.batch_size)
    chosen = [images[i : i + task.batch_size] for i in starts]
    key = [task.seed, phase.number, place.epoch]
    seeds = [int(np.random.default_rng([*key, i]).integers(2**31)) for i in starts]
    return batches(task, draws, chosen, seeds)


def _last_error(place: Place) -> dict[str, float]:
    return {"error": place.history[-1]["error_rate"]} if place.history else {}


def _one_cycle(optimizer: Any, phase: Phase, steps: int) -> Any:
    import torch

    peaks = [g["lr"] for g in optimizer.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peaks, total_steps=steps + 1, pct_start=phase.pct_start, div_factor=phase.div,
        final_div_factor=1e5 / phase.div, base_momentum=0.85, max_momentum=0.95,
    )  # fmt: skip


def _plain_loss(task: Task, network: torch.nn.Module) -> float:
    """Mean loss of a fixed sample of training images, measured as the validation loss is: after the epoch, without
    augmentation. Only so can the two be compared.
    """
    from keepset.train.head import nll, softmax

    rng = np.random.default_rng([task.seed, PLAIN_SAMPLE])
    chosen = rng.permutation(len(task.train_shas))[:PLAIN_SAMPLE]
    logits = predict_logits(task, network, [task.train_shas[i] for i in chosen])
    return nll(softmax(logits), task.train_labels[chosen])


def _validation(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> dict[str, float]:
    from keepset.train.head import nll, softmax

    wrong = float((logits.argmax(1) != labels).mean()) if len(labels) else 0.0
    return {"valid_loss": nll(softmax(logits), labels) if len(labels) else 0.0, "error_rate": wrong}
