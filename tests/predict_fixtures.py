"""A workspace with a served model: the pretrained body under an untrained head, so that only its labels are nonsense."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from keepset.config import RunConfig
from keepset.export.onnx import export_model
from keepset.workspace import Workspace
from tests.conftest import Once
from tests.factories import add_model, dataset_workspace
from tests.processes import PATIENCE_S


@dataclass
class Served:
    """``pictures``: JPEG bytes of the data set, in its order."""

    ws: Workspace
    config: RunConfig
    truth: dict[str, str]

    @property
    def pictures(self) -> list[bytes]:
        return [self.ws.blob(s).read_bytes() for s in self.truth]

    def add(self, model_id: str, seed: int = 0) -> str:
        """One more model with its export, promoted."""
        import torch
        from safetensors.torch import save_file

        from keepset.train.weights import create_network

        torch.manual_seed(seed)
        before = self.ws.promoted()
        add_model(self.ws, self.config, self.truth, model_id=model_id)
        (self.ws.models / model_id / "features.safetensors").unlink()  # of no network: the export computes its own
        if before:
            self.ws.promote(before, "not yet")
        network = create_network("tf_efficientnet_lite0", len(self.config.labels), "packaged")
        save_file(network.state_dict(), self.ws.models / model_id / "weights.safetensors")
        export_model(self.ws, model_id)
        self.ws.promote(model_id, "for the test")
        return model_id


def make_served(root: Path, **options: Any) -> Served:
    found = Served(*dataset_workspace(root, per_class=4, size=(300, 280), **options))
    found.add("0" * 16)
    return found


@pytest.fixture(scope="session")
def template_case(once: Once) -> Served:
    """Only to be read."""

    def make(folder: Path) -> None:
        (folder / "truth.json").write_text(json.dumps(make_served(folder).truth))

    folder = once("served", make)
    ws = Workspace.open(folder / "ws")
    return Served(ws, ws.config(), json.loads((folder / "truth.json").read_text()))


@pytest.fixture
def model_case(template_case: Served, tmp_path: Path) -> Served:
    """A copy of one's own."""
    shutil.copytree(template_case.ws.root, tmp_path / "ws")
    return Served(Workspace.open(tmp_path / "ws"), template_case.config, template_case.truth)


def client(url: str, **options: Any) -> httpx.Client:
    return httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S, **options)
