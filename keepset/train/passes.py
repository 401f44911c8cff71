"""Passes over the training images: how each image is augmented in a pass, and what the frozen front makes of that.

The front never changes, so that an augmented image that is learnt from again need not go through it again. Where all
fit into memory, two passes are drawn and taken in turn by the epochs (the head's among them): most of the work is then
done twice and not in every epoch. Otherwise every epoch draws its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keepset.train import parallel
from keepset.train.batches import Draws, augment, draw, to_input
from keepset.train.kept import MOST
from keepset.train.task import Pass, Task

if TYPE_CHECKING:
    import torch

__all__ = ["augmented", "pass_of"]

IN_TURN = 2


def pass_of(task: Task, epoch: int) -> Pass:
    """The pass that the epoch of that number (the head's first is 0) learns from."""
    import torch

    held = _fits(task)
    number = epoch % (IN_TURN if task.config.augment else 1) if held else epoch
    if found := next((p for p in task.passes if p.number == number), None):
        return found
    draws = None
    if task.config.augment:
        rng = torch.Generator().manual_seed(task.seed * 10_007 + number)
        draws = draw(len(task.train_shas), task.cache.spec.crop, task.spec, rng)
    made = Pass(number, draws)
    if held and parallel.world() == 1:
        made = Pass(number, draws, _rows(task, draws), task.apart)
    task.passes = [*task.passes, made][-IN_TURN:]
    return made


def augmented(task: Task, squares: torch.Tensor, draws: Draws | None) -> torch.Tensor:
    """Images as the network takes them, float32 [n, 3, crop, crop] on the device."""
    if draws is None:
        return to_input(squares, task.spec, task.machine.device)
    return augment(squares, draws, task.spec, task.machine.device)


def _squares(task: Task, shas: list[str]) -> torch.Tensor:
    import torch

    return torch.from_numpy(task.cache.read(shas))


def _fits(task: Task) -> bool:
    """By what does not depend on the number of processes: as many as there are, they learn from the same pictures."""
    if task.chain is None or not task.apart or task.config.oversample or task.machine.device.type != "cpu":
        return False
    return IN_TURN * len(task.train_shas) * task.chain.like(task.apart).numel() * 4 <= MOST


def _rows(task: Task, draws: Draws | None) -> torch.Tensor:
    """Always in the same pieces, so that a training that goes on learns from the same bits."""
    import torch

    from keepset.train.chain import Front

    if task.chain is None:
        raise ValueError("a body without a chain of layers has no front of its own")
    front = Front(task.chain, task.apart, task.machine.front)
    out: list[torch.Tensor] = []
    done = 0

    def more() -> int:
        piece = slice(done, done + task.chunks.forward)
        squares = _squares(task, task.train_shas[piece])
        out.append(front.learning(augmented(task, squares, draws.of(piece) if draws else None)))
        return len(squares)

    while done < len(task.train_shas):
        done += task.chunks.fitting(more)
    return torch.cat(out)
