"""Where a training stands, so that a killed one goes on: one file in the workspace's cache, written atomically.

It holds the weights, the optimizer's state, and the place (phase, epoch, step), history and the rate finder's curve.
There is no state of a random generator in it: order, augmentation and dropout of a batch are seeded by its place. It
belongs to exactly one training, whose model's id follows from the data and the config; of another it is not used.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from keepset.files import atomic_path
from keepset.settings import settings
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import torch

__all__ = ["Checkpoints", "Place"]


@dataclass
class Place:
    """Where a training stands: ``step`` batches of ``epoch`` of the phase numbered ``phase`` are done."""

    phase: int = 0
    epoch: int = 0
    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)


class Checkpoints:
    """The checkpoint of ``ws``, if it is one of the training of ``model_id``."""

    def __init__(self, ws: Workspace, model_id: str) -> None:
        self.path, self.model_id = ws.cache / "checkpoint.safetensors", model_id
        self._last, self._cost = time.monotonic(), 0.0
        self._tensors: dict[str, Any] = {}

    def find(self) -> tuple[Place | None, str]:
        """The place to go on from, if there is one, and what to tell."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, "pt") as f:
                meta = json.loads(f.metadata()["keepset"])
                if meta["model"] != self.model_id:
                    return None, "An unfinished training is left, of other data or another config: training restarts."
                self._tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 - it is no dict
                place = Place(**meta["place"])
        except FileNotFoundError:
            return None, ""
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as e:
            return None, f"The checkpoint {self.path} cannot be read ({e}): training restarts."
        where = f"phase {place.phase + 1}, epoch {place.epoch + 1}, step {place.step + 1}"
        return place, f"A training that was cut off goes on at {where}."

    def due(self) -> bool:
        """Often enough that little is lost, seldom enough that writing costs under 5 % of the time."""
        wait = settings().checkpoint_s
        return time.monotonic() - self._last >= (max(wait, 20 * self._cost) if wait else 0)

    def save(self, place: Place, network: torch.nn.Module, optimizer: Any = None) -> None:
        """Write it. A full disk raises ``WorkspaceNotWritable``."""
        from safetensors.torch import save_file

        begin = time.monotonic()
        tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
        groups: list[dict[str, Any]] = []
        if optimizer is not None:
            state = optimizer.state_dict()
            groups = state["param_groups"]
            for i, of in state["state"].items():
                tensors |= {f"optimizer.{i}.{k}": v for k, v in of.items()}
        meta = {"model": self.model_id, "place": asdict(place), "groups": groups}
        with atomic_path(self.path) as part:
            whole = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
            save_file(whole, part, {"keepset": json.dumps(meta)})
        self._last, self._cost = time.monotonic(), time.monotonic() - begin

    def restore_network(self, network: torch.nn.Module) -> None:
        found = {k.removeprefix("network."): v for k, v in self._tensors.items() if k.startswith("network.")}
        network.load_state_dict(found)

    def restore_optimizer(self, optimizer: Any) -> None:
        """The moments and rates of a phase that had begun; nothing if it had not."""
        import torch
        from safetensors import safe_open

        with safe_open(self.path, "pt") as f:
            groups = json.loads(f.metadata()["keepset"])["groups"]
        if not groups:
            return
        state: dict[int, dict[str, Any]] = {}
        for key, value in self._tensors.items():
            if key.startswith("optimizer."):
                _, i, name = key.split(".")
                state.setdefault(int(i), {})[name] = value
        groups = [g | {"betas": tuple(g["betas"])} for g in groups]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        for p, of in optimizer.state.items():  # a fused step takes all to lie in memory alike
            for name, value in of.items():
                if value.shape == p.shape:
                    of[name] = torch.empty_like(p).copy_(value)

    def remove(self) -> None:
        self._tensors = {}
        self.path.unlink(missing_ok=True)
