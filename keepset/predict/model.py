"""The predictor: one ``model.onnx``, which holds its classes, preprocessing and temperature itself."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from keepset.errors import ModelError, PictureUnreadable
from keepset.files import local
from keepset.images.pixels import Preprocess, model_input, upright
from keepset.predict.intake import DEFAULT_LIMITS, Limits, open_image
from keepset.storage import locate
from keepset.text import certainty

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Outcome", "Prediction", "Predictor", "find", "load", "session"]


SIMILAR = 3
"""Training images that a prediction names."""


class Outcome(StrEnum):
    SURE = "sure"
    UNSURE = "unsure"  # the best class has less than ``unsure_below``


@dataclass(frozen=True)
class Prediction:
    """Calibrated: ``probabilities`` has every class, the likeliest first, summing to 1.

    ``distance`` is the mean cosine distance to the 5 nearest training images, 0 to 2; ``unfamiliar`` says that it
    is over what 99 % of held-out images have: such a picture may show no class at all, however sure the answer.
    ``similar``: sha256 and cosine of the most similar training images, the nearest first; empty for a model that an older
    Keepset exported.
    """

    label: str
    probability: float
    outcome: Outcome
    probabilities: dict[str, float]
    model_id: str
    distance: float
    unfamiliar: bool
    similar: tuple[tuple[str, float], ...] = ()

    def _repr_html_(self) -> str:
        """A bar per class, for notebooks."""
        doubts = [*(["unsure"] if self.outcome == Outcome.UNSURE else []), *(["unfamiliar"] if self.unfamiliar else [])]
        bars = "".join(
            f'<tr><td style="text-align:left">{escape(label)}</td><td style="text-align:right">{certainty(p)}</td>'
            f'<td style="width:160px"><div style="background:#38b;height:10px;width:{100 * p:.0f}%"></div></td></tr>'
            for label, p in list(self.probabilities.items())[:5]
        )
        return f"<b>{escape(self.label)}</b> {escape(', '.join(doubts))}<table>{bars}</table>"


class Predictor:
    """A loaded model; threads may share it. Make one with ``load``."""

    def __init__(self, path: Path, *, unsure_below: float = 0.6, threads: int = 1) -> None:
        self.path, self.unsure_below = path, unsure_below
        self._session = session(path, threads)
        facts = self._session.get_modelmeta().custom_metadata_map
        try:
            spec = json.loads(facts["preprocess"])
            spec |= {k: tuple(spec[k]) for k in ("mean", "std")}
            self.preprocess = Preprocess(**spec)
            self.classes = tuple(json.loads(facts["classes"]))
            self.temperature, self.model_id = float(facts["temperature"]), facts["model_id"]
            self.far = float(facts["far"])
            self.reference = tuple(json.loads(facts.get("reference", "[]")))
        except (KeyError, ValueError, TypeError) as e:
            raise ModelError(
                f"{path} lacks Keepset's metadata (classes, preprocess, temperature, far): {e}.",
                "Run `keepset train`, which exports it again; only models that this Keepset exported can be used.",
            ) from e
        outputs = self._session.get_outputs()[0].shape[-1]
        if outputs != len(self.classes):
            raise ModelError(f"{path} has {outputs} outputs but names {len(self.classes)} classes.", "Export it again.")

    def __repr__(self) -> str:
        return f"<Predictor {self.model_id[:8]}: {', '.join(self.classes)[:200]}>"

    def predict(self, image: Any) -> Any:
        """One image (path, bytes, PIL image, uint8 array [h, w, 3]) gives a ``Prediction``; a list gives a list.

        Raises ``intake.Refused`` (a ``ValueError`` with its reason) for what is not a usable picture, ``TypeError`` for
        what is none of these, and ``PictureUnreadable`` (an ``OSError``) for a path that cannot be read.
        """
        if isinstance(image, list | tuple):
            return self.predict_pixels([self.prepare(one) for one in image])
        return self.predict_pixels([self.prepare(image)])[0]

    def prepare(self, image: Any, limits: Limits = DEFAULT_LIMITS) -> npt.NDArray[np.uint8]:
        """The model's input, the same pixels as in training: uint8 [crop, crop, 3]."""
        if isinstance(image, str | os.PathLike):
            image = _read(Path(os.fspath(image)))
        if isinstance(image, bytes | bytearray | memoryview):
            decoded = open_image(bytes(image), shortest=self.preprocess.resize, limits=limits)
        elif isinstance(image, Image.Image):
            decoded = upright(image)
        else:
            decoded = upright(_from_array(image))
        return model_input(decoded, self.preprocess)

    def predict_pixels(self, pixels: Sequence[npt.NDArray[np.uint8]]) -> list[Prediction]:
        """Prepared inputs to predictions, one by one: on a CPU several at once take no less time each, and more memory."""
        return [self._run(one) for one in pixels]

    def heat(self, pixels: npt.NDArray[np.uint8], label: str) -> npt.NDArray[np.float32]:
        """Where a prepared input speaks for the class ``label``: [rows, columns] of the crop, 0 to 1; all 0 if nothing does.

        Raises ``ModelError`` for a network that has no such map, and for a class that it does not know.
        """
        if label not in self.classes:
            raise ModelError(f"The model does not know the class '{label}'.", f"It knows {', '.join(self.classes)}.")
        if "maps" not in (output.name for output in self._session.get_outputs()):
            raise ModelError(
                f"Model {self.model_id[:8]} cannot tell where it looks: its network does not average over positions, or an "
                "earlier Keepset exported it.",
                "Run `keepset run`, which exports it again; or choose another [train] arch, for example lite0 or resnet34.",
            )
        (maps,) = self._session.run(["maps"], {"pixels": pixels[None]})
        heat: npt.NDArray[np.float32] = maps[0, self.classes.index(label)].clip(min=0)
        return heat / max(float(heat.max()), 1e-12)

    def _run(self, pixels: npt.NDArray[np.uint8]) -> Prediction:
        import numpy as np

        names = ["logits", "distance", *(["similarity"] if self.reference else [])]
        logits, distance, *cosines = self._session.run(names, {"pixels": pixels[None]})
        e = np.exp((logits[0] - logits[0].max()) / self.temperature)
        near = cosines[0][0] if cosines else np.empty(0)
        similar = tuple((self.reference[i], float(near[i])) for i in np.argsort(-near, kind="stable")[:SIMILAR])
        return self._prediction(e / e.sum(), float(distance[0]), similar)

    def _prediction(
        self, probs: npt.NDArray[np.float32], distance: float, similar: tuple[tuple[str, float], ...]
    ) -> Prediction:
        order = sorted(range(len(self.classes)), key=lambda i: -probs[i])
        found = {self.classes[i]: float(probs[i]) for i in order}
        label, top = next(iter(found.items()))
        outcome = Outcome.UNSURE if top < self.unsure_below else Outcome.SURE
        return Prediction(label, top, outcome, found, self.model_id, distance, distance > self.far, similar)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise PictureUnreadable(
            f"{path} cannot be read: {(e.strerror or str(e)).lower()}.",
            "Give a path that is there, or the picture's bytes, a PIL image or a uint8 array.",
        ) from e


