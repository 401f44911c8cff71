"""The recipe, to be read from top to bottom: frozen features, linear head, then fine-tuning where that is worth trying,
and the best of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from keepset.config import RunConfig
from keepset.manifests import Header
from keepset.models import ModelRecord, save_record
from keepset.models.features import save as save_features
from keepset.models.features import units
from keepset.reasons import Split
from keepset.stages import Progress
from keepset.text import many
from keepset.train import features as ft
from keepset.train import head as hd
from keepset.train import results as rs
from keepset.train.checkpoints import Checkpoints, Place
from keepset.train.contenders import Contender, epochs_worth, mean_network, why
from keepset.train.finder import find_rate
from keepset.train.fine_tune import fine_tune, learning, phases
from keepset.train.layers import freeze
from keepset.train.machine import Chunks, choose_device, facts, forward_at_once, machine_for, one_core
from keepset.train.networks import bodies_of, build, check, parts, set_head
from keepset.train.pixels_cache import PixelCache
from keepset.train.steps import predict_logits
from keepset.train.task import Task
from keepset.train.weights import create_network, preprocess_of
from keepset.workspace import Workspace

__all__ = ["Recipe"]


class Recipe:
    """One training of one model; ``run`` returns its record, written last of all its files."""

    def __init__(
        self, ws: Workspace, config: RunConfig, model_id: str, data: Header, rows: Sequence[dict[str, Any]],
        progress: Progress,
    ) -> None:  # fmt: skip
        self.notes = list[str]()
        self.ws, self.config, self.model_id, self.data, self.progress = ws, config, model_id, data, progress
        self.rows, self.classes, self.cfg = rows, config.labels, config.train
        self.shas = [str(r["sha256"]) for r in rows]
        self.labels = np.array([self.classes.index(r["label"]) for r in rows])
        self.folds = np.array([r["fold"] for r in rows])
        split = np.array([r["split"] for r in rows])
        self.learn, self.valid = split == Split.TRAIN, split == Split.VALID

    def run(self) -> ModelRecord:
        from threadpoolctl import threadpool_limits

        begin = time.perf_counter()
        self._prepare()
        # numpy's sums depend on how many threads share them
        with threadpool_limits(self.threads, user_api="blas"):
            return self._run(begin)

    def _run(self, begin: float) -> ModelRecord:
        raw = np.concatenate([ft.compute(self.cache, b, self.shas, self.chunks) for b in self.bodies], axis=1)
        cv_probs, head, wrong = self._cross_validated(raw)
        contenders = [self._linear_head(raw, head)]
        epochs, reason = epochs_worth(self.cfg.epochs, wrong)
        history, found = list[dict[str, Any]](), dict[str, Any]()
        if epochs:
            history, found, *others = self._fine_tuned(raw, head, epochs, contenders[0])
            contenders += others
        elif self.cfg.epochs is None:
            self.progress.note(reason)
        winner = min(contenders, key=lambda c: float(c.held_out["nll"]))
        temperature = rs.calibrate(winner.logits[self.valid], self.labels[self.valid])
        probs = hd.softmax(winner.logits / temperature)
        away = rs.distances(units(raw, self.widths), self.learn)
        scores = rs.Scores(probs, cv_probs, self.labels, away)
        seconds = time.perf_counter() - begin
        candidates = {c.name: c.held_out for c in contenders} | {"why": reason or why(contenders, winner)}
        record = self._record(winner, candidates, scores, temperature, history, found, seconds)
        self._write(record, winner, scores, raw)
        return record

    def _write(self, record: ModelRecord, winner: Contender, scores: rs.Scores, raw: Any) -> None:
        """Everything but the record first: a folder with a ``model.json`` is a whole model."""
        rs.write_predictions(self.ws, self.model_id, self.data.content_hash, self.rows, self.classes, scores)
        save_features(self.ws, self.model_id, self.shas, raw, self.widths)
        rs.save_weights(self.ws, self.model_id, winner.state())
        save_record(self.ws, record)
        self.checkpoints.remove()

    def _prepare(self) -> None:
        self.device = choose_device(self.cfg)
        self.threads = self.cfg.threads or torch.get_num_threads()
        torch.set_num_threads(self.threads)
        torch.manual_seed(self.config.seed)
        network: Any = create_network(self.cfg.arch, len(self.classes), self.cfg.weights)
        self.spec = preprocess_of(self.cfg.arch, self.cfg.size)
        with one_core():
            check(network, self.cfg.arch, self.cfg.size)
        self.network: Any = network.to(self.device, memory_format=torch.channels_last)
        self.machine = machine_for(self.cfg, network)
        self.bodies = [ft.body_of(network, self.spec) for network in bodies_of(self.network)]
        self.widths = [body.width for body in self.bodies]
        self.cache = PixelCache(self.ws, self.spec)
        self.batch_size = self.cfg.batch_size or _batch_size(int(self.learn.sum()))
        at_once = forward_at_once(self.device, self.cfg.size)
        self.chunks = Chunks(max(at_once, self.batch_size), self.progress, forward=at_once)
        self.checkpoints = Checkpoints(self.ws, self.model_id)

    def _cross_validated(self, features: Any) -> tuple[Any, hd.LinearHead, float]:
        """Out-of-sample scores for all images, the training images' head at the strength that was best for them, and its
        cross-validated error on them: the images that the model is judged by have no part in that choice.
        """
        self.progress.start("linear head, cross-validated", None)
        learn, k = self.learn, len(self.classes)
        chosen = hd.choose_strength(features[learn], self.labels[learn], self.folds[learn], k)
        self.strength = chosen.strength
        cv_probs = hd.cross_validate(features, self.labels, self.folds, k, (chosen.strength,))[0]
        return cv_probs, hd.fit_head(features[learn], self.labels[learn], k, chosen.strength), chosen.error

    def _linear_head(self, features: Any, head: hd.LinearHead) -> Contender:
        """The head fitted on the training images, put into the network."""
        set_head(self.network, head.weight, head.bias)
        state = {k: v.clone() for k, v in self.network.state_dict().items()}
        found = self._contender("linear_head", self.cfg.arch, head.logits(features), lambda: state)
        self.progress.note(
            f"linear head: {many(found.held_out['errors'], 'error')} in {many(found.held_out['n'], 'validation image')}, "
            f"loss {found.held_out['nll']:.3f}"
        )
        return found

    def _fine_tuned(
        self, raw: Any, head: hd.LinearHead, epochs: int, linear: Contender
    ) -> tuple[list[dict[str, Any]], dict[str, Any], Contender, Contender]:
        """Fine-tune the first of the networks: history, what the rate finder found, it alone, and it beside the others."""
        network = self._to_tune(raw, head)
        task = self._task(network, epochs)
        frozen = self.cfg.freeze if self.cfg.weights != "none" else 0.0
        place, words = self.checkpoints.find()
        if words:
            self._remember(words)
        if place is None:
            place = Place(found=find_rate(task, network, frozen))
        else:
            self.checkpoints.restore_network(network)
        plan = phases(task.config, self.cfg.lr or place.found["chosen"], frozen)
        history = fine_tune(task, network, plan, self.checkpoints, place)
        with learning(task, network):
            logits = predict_logits(task, network, self.shas)
        arch = parts(self.cfg.arch)[0]
        alone = self._contender("fine_tuned", arch, logits, network.state_dict)
        both = self._contender(
            "mean_of_both",
            f"{self.cfg.arch}+{arch}",
            (linear.logits + logits) / 2,
            lambda: mean_network(self.cfg.arch, linear.state(), network, len(self.classes)).state_dict(),
        )
        return history, place.found, alone, both

    def _to_tune(self, raw: Any, head: hd.LinearHead) -> Any:
        """The network that is fine-tuned, with a head that fits: the only one, or a copy of the first of several."""
        if len(self.bodies) == 1:
            return self.network
        k, width, learn = len(self.classes), self.widths[0], self.learn
        network: Any = build(parts(self.cfg.arch)[0], k)
        network.load_state_dict(self.bodies[0].network.state_dict(), strict=False)
        own = hd.fit_head(raw[learn][:, :width], self.labels[learn], k, head.strength)
        set_head(network, own.weight, own.bias)
        return network.to(self.device, memory_format=torch.channels_last).eval()

    def _task(self, network: Any, epochs: int) -> Task:
        """What is learnt from, on what and how; the front that stays frozen is cut off where the network is a chain."""
        freeze(network, self.cfg.freeze if self.cfg.weights != "none" else 0.0)
        self.cache.fill(self.shas, self.progress)
        return Task(
            self.cache, self.spec, self.cfg.model_copy(update={"epochs": epochs}), self.machine, self.config.seed,
            [s for s, k in zip(self.shas, self.learn, strict=True) if k], self.labels[self.learn],
            [s for s, k in zip(self.shas, self.valid, strict=True) if k], self.labels[self.valid],
            self.progress, self.batch_size, self.chunks, chain=self.bodies[0].chain,
        )  # fmt: skip

    def _remember(self, words: str) -> None:
        """Tell it now, and keep it with the model."""
        self.notes.append(words)
        self.progress.note(words)

    def _contender(self, name: str, arch: str, logits: Any, state: Any) -> Contender:
        held_out = rs.judge(hd.softmax(logits[self.valid]), self.labels[self.valid])
        return Contender(name, arch, logits, held_out, state)

    def _record(
        self, winner: Contender, candidates: dict[str, Any], scores: rs.Scores, temperature: float,
        history: list[dict[str, Any]], found: dict[str, Any], seconds: float,
    ) -> ModelRecord:  # fmt: skip
        valid, y = self.valid, self.labels
        return ModelRecord(
            id=self.model_id, arch=winner.arch, weights=self.cfg.weights, classes=self.classes,
            preprocess=self.spec, dataset_revision=int(self.data.extra["revision"]),
            dataset_hash=self.data.content_hash, seed=self.config.seed, threads=self.threads,
            device=self.device.type, config=self.config.part("train"), winner=winner.name,
            candidates=candidates, temperature=temperature, history=history, lr_find=found,
            metrics={"valid": rs.measure(scores.probs[valid], y[valid]), "cv": rs.measure(scores.cv_probs, y) | {"strength": self.strength}},
            ood={"quantile99": float(np.quantile(scores.distances[valid], 0.99))},
            created_at=datetime.now(UTC).isoformat(), seconds=seconds,
            machine=facts(self.machine, self.batch_size, self.chunks) | {"notes": self.notes + self.chunks.notes},
        )  # fmt: skip


def _batch_size(images: int) -> int:
    """8 to 64, so that an epoch has some 25 steps: at equal cost, small sets learn far more from many small steps."""
    return next(size for size in (8, 16, 32, 64) if images <= 48 * size or size == 64)
