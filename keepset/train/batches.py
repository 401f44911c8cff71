"""From uint8 squares to the network's input, and augmentation of a whole batch on the device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keepset.images.pixels import Preprocess

if TYPE_CHECKING:
    import torch

__all__ = ["Draws", "augment", "draw", "to_input"]


def to_input(squares: torch.Tensor, spec: Preprocess, device: torch.device) -> torch.Tensor:
    """uint8 [n, h, w, 3] to float32 [n, 3, crop, crop], centre crop, normalised, channels_last."""
    rim = (squares.shape[1] - spec.crop) // 2
    x = squares[:, rim : rim + spec.crop, rim : rim + spec.crop]
    x = x.to(device, non_blocking=True).permute(0, 3, 1, 2).float()
    return _normalised(x.div_(255), spec)


@dataclass(frozen=True)
class Draws:
    """What chance decided for each image of a batch: affine maps [n, 2, 3], lighting and contrast [n, 1, 1, 1]."""

    theta: torch.Tensor
    light: torch.Tensor
    contrast: torch.Tensor

    def of(self, which: Any) -> Draws:
        """Those of some of the images."""
        return Draws(self.theta[which], self.light[which], self.contrast[which])


def draw(n: int, side: int, spec: Preprocess, rng: torch.Generator) -> Draws:
    """Flip, rotation to 10 degrees, zoom to 1.1, and lighting 0.2: fastai's defaults.

    Every image gets its own draw from ``rng``, a CPU generator: the same seed gives the same pictures on every
    device, and in however many pieces the batch goes through.
    """
    import torch

    angle = (torch.rand(n, generator=rng) * 2 - 1) * math.radians(10)
    zoom = spec.crop / side / (1 + 0.1 * torch.rand(n, generator=rng))
    flip = torch.where(torch.rand(n, generator=rng) < 0.5, -1.0, 1.0)
    room = (1 - zoom).clamp(min=0)
    shift = (torch.rand(n, 2, generator=rng) * 2 - 1) * room[:, None]
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    rows = [torch.stack([cos * flip, -sin, shift[:, 0]], 1), torch.stack([sin * flip, cos, shift[:, 1]], 1)]
    light = torch.rand(n, 1, 1, 1, generator=rng) * 0.4 - 0.2
    contrast = 1 + torch.rand(n, 1, 1, 1, generator=rng) * 0.4 - 0.2
    return Draws(torch.stack(rows, 1), light, contrast)


def augment(squares: torch.Tensor, draws: Draws, spec: Preprocess, device: torch.device) -> torch.Tensor:
    """Like ``to_input``, with what was drawn: one affine grid a batch, on the device."""
    import torch.nn.functional as F

    x = squares.to(device, non_blocking=True).permute(0, 3, 1, 2).float()
    grid = F.affine_grid(draws.theta.to(device), [len(x), 3, spec.crop, spec.crop], align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    contrast = draws.contrast.to(device)  # (x / 255 - 0.5) * contrast + 0.5 + light, in place
    x.mul_(contrast / 255).add_(0.5 - 0.5 * contrast + draws.light.to(device)).clamp_(0, 1)
    return _normalised(x, spec)


def _normalised(x: torch.Tensor, spec: Preprocess) -> torch.Tensor:
    """``x``, 0 to 1, with the mean taken off and divided by the standard deviation, in place; channels_last."""
    import torch

    mean, std = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in (spec.mean, spec.std))
    return x.sub_(mean).div_(std).to(memory_format=torch.channels_last)
