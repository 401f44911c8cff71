"""What the tests of reviewing and cleaning share: a workspace with an open batch, and edits to its manifests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keepset import manifests
from keepset.config import RunConfig
from keepset.files import append_line
from keepset.manifests import Header
from keepset.reasons import Action
from keepset.review import Batch, Mark, load_batch, review
from keepset.workspace import Workspace
from tests.conftest import Once
from tests.factories import add_model, add_revision, dataset_workspace


@dataclass(frozen=True)
class Case:
    """A workspace, its config, and the true label of each image."""

    ws: Workspace
    config: RunConfig
    truth: dict[str, str]

    @property
    def wrong(self) -> set[str]:
        """Images whose label in the current revision is not the true one."""
        return {r["sha256"] for r in self.active() if r["label"] != self.truth[r["sha256"]]}

    def active(self) -> list[dict[str, Any]]:
        return [r for r in self.ws.current_dataset().rows() if r["active"]]

    def row(self, sha: str) -> dict[str, Any]:
        return next(r for r in self.ws.current_dataset().rows() if r["sha256"] == sha)

    def clean_ones(self, n: int, split: str = "train") -> list[str]:
        """So many rightly labelled images, in manifest order."""
        good = [r["sha256"] for r in self.active() if r["sha256"] not in self.wrong and r["split"] == split]
        return good[:n]

    def open_batch(self) -> Batch:
        return load_batch(self.ws, review(self.ws, self.config).outputs["batch_id"])

    def train_again(self, model_id: str, seed: int = 0) -> None:
        """Another model; with the same seed it says the same of each image."""
        add_model(self.ws, self.config, self.truth, model_id=model_id, seed=seed)

    def audit(self, action: str) -> list[dict[str, Any]]:
        return [r for r in self.ws.audit_log() if r["action"] == action]


def make_case(root: Path, *, flips: int = 4, per_class: int = 12, **sections: Any) -> Case:
    ws, config, truth = dataset_workspace(root, flips=flips, per_class=per_class, **sections)
    add_model(ws, config, truth)
    return Case(ws, config, truth)


@pytest.fixture
def case(tmp_path: Path, once: Once) -> Case:
    """The ordinary case: 36 images, 4 of them wrong; a copy of one's own."""

    def make(folder: Path) -> None:
        (folder / "truth.json").write_text(json.dumps(make_case(folder).truth))

    template = once("review", make)
    shutil.copytree(template / "ws", tmp_path / "ws")
    ws = Workspace.open(tmp_path / "ws")
    return Case(ws, ws.config(), json.loads((template / "truth.json").read_text()))


def delete(*shas: str) -> list[Mark]:
    return [Mark(s, Action.DELETE) for s in shas]


def edit_images(case: Case, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Rewrite images.parquet with other values for some rows."""
    rows = manifests.read(case.ws.images, "images").rows()
    new = [r | dict(changes.get(r["sha256"], {})) for r in rows]
    manifests.write(case.ws.images, new, Header("images", "validate", "edited"))


def edit_predictions(case: Case, changes: Mapping[str, Mapping[str, Any]], model_id: str = "0" * 16) -> None:
    path = case.ws.models / model_id / "predictions.parquet"
    old = manifests.read(path, "predictions")
    new = [r | dict(changes.get(r["sha256"], {})) for r in old.rows()]
    manifests.write(path, new, Header("predictions", "train", "edited", old.header.parents))


def say(case: Case, sha: str, label: str, at: str = "2026-11-23T10:00:00+00:00") -> None:
    """A user of the prediction page corrects a label."""
    row = {"at": at, "sha256": sha, "predicted": "?", "label": label, "who": "visitor"}
    append_line(case.ws.root / "inbox.jsonl", json.dumps(row))


def top_up(case: Case, sha: str, label: str) -> int:
    """A further revision with one new image, as the split stage writes it."""
    data = case.ws.current_dataset()
    n = int(data.header.extra["revision"]) + 1
    new = data.rows()[0] | {
        "sha256": sha, "label": label, "given_label": label, "group_id": sha, "active": True, "added_in": n,
        "changed_in": None, "changed_by": None, "split": "train",
    }  # fmt: skip
    return add_revision(case.ws, [*data.rows(), new], parents={"dataset": data.content_hash})
