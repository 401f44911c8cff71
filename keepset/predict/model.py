"""The predictor: one ``model.onnx``, which holds its classes, preprocessing and temperature itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps

from keepset.errors import ModelError
from keepset.pixels import Preprocess, model_input, to_rgb
from keepset.predict.intake import DEFAULT_LIMITS, Limits, open_image

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Outcome", "Prediction", "Predictor", "load"]


class Outcome(StrEnum):
    SURE = "sure"
    UNSURE = "unsure"  # the best class has less than ``unsure_below``


@dataclass(frozen=True)
class Prediction:
    """Calibrated: ``probabilities`` has every class, the likeliest first, summing to 1."""

    label: str
    probability: float
    outcome: Outcome
    probabilities: dict[str, float]
    model_id: str


class Predictor:
    """A loaded model; threads may share it. Make one with ``load``."""

    def __init__(self, path: Path, *, unsure_below: float = 0.6, threads: int = 1) -> None:
        self.path, self.unsure_below = path, unsure_below
        self._session = _session(path, threads)
        facts = self._session.get_modelmeta().custom_metadata_map
        try:
            spec = json.loads(facts["preprocess"])
            spec |= {k: tuple(spec[k]) for k in ("mean", "std")}
            self.preprocess = Preprocess(**spec)
            self.classes = tuple(json.loads(facts["classes"]))
            self.temperature, self.model_id = float(facts["temperature"]), facts["model_id"]
        except (KeyError, ValueError, TypeError) as e:
            raise ModelError(
                f"{path} lacks Keepset's metadata (classes, preprocess, temperature): {e}.",
                "Export it again; only models that Keepset exported can be used.",
            ) from e
        outputs = self._session.get_outputs()[0].shape[-1]
        if outputs != len(self.classes):
            raise ModelError(
                f"{path} has {outputs} outputs but names {len(self.classes)} classes.", "Export it again."
            )

    def predict(self, image: Any) -> Any:
        """One image (path, bytes, PIL image, uint8 array [h, w, 3]) gives a ``Prediction``; a list gives a list.

        Raises ``intake.Refused`` (a ``ValueError`` with its reason) for what is not a usable picture.
        """
        if isinstance(image, list | tuple):
            return self.predict_pixels([self.prepare(one) for one in image])
        return self.predict_pixels([self.prepare(image)])[0]

    def prepare(self, image: Any, limits: Limits = DEFAULT_LIMITS) -> npt.NDArray[np.uint8]:
        """The model's input, the same pixels as in training: uint8 [crop, crop, 3]."""
        if isinstance(image, str | Path):
            image = Path(image).read_bytes()
        if isinstance(image, bytes | bytearray | memoryview):
            decoded = open_image(bytes(image), shortest=self.preprocess.resize, limits=limits)
        elif isinstance(image, Image.Image):
            decoded = to_rgb(ImageOps.exif_transpose(image))
        else:
            decoded = to_rgb(Image.fromarray(image))
        return model_input(decoded, self.preprocess)

    def predict_pixels(self, pixels: Sequence[npt.NDArray[np.uint8]]) -> list[Prediction]:
        """Prepared inputs to predictions, in one batch."""
        import numpy as np

        if not pixels:
            return []
        logits = self._session.run(["logits"], {"pixels": np.stack(pixels)})[0] / self.temperature
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        return [self._prediction(p) for p in e / e.sum(axis=1, keepdims=True)]

    def _prediction(self, probs: npt.NDArray[np.float32]) -> Prediction:
        order = sorted(range(len(self.classes)), key=lambda i: -probs[i])
        found = {self.classes[i]: float(probs[i]) for i in order}
        label, top = next(iter(found.items()))
        outcome = Outcome.UNSURE if top < self.unsure_below else Outcome.SURE
        return Prediction(label, top, outcome, found, self.model_id)


def load(path: str | Path, *, unsure_below: float = 0.6, threads: int = 1) -> Predictor:
    """A predictor from a workspace (its promoted model), a model folder, or a ``model.onnx``.

    Raises ``ModelError`` if there is none, or it is not a model that Keepset exported.
    """
    return Predictor(_find(Path(path).expanduser()), unsure_below=unsure_below, threads=threads)


def _find(path: Path) -> Path:
    if (path / "keepset.json").is_file():
        promoted = path / "models" / "promoted.json"
        if not promoted.is_file():
            raise ModelError(f"The workspace {path} has no model in use yet.", "Run `keepset train` first.")
        path = path / "models" / str(json.loads(promoted.read_text(encoding="utf-8"))["model_id"])
    found = path / "model.onnx" if path.is_dir() else path
    if not found.is_file():
        raise ModelError(
            f"There is no model at {found}.", "Give a workspace, a model folder or a model.onnx."
        )
    return found


def _session(path: Path, threads: int) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads cost nothing
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as e:  # onnxruntime's errors share no public base
        raise ModelError(f"{path} cannot be loaded: {e}.", "Export it again.") from e
