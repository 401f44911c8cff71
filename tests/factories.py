"""Workspaces as each stage leaves them, made directly: a test of one stage need not run those before it.

Pictures are drawn, seeded and small. Everything goes through ``keepset.manifests``, so a factory that
drifts from the schemas fails at once.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keepset import manifests
from keepset.config import RunConfig, parse_config
from keepset.demo.draw import CLASSES, draw
from keepset.files import write_bytes
from keepset.manifests import Header
from keepset.workspace import Workspace

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Told:
    """A progress that records its calls: ``begun`` (what, total), the sum ``done``, ``notes``."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int | None]] = []
        self.notes: list[str] = []
        self.done = 0

    def start(self, what: str, total: int | None) -> None:
        self.begun.append((what, total))

    def advance(self, n: int = 1, **facts: Any) -> None:
        self.done += n

    def note(self, message: str) -> None:
        self.notes.append(message)

    def __contains__(self, words: str) -> bool:
        return any(words in note for note in self.notes)


def config(base: Path, labels: tuple[str, ...] = CLASSES, **sections: Any) -> RunConfig:
    """A run config with one (unused) page a class; ``sections`` override, e.g. train={"epochs": 0}. The network is the
    smallest packaged one, if none is named.
    """
    sections["train"] = {"arch": "lite0", "size": 224, **sections.get("train", {})}
    classes = {label: {"pages": [f"http://127.0.0.1:9/{label}"]} for label in labels}
    return parse_config({"name": "drawn", "seed": 7, "classes": classes, **sections}, base=base)


