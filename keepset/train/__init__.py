"""The stage ``train``: from a revision of the data set to a finished model that knows how good it is.

A regularised linear head on the frozen body stands in seconds. Fine-tuning starts from it, and is kept only if it
has the lower loss on the validation set. Both are judged on the same images and the choice is made on them, so
the winner's figures are very slightly flattering; ``metrics["cv"]`` is free of that.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from keepset import manifests
from keepset.config import RunConfig
from keepset.errors import TrainingError
from keepset.manifests import Header
from keepset.models import ModelRecord, save_record
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["train"]

VERSION = 1


def train(ws: Workspace, config: RunConfig, *, progress: Progress = SILENT) -> StageResult:
    """Train on the current revision; ``outputs["model_id"]``. Raises ``TrainingError`` or ``ModelError``."""
    data = ws.current_dataset()
    facts = config.part("train", "seed") | {"labels": list(config.labels)}
    model_id = manifests.fingerprint("train", {"dataset": data.content_hash}, facts, VERSION)
    with ws.lock("train"):
        if (ws.models / model_id / "model.json").exists():
            message = f"up to date: model {model_id} of revision {data.header.extra['revision']} stands"
            return StageResult(Stage.TRAIN, False, message, {}, {"model_id": model_id})
        record = _Training(ws, config, model_id, data, progress).run()
    valid = record.metrics["valid"]
    message = (
        f"model {model_id}: {valid['errors']} errors in {valid['n']} validation images "
        f"({valid['error_rate']:.1%}), kept the {record.winner.replace('_', ' ')}"
    )
    return StageResult(Stage.TRAIN, True, message, dict(valid), {"model_id": model_id})


@dataclass
class _Training:
    ws: Workspace
    config: RunConfig
    model_id: str
    data: manifests.Manifest
    progress: Progress

    def run(self) -> ModelRecord:
        import numpy as np
        import torch

        from keepset.train import features as ft
        from keepset.train import head as hd
        from keepset.train.fine_tune import Task, find_rate, fine_tune, predict_logits
        from keepset.train.pixels_cache import PixelCache
        from keepset.train.weights import create_network, preprocess_of

        begin = time.perf_counter()
        cfg, classes = self.config.train, self.config.labels
        device = _device(cfg.device)
        threads = cfg.threads or torch.get_num_threads()
        torch.set_num_threads(threads)
        torch.manual_seed(self.config.seed)
        rows = _usable(self.data.rows())
        _check(rows, classes)
        spec = preprocess_of(cfg.arch, cfg.size)
        network = create_network(cfg.arch, len(classes), cfg.weights).to(
            device, memory_format=torch.channels_last
        )
        cache = PixelCache(self.ws, spec)
        shas = [r["sha256"] for r in rows]
        x = ft.compute(cache, network, ft.body_id(network, spec), shas, spec, self.progress)
        y = np.array([classes.index(r["label"]) for r in rows])
        split = np.array([r["split"] for r in rows])
        learn, valid = split == "train", split == "valid"
        self.progress.start("linear head, cross-validated", None)
        cv_probs, strength = hd.cross_validate(x, y, np.array([r["fold"] for r in rows]), len(classes))
        linear = hd.fit_head(x[learn], y[learn], len(classes), strength)
        linear_probs = hd.softmax(linear.logits(x))
        _set_head(network, linear)
        contenders = {"linear_head": _judge(linear_probs[valid], y[valid])}
        logits, winner, history, found = linear.logits(x), "linear_head", [], {}
        state = {k: v.clone() for k, v in network.state_dict().items()}
        if cfg.epochs:
            cache.fill(shas, self.progress)
            task = Task(
                cache, spec, cfg, device, self.config.seed, [s for s, k in zip(shas, learn, strict=True) if k], y[learn],
                [s for s, k in zip(shas, valid, strict=True) if k], y[valid], self.progress, cfg.batch_size,
            )  # fmt: skip
            found = find_rate(task, network)
            history = fine_tune(task, network, cfg.lr or found["chosen"])
            tuned = predict_logits(task, network, shas)
            contenders["fine_tuned"] = _judge(hd.softmax(tuned[valid]), y[valid])
            if contenders["fine_tuned"]["nll"] < contenders["linear_head"]["nll"]:
                logits, winner = tuned, "fine_tuned"
                state = network.state_dict()
        temperature = _temperature(logits[valid], y[valid])
        probs = hd.softmax(logits / temperature)
        ood = _distances(x, learn)
        self._write(rows, classes, probs, cv_probs, ood, y, shas, x, state)
        record = ModelRecord(
            id=self.model_id, arch=cfg.arch, weights=cfg.weights, classes=classes, preprocess=spec,
            dataset_revision=int(self.data.header.extra["revision"]), dataset_hash=self.data.content_hash,
            seed=self.config.seed, threads=threads, device=str(device), config=self.config.part("train"),
            winner=winner, candidates=contenders | {"why": _why(contenders, winner)}, temperature=temperature,
            metrics={"valid": _metrics(probs[valid], y[valid]), "cv": _metrics(cv_probs, y)}, history=history,
            lr_find=found, ood={"quantile99": float(np.quantile(ood[valid], 0.99)) if valid.any() else 2.0},
            created_at=datetime.now(UTC).isoformat(), seconds=time.perf_counter() - begin,
        )  # fmt: skip
        save_record(self.ws, record)
        return record

    def _write(
        self, rows: Sequence[dict[str, Any]], classes: Sequence[str], probs: Any, cv: Any, ood: Any, y: Any,
        shas: list[str], x: Any, state: Any,
    ) -> None:  # fmt: skip
        import numpy as np
        from safetensors.torch import save_file

        from keepset.files import atomic_path
        from keepset.train import features as ft

        nlog = lambda p, i: float(-np.log(max(p[i, y[i]], 1e-12)))  # noqa: E731
        out = [
            {
                "sha256": r["sha256"], "label": r["label"], "split": r["split"],
                "predicted": classes[int(probs[i].argmax())], "loss": nlog(probs, i), "model_probs": probs[i].tolist(),
                "cv_predicted": classes[int(cv[i].argmax())], "cv_loss": nlog(cv, i), "cv_probs": cv[i].tolist(),
                "ood_distance": float(ood[i]),
            }
            for i, r in enumerate(rows)
        ]  # fmt: skip
        folder = self.ws.models / self.model_id
        header = Header("predictions", "train", self.model_id, {"dataset": self.data.content_hash})
        manifests.write(folder / "predictions.parquet", out, header)
        ft.save(self.ws, self.model_id, shas, x)
        with atomic_path(folder / "weights.safetensors") as part:
            save_file({k: v.contiguous().cpu() for k, v in state.items()}, part)


def _usable(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    active = {r["sha256"] for r in rows if r["active"]}
    return [r for r in rows if r["active"] and not (r["dup_kind"] == "exact" and r["dup_of"] in active)]


def _check(rows: Sequence[dict[str, Any]], classes: Sequence[str]) -> None:
    for label in classes:
        n = sum(r["label"] == label and r["split"] == "train" for r in rows)
        if n < 2:
            raise TrainingError(
                f"The class '{label}' has {n} training images.",
                "Add pictures of it (at least 2, better 50), or take the class out of the config.",
            )
    if not any(r["split"] == "valid" for r in rows):
        raise TrainingError("There is no validation image.", "Add pictures, or raise [split] valid.")


def _device(wanted: str) -> Any:
    import torch

    if wanted != "auto":
        return torch.device(wanted)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _set_head(network: Any, head: Any) -> None:
    import torch

    layer = network.get_classifier()
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight))
        layer.bias.copy_(torch.from_numpy(head.bias))


def _judge(probs: Any, y: Any) -> dict[str, Any]:
    from keepset.train.head import nll

    return {"nll": nll(probs, y), "errors": int((probs.argmax(1) != y).sum()), "n": len(y)}


def _why(contenders: dict[str, Any], winner: str) -> str:
    if len(contenders) == 1:
        return "fine-tuning was not asked for ([train] epochs = 0)"
    a, b = contenders["fine_tuned"]["nll"], contenders["linear_head"]["nll"]
    verb = "beats" if winner == "fine_tuned" else "does not beat"
    return f"fine-tuning {verb} the linear head on held-out loss ({a:.3f} against {b:.3f} nats)"


def _temperature(logits: Any, y: Any) -> float:
    """Temperature that minimises the held-out loss (Guo et al., arXiv:1706.04599), 0.25 to 4."""
    import numpy as np

    from keepset.train.head import nll, softmax

    grid = np.geomspace(0.25, 4.0, 81)
    return float(grid[int(np.argmin([nll(softmax(logits / t), y) for t in grid]))])


def _distances(x: npt.NDArray[np.float32], learn: Any) -> npt.NDArray[np.float64]:
    """Mean cosine distance to the 5 nearest other training images, in blocks so that memory stays flat."""
    import numpy as np

    unit = x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-9)
    base, where = unit[learn], np.flatnonzero(learn)
    out = np.empty(len(unit))
    for i in range(0, len(unit), 256):
        d = 1 - unit[i : i + 256] @ base.T
        d[where[None, :] == np.arange(i, i + len(d))[:, None]] = np.inf
        k = min(5, d.shape[1] - 1)
        out[i : i + len(d)] = np.partition(d, k - 1, axis=1)[:, :k].mean(1)
    return np.clip(out, 0, 2)


def _metrics(probs: Any, y: Any) -> dict[str, Any]:
    import numpy as np

    from keepset.review.stopping import wilson
    from keepset.train.head import nll

    n, errors = len(y), int((probs.argmax(1) != y).sum())
    low, high = wilson(errors, n)
    confidence, right = probs.max(1), probs.argmax(1) == y
    bins = np.minimum((confidence * 10).astype(int), 9)
    ece = sum(
        abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    )
    return {
        "n": n, "errors": errors, "error_rate": errors / n, "low": low, "high": high, "nll": nll(probs, y),
        "ece": float(ece),
    }  # fmt: skip
