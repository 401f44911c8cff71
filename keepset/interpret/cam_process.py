"""Grad-CAM for the gallery, which has no torch: ``python -m keepset.interpret.cam_process WORKSPACE``.

Each line of standard input asks for one picture: ``{"model", "sha256", "label"}``. Each is answered by a line, in the same
order: ``{"heat"}``, rows of whole numbers from 0 to 255, or ``{"message", "remedy"}``. The process ends with its input, so
it never outlives the gallery.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepset.errors import KeepsetError, ModelError
from keepset.models import ModelRecord, load_record
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import torch

__all__ = ["main"]

_NICENESS = 10
"""After the first answer, for which somebody waits; what follows is mostly computed ahead."""


def main(root: Path) -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    cameras = _Cameras(Workspace.open(root))
    for number, line in enumerate(sys.stdin):
        answers.write(json.dumps(_answer(cameras, json.loads(line))) + "\n")
        answers.flush()
        if number == 0:
            with contextlib.suppress(OSError):
                os.nice(_NICENESS)


class _Cameras:
    """Grad-CAM by one model at a time, which stays loaded."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.loaded: tuple[ModelRecord, torch.nn.Module] | None = None

    def heat(self, model: str, sha256: str, label: str) -> list[list[int]]:
        from keepset.images.pixels import decode, model_input
        from keepset.interpret.cam import grad_cam
        from keepset.train.machine import one_core

        record, network = self._model(model)
        try:
            image = decode(self.ws.blob(sha256).read_bytes(), shortest=record.preprocess.resize)
            pixels = model_input(image, record.preprocess)
        except (OSError, ValueError, SyntaxError) as e:
            raise ModelError("The file of this picture is gone or damaged.") from e
        with one_core():
            try:
                seen = grad_cam(network, pixels, record.preprocess, record.classes.index(label))
            except ModelError as e:
                raise ModelError(e.message, "Networks without a grid of positions cannot be asked.") from e
        rows: list[list[int]] = (seen.heat * 255).round().astype(int).tolist()
        return rows

    def _model(self, model: str) -> tuple[ModelRecord, torch.nn.Module]:
        if self.loaded is None or self.loaded[0].id != model:
            from safetensors import SafetensorError

            from keepset.export.onnx import load_network

            record = load_record(self.ws, model)
            try:
                self.loaded = record, load_network(self.ws, record)
            except (OSError, RuntimeError, SafetensorError) as e:
                raise ModelError(
                    f"The weights of model {model} are gone or damaged.",
                    "Restore its weights.safetensors from a backup; pictures of the next batch can be asked about.",
                ) from e
        return self.loaded


def _answer(cameras: _Cameras, question: dict[str, str]) -> dict[str, Any]:
    try:
        return {"heat": cameras.heat(**question)}
    except KeepsetError as e:
        return e.as_dict()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
