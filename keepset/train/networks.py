"""Any timm or torchvision classifier by name, seen as a body that gives features and a linear head on them.

A plain name is timm's, ``torchvision.resnet34`` is torchvision's. Names joined by ``+`` are networks side by side under one
head, which sees the features of all. ``lite0``, ``lite1`` and ``lite2`` are short for timm's EfficientNet-Lite.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keepset.errors import ModelError
from keepset.images.pixels import Preprocess
from keepset.train.shortage import cause, out_of_memory, too_large

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

__all__ = [
    "averages_of", "bodies_of", "build", "check", "features_and_logits", "head_of", "join", "known", "parts", "preprocess_of",
    "set_head", "width",
]  # fmt: skip

PREFIX = "torchvision."
TAKEN = "head_took"
"""Attribute of what is in the place of a head that was taken off: how many features the head took."""
SHORT = {f"lite{i}": f"tf_efficientnet_lite{i}" for i in range(3)}


def parts(arch: str) -> tuple[str, ...]:
    """The networks that ``arch`` names, by their full names."""
    return tuple(SHORT.get(name.strip(), name.strip()) for name in arch.split("+"))


def known(arch: str) -> None:
    """Raises ``ModelError`` for a name that neither timm nor torchvision knows, with names like it."""
    import timm
    import torchvision.models

    names = {*timm.list_models(), *(PREFIX + n for n in torchvision.models.list_models(module=torchvision.models))}
    for name in parts(arch):
        if name not in names:
            near = difflib.get_close_matches(name, names, n=3)
            meant = f"Did you mean {', '.join(near)}? " if near else ""
            raise ModelError(
                f"No classifier is called '{name}'.",
                f"{meant}timm.list_models() lists the names; torchvision's are written torchvision.NAME.",
            )


def build(arch: str, n_classes: int) -> torch.nn.Module:
    """The network with fresh weights. Raises ``ModelError`` for an unknown name."""
    names = parts(arch)
    made = [_build(name, n_classes) for name in names]
    return join(made, names, n_classes) if len(made) > 1 else made[0]


def join(networks: Sequence[torch.nn.Module], names: Sequence[str], n_classes: int) -> torch.nn.Module:
    """Networks side by side under one fresh head, which sees the features of all. All take the same pixels.

    They lose the heads that they have. Raises ``ModelError`` for one without a linear head.
    """
    import torch

    class Joined(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bodies = torch.nn.ModuleList(_open(n, name) for n, name in zip(networks, names, strict=True))
            self.head = torch.nn.Linear(sum(width(n) for n in self.bodies), n_classes)

        def get_classifier(self) -> torch.nn.Module:
            return self.head

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(torch.cat([body(x).flatten(1) for body in self.bodies], 1))
            return logits

    return Joined()


def bodies_of(network: torch.nn.Module) -> list[torch.nn.Module]:
    """The networks that are side by side, or the one that there is."""
    return list(getattr(network, "bodies", [network]))


def width(network: torch.nn.Module) -> int:
    """How many features go into the head, or came out where it was taken off."""
    head = head_of(network)
    return int(getattr(head, TAKEN, 0) or head.weight.shape[1])


def _open(network: torch.nn.Module, arch: str) -> torch.nn.Module:
    """``network`` without its head: it gives its features."""
    import torch

    head = head_of(network)
    if hasattr(head, TAKEN):
        return network
    if not isinstance(head, torch.nn.Linear | torch.nn.Conv2d):
        raise _unfit(arch)
    (name,) = (n for n, m in network.named_modules() if m is head)
    nothing = torch.nn.Identity()
    setattr(nothing, TAKEN, width(network))
    network.set_submodule(name, nothing)
    return network


def _build(arch: str, n_classes: int) -> torch.nn.Module:
    import timm

    known(arch)
    if arch.startswith(PREFIX):
        from torchvision.models import get_model

        made: torch.nn.Module = get_model(arch.removeprefix(PREFIX), weights=None, num_classes=n_classes)
        return _biased(_without_side_heads(made))
    network: torch.nn.Module = timm.create_model(arch, num_classes=n_classes)
    return _biased(network)


def hub_state(arch: str) -> dict[str, torch.Tensor]:
    """The pretrained weights that timm or torchvision downloads (never a pickle that can run code)."""
    import timm

    try:
        if arch.startswith(PREFIX):
            state: dict[str, torch.Tensor] = _torchvision_weights(arch).get_state_dict(check_hash=True)
            return state
        network: torch.nn.Module = timm.create_model(arch, pretrained=True)
        return network.state_dict()
    except Exception as e:  # the hubs' clients raise whatever their transports do
        raise ModelError(
            f"The hub gave no weights for '{arch}': {type(e).__name__}: {e}.",
            'Look at the network, or set [train] weights to "packaged" or to a file.',
        ) from e


def preprocess_of(arch: str, size: int) -> Preprocess:
    """The preprocessing that the architecture's pretrained weights expect, at ``size`` px; of several, the first's.

    The rim around the centre crop is a whole number of pixels: the centre of a square in the cache is then exactly what
    prediction cuts out of the whole picture, whose longer side may be odd or even.
    """
    arch = parts(arch)[0]
    if arch.startswith(PREFIX):
        made = _torchvision_weights(arch).transforms()
        share, how = made.crop_size[0] / made.resize_size[0], made.interpolation.value
        mean, std = made.mean, made.std
    else:
        import timm

        cfg: dict[str, Any] = timm.get_pretrained_cfg(arch).to_dict()
        share, how = cfg.get("crop_pct") or 0.875, cfg.get("interpolation")
        mean, std = cfg["mean"], cfg["std"]
    how = how if how in ("bilinear", "bicubic", "lanczos") else "bicubic"
    three = tuple(float(x) for x in mean), tuple(float(x) for x in std)
    return Preprocess(size + 2 * round((size / share - size) / 2), size, *three, how)  # type: ignore[arg-type]


def _torchvision_weights(arch: str) -> Any:
    """The best that torchvision has for the network: with its preprocessing and where to download them."""
    from torchvision.models import get_model_weights

    return get_model_weights(arch.removeprefix(PREFIX)).DEFAULT


def head_of(network: Any) -> Any:
    """The layer that makes logits of features: timm's classifier, or torchvision's last linear layer."""
    import torch

    if hasattr(network, "get_classifier"):
        return network.get_classifier()
    if taken := [m for m in network.modules() if hasattr(m, TAKEN)]:
        return taken[0]
    return [m for m in network.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)][-1]


def features_and_logits(network: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[n, d] and [n, classes]; the features are what goes into the head, whatever the network calls it."""
    seen: list[torch.Tensor] = []
    handle = head_of(network).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        logits: torch.Tensor = network(x)
    finally:
        handle.remove()
    return seen[-1].flatten(1), logits