def load(path: str | Path, *, unsure_below: float = 0.6, threads: int = 1) -> Predictor:
    """A predictor from a workspace (its promoted model), a model folder, or a ``model.onnx``.

    Raises ``ModelError`` if there is none, or it is not a model that Keepset exported.
    """
    return Predictor(find(locate(path)), unsure_below=unsure_below, threads=threads)


def find(path: Path) -> Path:
    """The ``model.onnx`` of a workspace's promoted model, of a model folder, or itself. Raises ``ModelError``."""
    if (path / "keepset.json").is_file():
        promoted = path / "models" / "promoted.json"
        if not promoted.is_file():
            raise ModelError(f"The workspace {path} has no model in use yet.", "Run `keepset train` first.")
        try:
            path = path / "models" / str(json.loads(promoted.read_text(encoding="utf-8"))["model_id"])
        except (ValueError, KeyError, TypeError) as e:
            raise ModelError(f"{promoted} is damaged: {e}.", "Delete it and run `keepset train`.") from e
    found = path / "model.onnx" if path.is_dir() else path
    if not found.is_file():
        raise ModelError(f"There is no model at {found}.", "Give a workspace, a model folder or a model.onnx.")
    return found


def session(path: Path, threads: int = 1) -> Any:
    """An ``InferenceSession`` on the CPU. Raises ``ModelError``."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it writes to ~/.cache, and home to its makers
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads cost nothing
    try:
        return ort.InferenceSession(str(local(path)), options, providers=["CPUExecutionProvider"])
    except Exception as e:  # onnxruntime's errors share no public base
        raise ModelError(f"{path} cannot be loaded: {e}.", "Export it again.") from e


def _from_array(given: Any) -> Image.Image:
    try:
        return Image.fromarray(given)
    except (AttributeError, TypeError, ValueError) as e:
        kind = f"{type(given).__name__} {getattr(given, 'dtype', '')} {getattr(given, 'shape', '')}".strip()
        raise TypeError(f"A picture is a path, bytes, a PIL image or a uint8 array [h, w, 3], not {kind}.") from e
