"""A network as a chain of blocks, so that its frozen front is computed apart, which is faster.

Most networks are a chain: a block takes what the one before it gives, and nothing else. This is not known of a network
but tried: what the chain and the rest behind it compute must be what the network computes. Where it is not, the
network is used whole, which is slower and otherwise the same.

In the chain's copies of the blocks batch norm is folded into the convolution before it: w' = w * g / sqrt(v + eps)
and b' = beta + (b - mean) * g / sqrt(v + eps), which saves a fifth of a forward pass.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keepset.train.layers import blocks
from keepset.train.networks import features_and_logits

if TYPE_CHECKING:
    import torch

__all__ = ["Chain", "Front", "chain_of", "fold", "front_of", "frozen"]

NEAR = 1e-3
"""By how much the chain's features may differ, as a share of the largest one: folding rounds otherwise."""


class Chain:
    """Frozen copies of the blocks of ``network`` before its head: they compute what the network's compute now."""

    def __init__(self, network: torch.nn.Module, example: torch.Tensor, *, folded: bool) -> None:
        import torch

        self.example = example
        self._fits: dict[int, bool] = {}
        copies = torch.nn.ModuleList(copy.deepcopy(blocks(network))).eval().requires_grad_(False)
        if folded:
            fold(copies)
        self.copies: list[Any] = list(copies)

    def run(self, x: torch.Tensor, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """What the blocks from ``start`` to before ``stop`` make of ``x``, without gradients."""
        import torch

        with torch.no_grad():
            for block in self.copies[start:stop]:
                x = block(x.flatten(1) if isinstance(block, torch.nn.Linear) and x.ndim == 4 else x)
        return x

    def features(self, network: torch.nn.Module, x: torch.Tensor, start: int = 0) -> torch.Tensor:
        """float32 [n, d], what goes into the network's head; ``x`` is what block ``start`` takes."""
        with _passed(network, len(self.copies)):
            return features_and_logits(network, self.run(x, start))[0].float()

    def fits(self, network: torch.nn.Module, count: int) -> bool:
        """Whether the first ``count`` blocks and the network behind them are the network (asked once)."""
        if count not in self._fits:
            self._fits[count] = self._tried(network, count)
        return self._fits[count]

    def _tried(self, network: torch.nn.Module, count: int) -> bool:
        import torch

        with torch.no_grad():
            want = features_and_logits(network, self.example)[0]
            try:
                with _passed(network, count):
                    got = features_and_logits(network, self.run(self.example, 0, count))[0]
            except Exception:  # a block may raise anything when it is given what is not for it
                return False
        near = NEAR * float(want.abs().max())
        return got.shape == want.shape and torch.allclose(got, want, rtol=0, atol=near)


@dataclass(frozen=True)
class Front:
    """The frozen blocks before what learns; ``narrow``: in bfloat16 while learning."""

    chain: Chain
    count: int
    narrow: bool

    def learning(self, x: torch.Tensor) -> torch.Tensor:
        """What the rest learns from, float32. What it is judged by is computed by ``chain.run``, in float32 throughout."""
        import torch

        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.narrow):
            return self.chain.run(x, 0, self.count).float()


def chain_of(network: torch.nn.Module, side: int) -> Chain | None:
    """The chain that ``network`` is (in evaluation mode, ``side`` px), or None."""
    import torch

    first = next(network.parameters())
    example = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(first.device)
    for folded in (True, False):
        chain = Chain(network, example, folded=folded)
        if chain.copies and chain.fits(network, len(chain.copies)):
            return chain
    return None


@contextlib.contextmanager
def front_of(network: torch.nn.Module, chain: Chain | None, narrow: bool) -> Iterator[Front | None]:
    """Within, ``network`` starts behind its frozen front; None, and the whole network, where it cannot be cut there."""
    count = frozen(network) if chain else 0
    if chain is None or not count:
        yield None
        return
    network.eval()
    if not chain.fits(network, count):
        yield None
        return
    with _passed(network, count):
        yield Front(chain, count, narrow)


def frozen(network: torch.nn.Module) -> int:
    """How many blocks, from the first on, learn nothing."""
    learns = [any(p.requires_grad for p in b.parameters()) for b in blocks(network)]
    return learns.index(True) if True in learns else len(learns)


@contextlib.contextmanager
def _passed(network: torch.nn.Module, count: int) -> Iterator[None]:
    """Within, the network's first ``count`` blocks hand on what they are given: it starts behind them."""
    front = blocks(network)[:count]
    for block in front:
        block.forward = _same
    try:
        yield
    finally:
        for block in front:
            del block.forward  # the method of its class again


def fold(module: Any) -> None:
    """Every batch norm that directly follows a convolution into it; what else it does (activation) stays."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    before: Any = None
    for name, child in list(module.named_children()):
        norm = isinstance(child, torch.nn.modules.batchnorm._BatchNorm)
        if norm and isinstance(before, torch.nn.Conv2d) and child.running_mean is not None:
            before.weight, before.bias = fuse_conv_bn_weights(
                before.weight, before.bias, child.running_mean, child.running_var, child.eps, child.weight, child.bias
            )
            setattr(module, name, getattr(child, "act", torch.nn.Identity()))
        else:
            fold(child)
        before = child


def _same(x: Any) -> Any:
    return x
