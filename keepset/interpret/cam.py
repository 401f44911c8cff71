"""Grad-CAM: which part of a picture spoke for the class that was predicted (Selvaraju et al., arXiv:1610.02391).

It needs no knowledge of the architecture: a forward pass records what each module puts out, and the map is made at the
last place that still has a grid of positions and that the class's logit depends on everywhere. That is the last
convolution of a convolutional network, the last stage of a Swin, and the tokens before the last attention of a ViT (after
it only the class token counts). So any timm or torchvision classifier will do.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.errors import ModelError
from keepset.images.pixels import Preprocess

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    Map = npt.NDArray[np.float32]

__all__ = ["Seen", "grad_cam", "spread"]


@dataclass(frozen=True)
class Seen:
    """Where the network looked in one picture: ``heat`` [rows, columns] from 0 to 1, of the crop that it sees."""

    heat: Map

    def centre(self) -> tuple[float, float]:
        """The middle of the heat (from left, from top), each 0 to 1; (0.5, 0.5) if nothing spoke for the class."""
        total = float(self.heat.sum())
        if total == 0:
            return 0.5, 0.5
        rows, columns = self.heat.shape
        x, y = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows
        return float((self.heat.sum(0) * x).sum() / total), float((self.heat.sum(1) * y).sum() / total)


def spread(heat: Map) -> float:
    """Share of the picture that holds half of the heat: small is one spot, 0.5 is everywhere alike."""
    ordered = np.sort(heat.ravel())[::-1]
    if ordered.sum() == 0:
        return 1.0
    half = int(np.searchsorted(np.cumsum(ordered), ordered.sum() / 2)) + 1
    return half / ordered.size


def grad_cam(network: torch.nn.Module, pixels: npt.NDArray[np.uint8], spec: Preprocess, target: int) -> Seen:
    """Of one uint8 [crop, crop, 3] picture, for the class number ``target``; of networks side by side, their sum.

    Raises ``ModelError`` if no place in a network keeps a grid of positions.
    """
    import torch

    from keepset.train.batches import to_input
    from keepset.train.networks import bodies_of

    passed: list[list[torch.Tensor]] = []
    hooks = [_watch(body, passed) for body in bodies_of(network)]
    try:
        device = next(network.parameters()).device
        x = to_input(torch.from_numpy(pixels[None].copy()), spec, device).requires_grad_()
        with torch.enable_grad():
            score = network.eval()(x)[0, target]
    finally:
        for hook in itertools.chain(*hooks):
            hook.remove()
    return Seen(_summed([_spoke(score, places, type(network).__name__) for places in passed]))


def _watch(body: torch.nn.Module, passed: list[list[torch.Tensor]]) -> list[Any]:
    """Add a list to ``passed`` that will hold what each module of ``body`` puts out."""
    places: list[torch.Tensor] = []
    passed.append(places)
    return [m.register_forward_hook(lambda _m, _i, out: _remember(places, out)) for m in body.modules()]


def _spoke(score: torch.Tensor, places: list[torch.Tensor], name: str) -> torch.Tensor:
    """How much each position of the last grid spoke for the class: [1, 1, rows, columns], negative for against."""
    import torch

    grids = [(place, grid) for place in reversed(places) if (grid := _grid_shape(place)) is not None]
    for place, grid in grids:
        (slope,) = torch.autograd.grad(score, place, retain_graph=True, allow_unused=True)
        if slope is not None and bool(_as_grid(slope, grid).abs().sum(1).gt(0).float().mean() > 0.5):
            weight = _as_grid(slope, grid).mean((2, 3), keepdim=True)
            return (weight * _as_grid(place.detach(), grid)).sum(1, keepdim=True)
    raise ModelError(f"Grad-CAM found no grid of positions in {name}.", "Only networks that keep one can be asked.")


def _remember(places: list[torch.Tensor], out: Any) -> None:
    import torch

    if isinstance(out, torch.Tensor) and out.requires_grad and out.ndim in (3, 4):
        places.append(out)


def _grid_shape(out: torch.Tensor) -> tuple[str, int, int] | None:
    """How positions lie in an output of one picture: ("first" | "last", rows, columns) by where the channels are, or
    ("tokens", rows, columns); None if it has no grid of at least 2 x 2.
    """
    shape = tuple(out.shape)
    if len(shape) == 3:  # [1, tokens, channels]; class and register tokens come before the square of patches
        side = math.isqrt(shape[1])
        return ("tokens", side, side) if side >= 2 else None
    if shape[2] == shape[3] != 1:
        return "first", shape[2], shape[3]
    if shape[1] == shape[2] != 1:
        return "last", shape[1], shape[2]
    return None


def _as_grid(out: torch.Tensor, grid: tuple[str, int, int]) -> torch.Tensor:
    """[1, channels, rows, columns]"""
    kind, rows, columns = grid
    if kind == "first":
        return out
    if kind == "last":
        return out.permute(0, 3, 1, 2)
    patches = out[:, out.shape[1] - rows * columns :]
    return patches.reshape(1, rows, columns, -1).permute(0, 3, 1, 2)


def _summed(spoken: list[torch.Tensor]) -> Map:
    """The grids on the finest of them, added; what speaks against the class left out, scaled to 0..1."""
    import torch.nn.functional as F

    finest = max(s.shape[-2:] for s in spoken)
    grids = [
        F.interpolate(s, size=finest, mode="bilinear", align_corners=False) if s.shape[-2:] != finest else s
        for s in spoken
    ]
    heat = sum(grids[1:], grids[0])[0, 0].clamp(min=0)
    top = float(heat.max())
    found: Map = (heat / top if top > 0 else heat).float().cpu().numpy()
    return found
