"""The recipe, to be read from top to bottom: frozen features, linear head, rate finder, fine-tuning, the better one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from keepset.config import RunConfig, TrainConfig
from keepset.errors import ModelError
from keepset.manifests import Header
from keepset.models import ModelRecord, save_record
from keepset.reasons import Split
from keepset.stages import Progress
from keepset.train import features as ft
from keepset.train import head as hd
from keepset.train import results as rs
from keepset.train.fine_tune import Task, find_rate, fine_tune, predict_logits
from keepset.train.pixels_cache import PixelCache
from keepset.train.weights import create_network, preprocess_of
from keepset.workspace import Workspace

__all__ = ["Recipe", "choose_device"]


@dataclass
class _Contender:
    """A trained classifier: its logits for every image, and the network's weights."""

    name: str
    logits: Any
    state: dict[str, Any]
    held_out: dict[str, Any]


class Recipe:
    """One training of one model; ``run`` returns its record, written last of all its files."""

    def __init__(
        self, ws: Workspace, config: RunConfig, model_id: str, data: Header, rows: Sequence[dict[str, Any]],
        progress: Progress,
    ) -> None:  # fmt: skip
        self.ws, self.config, self.model_id, self.data, self.progress = ws, config, model_id, data, progress
        self.rows, self.classes, self.cfg = rows, config.labels, config.train
        self.shas = [str(r["sha256"]) for r in rows]
        self.labels = np.array([self.classes.index(r["label"]) for r in rows])
        self.folds = np.array([r["fold"] for r in rows])
        split = np.array([r["split"] for r in rows])
        self.learn, self.valid = split == Split.TRAIN, split == Split.VALID

    def run(self) -> ModelRecord:
        begin = time.perf_counter()
        self._prepare()
        features = ft.compute(self.cache, self.network, self.body, self.shas, self.spec, self.progress)
        self.progress.start("linear head, cross-validated", None)
        cv_probs, strength = hd.cross_validate(features, self.labels, self.folds, len(self.classes))
        contenders = [self._linear_head(features, strength)]
        history, found = list[dict[str, Any]](), dict[str, Any]()
        if self.cfg.epochs:
            history, found, tuned = self._fine_tuned()
            contenders.append(tuned)
        winner = min(contenders, key=lambda c: float(c.held_out["nll"]))
        temperature = rs.calibrate(winner.logits[self.valid], self.labels[self.valid])
        probs = hd.softmax(winner.logits / temperature)
        scores = rs.Scores(probs, cv_probs, self.labels, rs.distances(features, self.learn))
        rs.write_predictions(self.ws, self.model_id, self.data.content_hash, self.rows, self.classes, scores)
        ft.save(self.ws, self.model_id, self.shas, features)
        rs.save_weights(self.ws, self.model_id, winner.state)
        record = self._record(
            winner, contenders, scores, temperature, history, found, time.perf_counter() - begin
        )
        save_record(self.ws, record)
        return record

    def _prepare(self) -> None:
        self.device = choose_device(self.cfg)
        self.threads = self.cfg.threads or torch.get_num_threads()
        torch.set_num_threads(self.threads)
        torch.manual_seed(self.config.seed)
        network: Any = create_network(self.cfg.arch, len(self.classes), self.cfg.weights)
        self.spec = preprocess_of(self.cfg.arch, self.cfg.size)
        self.network: Any = network.to(self.device, memory_format=torch.channels_last)
        self.body = ft.body_id(self.network, self.spec)
        self.cache = PixelCache(self.ws, self.spec)

    def _linear_head(self, features: Any, strength: float) -> _Contender:
        """Fit on the training images at the strength that cross-validation chose, and put it into the network."""
        head = hd.fit_head(features[self.learn], self.labels[self.learn], len(self.classes), strength)
        layer = self.network.get_classifier()
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(head.weight))
            layer.bias.copy_(torch.from_numpy(head.bias))
        state = {k: v.clone() for k, v in self.network.state_dict().items()}
        return self._contender("linear_head", head.logits(features), state)

    def _fine_tuned(self) -> tuple[list[dict[str, Any]], dict[str, Any], _Contender]:
        self.cache.fill(self.shas, self.progress)
        task = Task(
            self.cache, self.spec, self.cfg, self.device, self.config.seed,
            [s for s, k in zip(self.shas, self.learn, strict=True) if k], self.labels[self.learn],
            [s for s, k in zip(self.shas, self.valid, strict=True) if k], self.labels[self.valid],
            self.progress, self.cfg.batch_size,
        )  # fmt: skip
        found = find_rate(task, self.network)
        history = fine_tune(task, self.network, self.cfg.lr or found["chosen"])
        logits = predict_logits(task, self.network, self.shas)
        return history, found, self._contender("fine_tuned", logits, self.network.state_dict())

    def _contender(self, name: str, logits: Any, state: dict[str, Any]) -> _Contender:
        held_out = rs.judge(hd.softmax(logits[self.valid]), self.labels[self.valid])
        return _Contender(name, logits, state, held_out)

    def _record(
        self, winner: _Contender, contenders: list[_Contender], scores: rs.Scores, temperature: float,
        history: list[dict[str, Any]], found: dict[str, Any], seconds: float,
    ) -> ModelRecord:  # fmt: skip
        valid, y = self.valid, self.labels
        return ModelRecord(
            id=self.model_id, arch=self.cfg.arch, weights=self.cfg.weights, classes=self.classes,
            preprocess=self.spec, dataset_revision=int(self.data.extra["revision"]),
            dataset_hash=self.data.content_hash, seed=self.config.seed, threads=self.threads,
            device=str(self.device), config=self.config.part("train"), winner=winner.name,
            candidates={c.name: c.held_out for c in contenders} | {"why": _why(contenders, winner)},
            temperature=temperature, history=history, lr_find=found,
            metrics={"valid": rs.measure(scores.probs[valid], y[valid]), "cv": rs.measure(scores.cv_probs, y)},
            ood={"quantile99": float(np.quantile(scores.distances[valid], 0.99))},
            created_at=datetime.now(UTC).isoformat(), seconds=seconds,
        )  # fmt: skip


def choose_device(cfg: TrainConfig) -> torch.device:
    """The device asked for, or the best there is. Raises ``ModelError`` for one that is not here."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if (cfg.device == "cuda" and not cuda) or (cfg.device == "mps" and not mps):
        raise ModelError(
            f"There is no {cfg.device} device here.", 'Set [train] device = "auto"; see `keepset doctor`.'
        )
    if cfg.device != "auto":
        return torch.device(cfg.device)
    return torch.device("cuda" if cuda else "mps" if mps else "cpu")


def _why(contenders: list[_Contender], winner: _Contender) -> str:
    if len(contenders) == 1:
        return "Fine-tuning was not asked for ([train] epochs = 0)."
    linear, tuned = (float(c.held_out["nll"]) for c in contenders)
    verb = "beats" if winner.name == "fine_tuned" else "does not beat"
    return f"Fine-tuning {verb} the linear head on held-out loss ({tuned:.3f} against {linear:.3f} nats)."
