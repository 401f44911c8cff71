"""What a training may keep: the linear head, the fine-tuned network, or both side by side; and whether to fine-tune.

Fine-tuning is most of a training's time. Where the linear head is nearly always right on pictures that it has not seen,
there is little left to win: on eight sets of web photos it lost six times, by overfitting. So it is tried only from
``WORTH`` on. Then the mean of both often beats either, since they err on different pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keepset.text import share
from keepset.train.networks import bodies_of, build, head_of, join, parts

if TYPE_CHECKING:
    import torch

__all__ = ["SPOKEN", "Contender", "epochs_worth", "mean_network", "why"]

WORTH = 0.1
"""Share of training pictures on which the cross-validated linear head is wrong, from which fine-tuning is tried."""
EPOCHS = 2
"""Epochs of fine-tuning where the config leaves it open: three cost half as much again and were no better."""
SPOKEN = {"linear_head": "linear head", "fine_tuned": "fine-tuned network", "mean_of_both": "mean of both"}


@dataclass
class Contender:
    """A trained classifier: its logits for every image, what it is compared by, and the network ``arch`` with its weights,
    made when asked for.
    """

    name: str
    arch: str
    logits: Any
    held_out: dict[str, Any]
    state: Callable[[], Mapping[str, torch.Tensor]]


def epochs_worth(asked: int | None, wrong: float) -> tuple[int, str]:
    """Epochs of fine-tuning, and the reason if there are none. ``wrong``: the cross-validated error of the linear head."""
    if asked is not None:
        return asked, "" if asked else "Fine-tuning was not asked for ([train] epochs = 0)."
    if wrong >= WORTH:
        return EPOCHS, ""
    return 0, (
        f"Fine-tuning was not tried: the linear head is wrong on only {share(wrong)} of the training pictures that it has "
        f"not seen, and below {share(WORTH)} fine-tuning rarely helps. To try it all the same, set [train] epochs = {EPOCHS}."
    )


def why(contenders: Sequence[Contender], winner: Contender) -> str:
    """Why ``winner`` is kept, for people."""
    losses = ", ".join(f"{SPOKEN[c.name]} {float(c.held_out['nll']):.3f}" for c in contenders)
    return f"Kept the {SPOKEN[winner.name]}: lowest loss on the validation pictures ({losses})."


def mean_network(arch: str, frozen: Mapping[str, Any], tuned: torch.nn.Module, k: int) -> torch.nn.Module:
    """The networks ``arch`` with the weights ``frozen`` and, beside them, ``tuned``: its logits are the mean of both.

    It is what ``build(arch + "+" + tuned's name, k)`` builds.
    """
    import copy

    import torch

    first: Any = build(arch, k)
    first.load_state_dict(frozen)
    second: Any = copy.deepcopy(tuned).cpu()
    heads = [head_of(network) for network in (first, second)]
    weight = torch.cat([h.weight.detach().flatten(1) for h in heads], 1) / 2
    bias = (heads[0].bias.detach() + heads[1].bias.detach()) / 2
    network: Any = join([*bodies_of(first), second], [*parts(arch), parts(arch)[0]], k)
    network.head.load_state_dict({"weight": weight, "bias": bias})
    made: torch.nn.Module = network
    return made
