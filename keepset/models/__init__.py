"""Reading and writing what is known about a model: ``models/<id>/model.json``. No torch needed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from keepset.errors import ModelError
from keepset.files import read_json, write_json
from keepset.images.pixels import Preprocess
from keepset.workspace import Workspace

__all__ = ["ModelRecord", "damaged_models", "list_models", "load_record", "save_record"]


@dataclass(frozen=True)
class ModelRecord:
    """A finished model. ``classes`` is the order of its outputs; ``winner`` says what the weights hold, ``arch`` of which
    networks (``config`` holds what was asked for).

    ``metrics["valid"]`` holds n, errors, error_rate with its 95 % interval (low, high), nll (nats) and ece.
    ``machine`` holds device, precision, batch_size, at_once (images that went through the network together),
    and notes: what happened on the way, in words (memory short, gone on from a checkpoint).
    """

    id: str
    arch: str
    weights: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    dataset_revision: int
    dataset_hash: str
    seed: int
    threads: int
    device: str
    config: Mapping[str, Any]
    winner: str
    candidates: Mapping[str, Any]
    temperature: float
    metrics: Mapping[str, Any]
    history: list[dict[str, Any]]
    lr_find: Mapping[str, Any]
    ood: Mapping[str, Any]
    created_at: str
    seconds: float
    machine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def features_of(self) -> str:
        """The networks that ``features.safetensors`` is of: the ones asked for. ``arch`` are the ones that are served."""
        asked: str = self.config["train"]["arch"]
        return asked

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> ModelRecord:
        spec = dict(raw["preprocess"])
        spec |= {k: tuple(spec[k]) for k in ("mean", "std")}
        return cls(**{**raw, "classes": tuple(raw["classes"]), "preprocess": Preprocess(**spec)})


def save_record(ws: Workspace, record: ModelRecord) -> None:
    """Write ``model.json``: the last step of a training, which makes the model a finished one."""
    write_json(ws.models / record.id / "model.json", asdict(record))


def load_record(ws: Workspace, model_id: str) -> ModelRecord:
    """Raises ``ModelError`` if there is no such finished model, or its record is damaged."""
    path = ws.models / model_id / "model.json"
    try:
        return ModelRecord.from_json(read_json(path))
    except FileNotFoundError as e:
        known = ", ".join(m.id for m in list_models(ws)) or "none yet"
        raise ModelError(f"There is no finished model '{model_id}'.", f"Models here: {known}.") from e
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ModelError(f"{path} is damaged: {e}.", "Delete that folder and run `keepset train`.") from e


def list_models(ws: Workspace) -> list[ModelRecord]:
    """All finished models, oldest first. One whose record is damaged is left out; `keepset doctor` names it."""
    found = []
    for name in _finished(ws):
        with contextlib.suppress(ModelError):
            found.append(load_record(ws, name))
    return sorted(found, key=lambda m: (m.dataset_revision, m.created_at, m.id))


def damaged_models(ws: Workspace) -> list[ModelError]:
    """What is wrong with each model that is finished and cannot be loaded."""
    found = []
    for name in _finished(ws):
        try:
            load_record(ws, name)
        except ModelError as e:
            found.append(e)
    return found


def _finished(ws: Workspace) -> list[str]:
    folders = ws.models.iterdir() if ws.models.is_dir() else ()
    return [p.name for p in folders if (p / "model.json").is_file()]
