"""Keepset's stage ``train`` on the same rows; started by ``against_fastai.py``.

    python bench/train/tool_keepset.py ROWS.csv PX SEED EPOCHS SCRATCH OUT.json

EPOCHS 0 is the smallest usable model (the linear head on EfficientNet-Lite0), -1 the training by default. CPU seconds are this process's own:
loading libraries apart, from blobs to a finished model folder. The test images are no part of the workspace; they
are predicted by the exported model after the clock has stopped.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
import time
from pathlib import Path

from keepset import manifests
from keepset.config import RunConfig, parse_config
from keepset.files import write_bytes
from keepset.manifests import Header
from keepset.workspace import Workspace


def main(rows: Path, px: int, seed: int, epochs: int, scratch: Path, out: Path) -> None:
    with rows.open(newline="") as f:
        table = list(csv.DictReader(f))
    ws, config = make_workspace(table, px, seed, epochs, scratch)
    imports = _imports()
    begin = time.process_time()
    from keepset.train import train

    model_id = train(ws, config).outputs["model_id"]
    cpu = time.process_time() - begin
    from keepset.export.onnx import export_model
    from keepset.models import load_record
    from keepset.predict import load

    predictor = load(export_model(ws, model_id))
    test = [r for r in table if r["part"] == "test"]
    errors = sum(predictor.predict(Path(r["path"])).label != r["label"] for r in test)
    record = load_record(ws, model_id)
    facts = {"cpu": cpu, "imports": imports, "errors": errors, "n": len(test)}
    valid = {"valid_error": record.metrics["valid"]["error_rate"], "winner": record.winner}
    out.write_text(json.dumps(facts | valid | {"candidates": record.candidates}))


def _imports() -> float:
    """CPU seconds of what any training here has to load, Keepset's own modules with it, as fastai's are on its side."""
    begin = time.process_time()
    import safetensors.torch  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import timm
    import torch  # noqa: F401

    import keepset.train.recipe  # noqa: F401

    timm.list_models()
    return time.process_time() - begin


def make_workspace(
    table: list[dict[str, str]], px: int, seed: int, epochs: int, root: Path
) -> tuple[Workspace, RunConfig]:
    labels = sorted({r["label"] for r in table})
    classes = {label: {"pages": [f"http://127.0.0.1:9/{label}"]} for label in labels}
    section = {"size": px} | ({"arch": "lite0", "epochs": epochs} if epochs >= 0 else {})
    config = parse_config({"name": "bench", "seed": seed, "classes": classes, "train": section}, base=root)
    ws = Workspace.create(root / "ws", "bench")
    ws.save_config(config)
    found: dict[str, dict[str, object]] = {}
    for i, r in enumerate(r for r in table if r["part"] != "test"):
        data = Path(r["path"]).read_bytes()
        sha = hashlib.sha256(data).hexdigest()
        write_bytes(ws.blob(sha), data)
        found[sha] = {
            "sha256": sha, "label": r["label"], "given_label": r["label"], "other_labels": [],
            "split": r["part"], "fold": i % 5, "group_id": sha, "active": True, "added_in": 1,
        }  # fmt: skip
    extra = {"revision": 1, "before": 0, "cause": "bench"}
    manifests.write(ws.dataset(1), list(found.values()), Header("dataset", "bench", "f", extra=extra), exclusive=True)
    return ws, config


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]), Path(sys.argv[6]))