def averages_of(network: torch.nn.Module, side: int) -> list[torch.nn.Module]:
    """The modules that average a grid of positions to the features, one in each of the bodies, at ``side`` px.

    [] unless each body has one and their grids have one size. This is tried, not known of a network.
    """
    import torch

    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    found, sizes = list[torch.nn.Module](), set[torch.Size]()
    for body in bodies_of(network):
        grids: list[tuple[torch.nn.Module, Any]] = []

        def remember(module: torch.nn.Module, args: tuple[Any, ...], to: Any = grids, d: int = width(body)) -> None:
            for x in args[:1]:
                if isinstance(x, torch.Tensor) and x.ndim == 4 and x.shape[1] == d and x[0, 0].numel() > 1:
                    to.append((module, x.clone()))  # what follows may work in place

        hooks = [m.register_forward_pre_hook(remember) for m in body.modules()]
        with torch.no_grad():
            features = features_and_logits(body, x)[0]
        for hook in hooks:
            hook.remove()
        average = next(((m, g) for m, g in grids if torch.allclose(g.mean((2, 3)), features, 1e-3, 1e-4)), None)
        if average is None:
            return []
        found.append(average[0])
        sizes.add(average[1].shape[2:])
    return found if len(sizes) == 1 else []


def set_head(network: Any, weight: npt.NDArray[Any], bias: npt.NDArray[Any]) -> None:
    """Put a linear head (weight [classes, d], bias [classes]) into the network."""
    import torch

    layer = head_of(network)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight).reshape(layer.weight.shape))
        layer.bias.copy_(torch.from_numpy(bias))


def check(network: Any, arch: str, size: int) -> None:
    """Raise ``ModelError`` unless the network takes ``size`` px and ends in one linear layer over pooled features."""
    import torch

    layer = head_of(network)
    if not isinstance(layer, torch.nn.Linear | torch.nn.Conv2d) or layer.bias is None:
        raise _unfit(arch)
    network.eval()
    device = next(network.parameters()).device
    with torch.no_grad():
        x = torch.zeros(1, 3, size, size, device=device)
        try:
            fit = all(_gives_features(body, x) for body in network.bodies) if hasattr(network, "bodies") else True
            features, logits = features_and_logits(network, x) if fit else (layer.weight, layer.weight)
        except (AssertionError, RuntimeError, ValueError) as e:
            if out_of_memory(e):
                raise too_large(cause(e)) from e
            raise ModelError(
                f"'{arch}' cannot look at {size} px pictures: {cause(e)}.",
                "Set [train] size to the one it was made for (often 224), or choose another [train] arch.",
            ) from e
    weight, bias = layer.weight.detach().flatten(1), layer.bias.detach()
    if not fit or features.shape[1] != weight.shape[1]:
        raise _unfit(arch)
    linear = features @ weight.T + bias
    if linear.shape != logits.shape or not torch.allclose(linear, logits, atol=1e-3, rtol=1e-3):
        raise _unfit(arch)


def _gives_features(body: torch.nn.Module, x: torch.Tensor) -> bool:
    """Whether a network without its head gives what went into its head."""
    import torch

    features, out = features_and_logits(body, x)
    return features.shape[1] == width(body) and torch.equal(features, out.flatten(1))


def _unfit(arch: str) -> ModelError:
    return ModelError(
        f"'{arch}' does not end in one linear layer on pooled features, which the recipe starts from.",
        "Choose another [train] arch, for example tf_efficientnet_lite0 or resnet34.",
    )


def _biased(network: torch.nn.Module) -> torch.nn.Module:
    """A head without a bias gets one of zeros: the linear head that is fitted has one."""
    import torch

    head: Any = head_of(network)
    if isinstance(head, torch.nn.Linear) and getattr(head, "bias", None) is None:
        head.bias = torch.nn.Parameter(torch.zeros(head.out_features))
    return network


def _without_side_heads(network: torch.nn.Module) -> torch.nn.Module:
    """googlenet and inception_v3 have further heads that only their makers' training used."""
    if getattr(network, "aux_logits", False):
        network.aux_logits = False  # type: ignore[assignment]
        for name in ("AuxLogits", "aux1", "aux2"):
            if hasattr(network, name):
                setattr(network, name, None)
    return network
