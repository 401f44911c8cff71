"""A folder of class folders through the product's own stages, with the configuration that ``keepset import`` writes."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keepset.importing import LocalPictures, config_text, find_pictures
from keepset.review import load_batch
from keepset.stages import StageResult
from keepset.workspace import Workspace

__all__ = ["Reviewed", "file_hashes", "reviewed"]

Rows = list[dict[str, Any]]


@dataclass
class Reviewed:
    """The workspace, its model, the rows of both batches, file by file the sha256, and seconds by stage."""

    ws: Workspace
    model_id: str = ""
    classes: list[str] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    batch: Rows = field(default_factory=list)
    everything: Rows = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begin


def reviewed(folder: Path, root: Path, *, epochs: int | None = None, cache: Path | None = None) -> Reviewed:
    """Run every stage in the workspace ``root``; what is finished there is skipped, but not the reviews.

    ``epochs``: of fine-tuning, if not those that ``keepset import`` writes;
    ``cache``: a folder for pixels and features that several workspaces share. Raises ``ConfigError`` if ``folder`` does not hold two classes, and what the stages raise.
    """
    from keepset.config import load_config
    from keepset.pipeline import build
    from keepset.pipeline.engine import Engine
    from keepset.review import review
    from keepset.train import train

    found = find_pictures(folder)
    root.mkdir(parents=True, exist_ok=True)
    path = root.with_suffix(".toml")
    path.write_text(config_text(found, path), encoding="utf-8")
    config = load_config(path)
    review_only = config.review.model_copy(
        update={"random_looks": 0}
    )  # what is proposed is judged, not the random share
    config = config.model_copy(update={"review": review_only})
    if epochs is not None:
        config = config.model_copy(update={"train": config.train.model_copy(update={"epochs": epochs})})
    ws = Workspace.create(root, config.name) if not (root / "keepset.json").exists() else Workspace.open(root)
    if cache is not None and not ws.cache.exists():
        ws.cache.symlink_to(cache)
    ws.save_config(config)
    shutil.rmtree(ws.batches, ignore_errors=True)  # an old batch would answer for new code
    run = Reviewed(ws, classes=found.classes, hashes=file_hashes(found))
    begin = time.perf_counter()
    for result in build(ws, config, engine=Engine.of_this_machine()):
        run.seconds[str(result.stage)] = time.perf_counter() - begin
        print(f"{config.name}: {result.message}", flush=True)
        begin = time.perf_counter()
    with run.timed("train"):
        run.model_id = train(ws, config).outputs["model_id"]
    with run.timed("review"):
        run.batch = _rows(ws, lambda: review(ws, config))
    with run.timed("review --all"):
        run.everything = _rows(ws, lambda: review(ws, config, everything=True))
    return run


def _rows(ws: Workspace, open_batch: Callable[[], StageResult]) -> Rows:
    """The candidates of the batch that is opened, by rank; none if there is nothing to review."""
    batch_id = open_batch().outputs.get("batch_id")
    rows = load_batch(ws, batch_id).candidates().rows() if batch_id else []
    return sorted(rows, key=lambda r: r["rank"])


def file_hashes(found: LocalPictures) -> dict[str, str]:
    """sha256 of each file's bytes, by its path below the source, with ``/``."""
    files = [p for folders in found.folders.values() for d in folders for p in sorted(d.rglob("*")) if p.is_file()]
    return {p.relative_to(found.source).as_posix(): _sha256(p) for p in files}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