def saved(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """The file of a picture, with the options of Pillow's ``save``."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpeg(image: Image.Image, quality: int = 88) -> bytes:
    return saved(image, quality=quality)


def add_revision(
    ws: Workspace, rows: Iterable[dict[str, Any]], cause: str = "split", parents: dict[str, str] | None = None
) -> int:
    """The next revision of the data set; its number."""
    number = (ws.revisions() or [0])[-1] + 1
    extra = {"revision": number, "before": number - 1, "cause": cause}
    header = Header("dataset", "split" if cause == "split" else "clean", "factory", parents or {}, extra=extra)
    manifests.write(ws.dataset(number), list(rows), header, exclusive=True)
    return number


@functools.lru_cache(maxsize=4096)
def _drawn(label: str, i: int, width: int, height: int) -> tuple[Image.Image, bytes, bytes]:
    """A drawn picture, its file and its thumbnail. Most tests ask for the same few."""
    picture = draw(label, i, width=width, height=height)
    return picture, jpeg(picture), jpeg(picture, 75)


def dataset_workspace(
    root: Path,
    *,
    per_class: int = 12,
    labels: tuple[str, ...] = CLASSES,
    flips: int = 0,
    size: tuple[int, int] = (160, 120),
    **sections: Any,
) -> tuple[Workspace, RunConfig, dict[str, str]]:
    """A workspace with blobs, thumbs, images.parquet and revision 1 of the data set.

    ``flips`` images carry a wrong label. Returns the workspace, its config, and the true label by sha256.
    """
    cfg = config(root, labels, **sections)
    ws = Workspace.create(root / "ws", cfg.name)
    ws.save_config(cfg)
    images: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    truth: dict[str, str] = {}
    for i in range(per_class * len(labels)):
        true = labels[i % len(labels)]
        label = labels[(i + 1) % len(labels)] if i < flips else true
        picture, data, thumb = _drawn(true if true in CLASSES else CLASSES[labels.index(true) % 3], i, *size)
        sha = hashlib.sha256(data).hexdigest()
        write_bytes(ws.blob(sha), data)
        write_bytes(ws.thumb(sha), thumb)
        truth[sha] = true
        images.append(image_row(sha, label, data, picture, i))
        rows.append(dataset_row(sha, label, i, len(labels)))
    done = manifests.write(ws.images, images, Header("images", "validate", "factory"))
    add_revision(ws, rows, parents={"images": done.content_hash})
    return ws, cfg, truth


def image_row(sha: str, label: str, data: bytes, picture: Image.Image, i: int) -> dict[str, Any]:
    return {
        "sha256": sha, "label": label, "other_labels": [], "status": "ok", "warnings": [],
        "url": f"http://127.0.0.1:9/{label}/{i}.jpg", "copies": 1, "source": "list", "format": "jpeg",
        "mode": "RGB", "width": picture.width, "height": picture.height, "frames": 1, "bytes": len(data),
        "phash": int(sha[:16], 16), "pixel_hash": sha[::-1], "brightness": 0.5, "contrast": 0.2,
        "sharpness": 300.0, "entropy": 6.5, "group_id": sha, "license": "cc-by-4.0",
    }  # fmt: skip


def dataset_row(sha: str, label: str, i: int, n_labels: int) -> dict[str, Any]:
    nth = i // n_labels  # every fifth of a class is validation; folds go round
    return {
        "sha256": sha, "label": label, "given_label": label, "other_labels": [],
        "split": "valid" if nth % 5 == 0 else "train", "fold": nth % 5, "group_id": sha, "active": True,
        "added_in": 1,
    }  # fmt: skip


def add_model(ws: Workspace, cfg: RunConfig, truth: dict[str, str], *, model_id: str = "0" * 16, seed: int = 0) -> str:
    """A believable finished model without training: model.json, predictions and features; promoted.

    The out-of-sample scores mostly know the truth, so wrongly labelled images get a high loss.
    """
    from safetensors.numpy import save_file

    rng = np.random.default_rng(seed)
    data = ws.current_dataset()
    labels = list(cfg.labels)
    rows, features = [], []
    for row in (r for r in data.rows() if r["active"]):
        probs = [_probs(rng, labels.index(truth[row["sha256"]]), len(labels)) for _ in range(2)]
        mine = labels.index(row["label"])
        rows.append({
            "sha256": row["sha256"], "label": row["label"], "split": row["split"],
            "predicted": labels[int(np.argmax(probs[0]))], "loss": float(-np.log(probs[0][mine])),
            "model_probs": probs[0].tolist(), "cv_predicted": labels[int(np.argmax(probs[1]))],
            "cv_loss": float(-np.log(probs[1][mine])), "cv_probs": probs[1].tolist(),
            "ood_distance": float(rng.uniform(0.05, 0.2)),
        })  # fmt: skip
        center = np.zeros(32, np.float32)
        center[labels.index(truth[row["sha256"]]) * 8 :][:8] = 1.0
        features.append(center + rng.normal(0, 0.25, 32).astype(np.float32))
    folder = ws.models / model_id
    header = Header("predictions", "train", model_id, {"dataset": data.content_hash})
    manifests.write(folder / "predictions.parquet", rows, header)
    order = "\n".join(r["sha256"] for r in rows)
    save_file({"features": np.stack(features)}, folder / "features.safetensors", {"sha256": order})
    valid = [r for r in rows if r["split"] == "valid"]
    errors = sum(r["predicted"] != r["label"] for r in valid)
    record = {
        "id": model_id, "arch": "tf_efficientnet_lite0", "weights": "none", "classes": labels,
        "preprocess": {"resize": 256, "crop": 224, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"},
        "dataset_revision": data.header.extra["revision"], "dataset_hash": data.content_hash, "seed": 7,
        "threads": 1, "device": "cpu", "config": {"train": {"arch": "tf_efficientnet_lite0"}}, "winner": "linear_head",
        "candidates": {"linear_head": {"nll": 0.31, "errors": errors, "n": len(valid)},
                       "fine_tuned": {"nll": 0.35, "errors": errors + 1, "n": len(valid)},
                       "why": "the linear head has the lower held-out loss"},
        "temperature": 1.1,
        "metrics": {"valid": {"n": len(valid), "errors": errors, "error_rate": errors / max(1, len(valid)),
                              "low": 0.0, "high": 0.3, "nll": 0.31, "ece": 0.05}},
        "history": [
            {"phase": "head", "epoch": 0, "lr": 2e-3, "train_loss": 0.8, "valid_loss": 0.5, "error_rate": 0.2, "seconds": 1.0},
            {"phase": "fine_tune", "epoch": 0, "lr": 1e-3, "train_loss": 0.5, "valid_loss": 0.4, "error_rate": 0.15, "seconds": 2.0},
            {"phase": "fine_tune", "epoch": 1, "lr": 5e-4, "train_loss": 0.35, "valid_loss": 0.33, "error_rate": 0.1, "seconds": 2.0},
        ],
        "lr_find": {"lrs": np.geomspace(1e-7, 1, 40).tolist(),
                    "losses": (1.2 - 0.8 / (1 + np.exp(-np.linspace(-6, 4, 40)))).tolist(),
                    "valley": 1e-3, "chosen": 1e-3},
        "ood": {"quantile99": 0.25}, "created_at": EPOCH.isoformat(), "seconds": 5.0,
    }  # fmt: skip
    write_bytes(folder / "model.json", json.dumps(record).encode())
    ws.promote(model_id, "first model")
    return model_id


def _probs(rng: np.random.Generator, true: int, n: int) -> np.ndarray:
    logits = rng.normal(0, 0.6, n)
    logits[true] += 3.0
    e = np.exp(logits - logits.max())
    return e / e.sum()
