"""A model as one ONNX file: uint8 pixels in, logits, features, similarities and maps out, everything else in its metadata.

Normalisation and the reference of the distance are part of the graph, so that a caller only needs
``keepset.images.pixels.model_input``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepset.config import RunConfig
from keepset.errors import ModelError
from keepset.export.familiarity import Familiar, familiar, forward, held_out
from keepset.files import atomic_path, local
from keepset.models import ModelRecord, load_record
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import torch

__all__ = ["export_for_serving", "export_model", "load_network"]

TOLERANCE = 1e-4
VERSION = "5"
OUTPUTS = ("logits", "features", "distance", "similarity", "maps")


def export_model(ws: Workspace, model_id: str) -> Path:
    """Write ``models/<id>/model.onnx`` unless it stands, checked against torch. Raises ``ModelError``.

    Input ``pixels``: uint8 [n, crop, crop, 3]. Outputs ``logits``: float32 [n, classes], ``features``: float32
    [n, d] (of several bodies side by side), ``similarity``: float32 [n, m], cosine to each of the m training images of the
    reference, and ``distance``: float32 [n], mean cosine distance to the 5 nearest of them. Where the features are averages
    over positions, ``maps``: float32 [n, classes, rows, columns], what each position adds to a class's logit, which is their
    mean and a constant (class activation maps: Zhou et al., arXiv:1512.04150). Metadata: ``classes``,
    ``preprocess``, ``temperature``, ``far`` (the distance under which 99 % of held-out images lie), ``reference`` (the m
    training images' sha256), ``model_id``, ``version``.
    """
    path = ws.models / model_id / "model.onnx"
    if path.exists() and _is_current(path):
        return path
    from keepset.train.networks import bodies_of, width

    record = load_record(ws, model_id)
    trained = load_network(ws, record)
    network = _with_normalisation(trained, record)
    seen = familiar(ws, record, network, tuple(map(width, bodies_of(trained))))
    with atomic_path(path) as part:
        _write(_with_distance(network, seen), record, seen, part)
        _check(network, ws, record, part)
    return path


def export_for_serving(ws: Workspace, config: RunConfig, model_id: str, *, progress: Progress = SILENT) -> StageResult:
    """The stage ``export``: ``export_model``, with what it did. Raises ``ModelError``."""
    path = ws.models / model_id / "model.onnx"
    changed = not (path.exists() and _is_current(path))
    export_model(ws, model_id)
    outputs = {"onnx": f"models/{model_id}/{path.name}"}
    done = (
        f"{model_id} is written as {path.name}, for predictions"
        if changed
        else f"up to date: {path.name} of {model_id}"
    )
    return StageResult(Stage.EXPORT, changed, done, {"bytes": path.stat().st_size}, outputs)


def _is_current(path: Path) -> bool:
    """Whether this code wrote it: an export of an older version, or a damaged one, is made again."""
    import onnx

    try:
        facts = {p.key: p.value for p in onnx.load(local(path), load_external_data=False).metadata_props}
    except Exception:  # whatever protobuf makes of bytes that are no model
        return False
    return facts.get("version") == VERSION


def load_network(ws: Workspace, record: ModelRecord) -> torch.nn.Module:
    """The trained network with its weights, on the CPU, ready for inference."""
    from safetensors.torch import load_file

    from keepset.train.networks import build

    network = build(record.arch, len(record.classes))
    network.load_state_dict(load_file(ws.models / record.id / "weights.safetensors"))
    return network.eval()


def _with_normalisation(network: torch.nn.Module, record: ModelRecord) -> torch.nn.Module:
    """Uint8 pixels to logits, features and, if it has any, maps."""
    import torch

    from keepset.train.networks import averages_of, features_and_logits, head_of

    class Served(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network: Any = network
            spec = record.preprocess
            self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1) * 255)
            self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1) * 255)
            self.averages = averages_of(network, spec.crop)

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
            mean, std = self.get_buffer("mean"), self.get_buffer("std")
            x = (pixels.permute(0, 3, 1, 2).float() - mean) / std
            grids: list[torch.Tensor] = []
            hooks = [m.register_forward_pre_hook(lambda _, given: grids.append(given[0])) for m in self.averages]
            features, logits = features_and_logits(self.network, x)
            for hook in hooks:
                hook.remove()
            if not grids:
                return logits, features
            weight = head_of(self.network).weight.flatten(1)
            return logits, features, torch.einsum("kd,ndhw->nkhw", weight, torch.cat(grids, 1))

    return Served().eval()


def _with_distance(network: torch.nn.Module, seen: Familiar) -> torch.nn.Module:
    import torch

    from keepset.train.results import neighbours

    class Measured(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.register_buffer("reference", torch.from_numpy(seen.reference).T.contiguous())
            self.near = neighbours(len(seen.reference))

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
            logits, features, *maps = self.network(pixels)
            blocks = torch.split(features, list(seen.widths), dim=1)
            units = [b / (torch.linalg.vector_norm(b, dim=1, keepdim=True) + 1e-9) for b in blocks]
            unit = torch.cat(units, 1) / len(units) ** 0.5
            cosine = unit @ self.get_buffer("reference")
            nearest = torch.topk(1 - cosine, self.near, dim=1, largest=False).values
            return logits, features, nearest.mean(1).clamp(0, 2), cosine, *maps

    return Measured().eval()


def _write(network: torch.nn.Module, record: ModelRecord, seen: Familiar, path: Path) -> None:
    import onnx
    import torch

    from keepset.train.machine import one_core

    side = record.preprocess.crop
    example = torch.randint(256, (2, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad(), one_core():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        plain = _plain(network, example)
        names = OUTPUTS[: len(plain(example))]
        torch.onnx.export(
            plain, (example,), path, input_names=["pixels"], output_names=list(names),
            dynamic_shapes=({0: torch.export.Dim("n")},), dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
    model = onnx.load(str(path))
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]  # stack traces, with paths of this machine: a megabyte
    facts = {
        "classes": json.dumps(record.classes), "preprocess": json.dumps(asdict(record.preprocess)),
        "temperature": repr(record.temperature), "far": repr(seen.far), "model_id": record.id, "version": VERSION,
        "reference": json.dumps(seen.shas),
    }  # fmt: skip
    onnx.helper.set_model_props(model, facts)
    onnx.save(model, str(path))


def _plain(network: torch.nn.Module, example: torch.Tensor) -> torch.nn.Module:
    """A copy that exports three times as fast and to the same file: batch norm folded, activations not in place.

    Modules need not run in the order they are listed in, so whether folding was right is tried.
    """
    import copy

    import torch

    from keepset.train.chain import fold

    plain = copy.deepcopy(network)
    with contextlib.suppress(Exception):  # a wrong fold may raise anything
        folded = copy.deepcopy(network)
        fold(folded)
        pairs = zip(network(example), folded(example), strict=True)
        plain = folded if all(torch.allclose(a, b, rtol=1e-3, atol=TOLERANCE) for a, b in pairs) else plain
    for module in plain.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]
    return plain


def _check(network: torch.nn.Module, ws: Workspace, record: ModelRecord, path: Path) -> None:
    """Same top class and probabilities as torch, on images of the validation set and on noise."""
    import numpy as np

    from keepset.predict.model import session
    from keepset.train.head import softmax

    side = record.preprocess.crop
    noise = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    pixels = np.concatenate([noise, held_out(ws, record)])
    wanted = softmax(forward(network, pixels)[0])
    exported = session(path)
    got = softmax(np.concatenate([exported.run(["logits"], {"pixels": p[None]})[0] for p in pixels]))
    off = float(np.abs(got - wanted).max())
    top = np.sort(wanted, axis=1)[:, -2:]
    clear = top[:, -1] - top[:, 0] > 2 * TOLERANCE  # of two equal classes either may come first
    swapped = int((got.argmax(1) != wanted.argmax(1))[clear].sum())
    if not off <= TOLERANCE or swapped:
        raise ModelError(
            f"The exported model {record.id} differs from torch on {len(pixels)} pictures: by {off:.2g} in "
            f"probability, {swapped} with another class.",
            "Please report this with the name of the architecture.",
        )
