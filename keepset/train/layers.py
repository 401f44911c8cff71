"""The network as a row of layers: which layers stay frozen, and which learn how fast.

The order is that of the parameters, which is the order of the forward pass in timm's networks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from keepset.train.networks import head_of

if TYPE_CHECKING:
    import torch

__all__ = ["Group", "blocks", "freeze", "groups", "train_mode"]

Group = tuple[list[Any], float]
"""Parameters, and the depth in the body at which they begin: 0 is the first layer, 1 the head."""


def _body(network: Any) -> list[Any]:
    head = {id(p) for p in head_of(network).parameters()}
    return [p for p in network.parameters() if id(p) not in head]


def blocks(network: Any) -> list[Any]:
    """The modules of the body in a row, ``Sequential`` ones opened, up to the one that the head is in."""
    head = head_of(network)
    return list(itertools.takewhile(lambda b: all(m is not head for m in b.modules()), _flat(network)))


def _flat(module: Any) -> Iterator[Any]:
    import torch

    for child in module.children():
        if isinstance(child, torch.nn.Sequential):
            yield from _flat(child)
        else:
            yield child


def freeze(network: Any, share: float) -> None:
    """Let the front of the body keep its values: ``share`` of it by number of tensors, to the nearest end of a block,
    behind which it can be cut off (``keepset.train.chain``). 1: all of it.
    """
    body = _body(network)
    place = {id(p): i for i, p in enumerate(body)}
    firsts = [next(iter(b.parameters()), None) for b in blocks(network)]
    ends = {0, len(body)} | {place[id(p)] for p in firsts if p is not None and id(p) in place}
    end = min(sorted(ends), key=lambda i: abs(i - share * len(body)))
    kept = {id(p) for p in body[:end]}
    for p in network.parameters():
        p.requires_grad_(id(p) not in kept)


def groups(network: Any) -> list[Group]:
    """What learns, in three groups: the front half of it, the back half, and the head."""
    body = _body(network)
    learns = [i for i, p in enumerate(body) if p.requires_grad]
    halves = learns[: len(learns) // 2], learns[len(learns) // 2 :]
    found = [([body[i] for i in half], (half[0] if half else 0) / max(1, len(body))) for half in halves]
    return [*found, (list(head_of(network).parameters()), 1.0)]


def train_mode(network: torch.nn.Module) -> None:
    """Training mode, but batch norm keeps its pretrained statistics: a few hundred alike pictures would shift them
    so far in one batch that the linear head, which fine-tuning starts from, no longer fits its features.
    """
    import torch

    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
