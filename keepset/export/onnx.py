"""A model as one ONNX file: uint8 pixels in, logits and features out, everything else in its metadata.

Normalisation is part of the graph, so that a caller only needs ``keepset.pixels.model_input``.
"""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepset.errors import ModelError
from keepset.files import atomic_path
from keepset.models import ModelRecord, load_record
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import torch

__all__ = ["export_model", "load_network"]

TOLERANCE = 1e-4
OPSET = 17


def export_model(ws: Workspace, model_id: str) -> Path:
    """Write ``models/<id>/model.onnx`` unless it stands, checked against torch. Raises ``ModelError``.

    Input ``pixels``: uint8 [n, crop, crop, 3]. Outputs ``logits``: float32 [n, classes], and ``features``:
    float32 [n, d]. Metadata: ``classes``, ``preprocess``, ``temperature``, ``model_id``.
    """
    path = ws.models / model_id / "model.onnx"
    if path.exists():
        return path
    record = load_record(ws, model_id)
    network = _with_normalisation(load_network(ws, record), record)
    with atomic_path(path) as part:
        _write(network, record, part)
        _check(network, record, part)
    return path


def load_network(ws: Workspace, record: ModelRecord) -> torch.nn.Module:
    """The trained network with its weights, on the CPU, ready for inference."""
    import timm
    from safetensors.torch import load_file

    network: torch.nn.Module = timm.create_model(record.arch, num_classes=len(record.classes))
    network.load_state_dict(load_file(ws.models / record.id / "weights.safetensors"))
    return network.eval()


def _with_normalisation(network: torch.nn.Module, record: ModelRecord) -> torch.nn.Module:
    import torch

    class Served(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network: Any = network
            spec = record.preprocess
            self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1) * 255)
            self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1) * 255)

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            mean, std = self.get_buffer("mean"), self.get_buffer("std")
            x = (pixels.permute(0, 3, 1, 2).float() - mean) / std
            features = self.network.forward_head(self.network.forward_features(x), pre_logits=True)
            return self.network.get_classifier()(features), features

    return Served().eval()


def _write(network: torch.nn.Module, record: ModelRecord, path: Path) -> None:
    import onnx
    import torch

    example = torch.zeros(1, record.preprocess.crop, record.preprocess.crop, 3, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        torch.onnx.export(
            network, (example,), str(path), input_names=["pixels"], output_names=["logits", "features"],
            dynamic_axes={n: {0: "n"} for n in ("pixels", "logits", "features")}, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    model = onnx.load(str(path))
    facts = {
        "classes": json.dumps(record.classes), "preprocess": json.dumps(asdict(record.preprocess)),
        "temperature": repr(record.temperature), "model_id": record.id,
    }  # fmt: skip
    onnx.helper.set_model_props(model, facts)
    onnx.save(model, str(path))


def _check(network: torch.nn.Module, record: ModelRecord, path: Path) -> None:
    """Same answer as torch, on noise: a picture would test fewer weights."""
    import numpy as np
    import onnxruntime as ort
    import torch

    side = record.preprocess.crop
    pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    with torch.no_grad():
        wanted = network(torch.from_numpy(pixels))[0].softmax(1).numpy()
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    logits = torch.from_numpy(session.run(["logits"], {"pixels": pixels})[0])
    off = float(np.abs(logits.softmax(1).numpy() - wanted).max())
    if off > TOLERANCE:
        raise ModelError(
            f"The exported model {record.id} differs from torch by {off:.2g} in probability.",
            "Please report this with the name of the architecture.",
        )
