"""The recipe, to be read from top to bottom: frozen features, linear head, rate finder, fine-tuning, the better one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from keepset.config import RunConfig
from keepset.manifests import Header
from keepset.models import ModelRecord, save_record
from keepset.reasons import Split
from keepset.stages import Progress
from keepset.train import features as ft
from keepset.train import head as hd
from keepset.train import parallel
from keepset.train import results as rs
from keepset.train.chain import frozen
from keepset.train.checkpoints import Checkpoints, Place
from keepset.train.finder import find_rate
from keepset.train.fine_tune import fine_tune, learning, phases
from keepset.train.kept import Kept
from keepset.train.layers import freeze
from keepset.train.machine import Chunks, choose_device, facts, forward_at_once, machine_for
from keepset.train.networks import bodies_of, check, set_head
from keepset.train.pixels_cache import PixelCache
from keepset.train.steps import predict_logits
from keepset.train.task import Task
from keepset.train.weights import create_network, preprocess_of
from keepset.workspace import Workspace

__all__ = ["Recipe"]

_THEIRS: Any = (None, None)
"""What a process that does not lead puts in where the leading one's result comes out."""


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
        progress: Progress, identity: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.identity, self.notes = identity, list[str]()
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
        raw = np.concatenate([self._computed(body) for body in self.bodies], axis=1)
        features = ft.taken(raw, self.widths)
        cv_probs, head = parallel.shared(self._cross_validated(features) if parallel.leads() else _THEIRS)
        contenders = [self._linear_head(features, head)]
        history, found = list[dict[str, Any]](), dict[str, Any]()
        if self.cfg.epochs:
            history, found, tuned = self._fine_tuned(features)
            contenders.append(tuned)
        winner = min(contenders, key=lambda c: float(c.held_out["nll"]))
        temperature = rs.calibrate(winner.logits[self.valid], self.labels[self.valid])
        probs = hd.softmax(winner.logits / temperature)
        scores = rs.Scores(probs, cv_probs, self.labels, rs.distances(features, self.learn))
        seconds = time.perf_counter() - begin
        record = self._record(winner, contenders, scores, temperature, history, found, seconds)
        if parallel.leads():
            self._write(record, winner, scores, raw)
        return record

    def _computed(self, body: ft.Body) -> Any:
        kept = self.kept if len(self.bodies) == 1 else None
        return ft.compute(self.cache, body, self.shas, self.chunks, kept)

    def _write(self, record: ModelRecord, winner: _Contender, scores: rs.Scores, raw: Any) -> None:
        """Everything but the record first: a folder with a ``model.json`` is a whole model."""
        rs.write_predictions(self.ws, self.model_id, self.data.content_hash, self.rows, self.classes, scores)
        ft.save(self.ws, self.model_id, self.shas, raw, self.widths)
        rs.save_weights(self.ws, self.model_id, winner.state)
        save_record(self.ws, record)
        self.checkpoints.remove()

    def _prepare(self) -> None:
        self.device = choose_device(self.cfg)
        self.threads = self.cfg.threads or torch.get_num_threads()
        torch.set_num_threads(self.threads)
        torch.manual_seed(self.config.seed)
        network: Any = create_network(self.cfg.arch, len(self.classes), self.cfg.weights)
        self.spec = preprocess_of(self.cfg.arch, self.cfg.size)
        check(network, self.cfg.arch, self.cfg.size)
        self.network: Any = network.to(self.device, memory_format=torch.channels_last)
        self.machine = machine_for(self.cfg, network)
        self.bodies = [ft.body_of(network, self.spec) for network in bodies_of(self.network)]
        self.widths = [body.width for body in self.bodies]
        self.chain = self.bodies[0].chain if len(self.bodies) == 1 else None
        self.frozen = self.cfg.freeze if self.cfg.weights != "none" else 0.0
        freeze(self.network, self.frozen)
        self.apart = frozen(self.network) if self.chain and self.cfg.epochs else 0
        if self.chain and not self.chain.fits(self.network, self.apart):
            self.apart = 0
        self.kept = self._kept()
        self.cache = PixelCache(self.ws, self.spec)
        self.batch_size = self.cfg.batch_size or _batch_size(int(self.learn.sum()))
        at_once = forward_at_once(self.device, self.cfg.size)
        self.chunks = Chunks(max(at_once, self.batch_size), self.progress, forward=at_once)
        self.checkpoints = Checkpoints(self.ws, self._facts())

    def _kept(self) -> Kept | None:
        """Room for what the front that fine-tuning leaves frozen makes of every image, where that pays."""
        if self.chain is None or not self.apart:
            return None
        like = self.chain.like(self.apart)
        return Kept(self.apart, self.shas, like) if Kept.fits(len(self.shas), like) else None

    def _facts(self) -> dict[str, Any]:
        """What a checkpoint must agree with."""
        return {
            **self.identity, "classes": self.classes, "revision": self.data.extra["revision"],
            "dataset_hash": self.data.content_hash, "seed": self.config.seed, "batch_size": self.batch_size,
            "train": self.config.part("train")["train"],
        }  # fmt: skip

    def _cross_validated(self, features: Any) -> tuple[Any, hd.LinearHead]:
        """Out-of-sample scores for all images, and the training images' head at the strength that was best for them:
        the images that the model is judged by have no part in that choice.
        """
        self.progress.start("linear head, cross-validated", None)
        learn, k = self.learn, len(self.classes)
        strength = hd.choose_strength(features[learn], self.labels[learn], self.folds[learn], k)
        cv_probs = hd.cross_validate(features, self.labels, self.folds, k, (strength,))[0]
        return cv_probs, hd.fit_head(features[learn], self.labels[learn], k, strength)

    def _linear_head(self, features: Any, head: hd.LinearHead) -> _Contender:
        """The head fitted on the training images, put into the network."""
        set_head(self.network, head.weight, head.bias)
        state = {k: v.clone() for k, v in self.network.state_dict().items()}
        found = self._contender("linear_head", head.logits(features), state)
        self.progress.note(
            f"linear head: {found.held_out['errors']} errors in {found.held_out['n']} validation images, "
            f"loss {found.held_out['nll']:.3f}"
        )
        return found

    def _fine_tuned(self, features: Any) -> tuple[list[dict[str, Any]], dict[str, Any], _Contender]:
        self.cache.fill(parallel.share(self.shas), self.progress)
        parallel.shared(None)  # until all have filled their share
        task = Task(
            self.cache, self.spec, self.cfg, self.machine, self.config.seed,
            [s for s, k in zip(self.shas, self.learn, strict=True) if k], self.labels[self.learn],
            [s for s, k in zip(self.shas, self.valid, strict=True) if k], self.labels[self.valid],
            self.progress, self.batch_size, self.chunks, chain=self.chain, apart=self.apart,
            kept=self._all_kept(features),
        )  # fmt: skip
        place, words = self.checkpoints.find()
        if words:
            self._remember(words)
        if place is None:
            place = Place(found=find_rate(task, self.network, self.frozen))
        else:
            self.checkpoints.restore_network(self.network)
        plan = phases(self.cfg, self.cfg.lr or place.found["chosen"], self.frozen)
        history = fine_tune(task, self.network, plan, self.checkpoints, place)
        with learning(task, self.network):
            logits = predict_logits(task, self.network, self.shas)
        return history, place.found, self._contender("fine_tuned", logits, self.network.state_dict())

    def _all_kept(self, features: Any) -> dict[int, Kept]:
        """By number of blocks: what the frozen front makes of every image, and what the whole chain does."""
        if self.kept is None or self.chain is None:
            return {}
        if not self.kept.whole:
            ft.keep(self.cache, self.chain, self.bodies[0], self.shas, self.chunks, self.kept)
        count = len(self.chain.copies)
        like = self.chain.like(count)
        body = Kept(count, self.shas, like)
        if like.numel() == features.shape[1]:
            body.add(torch.from_numpy(features).reshape(len(features), *like.shape[1:]))
        return {self.kept.count: self.kept, body.count: body}

    def _remember(self, words: str) -> None:
        """Tell it now, and keep it with the model."""
        self.notes.append(words)
        self.progress.note(words)

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
            device=self.device.type, config=self.config.part("train"), winner=winner.name,
            candidates={c.name: c.held_out for c in contenders} | {"why": _why(contenders, winner)},
            temperature=temperature, history=history, lr_find=found,
            metrics={"valid": rs.measure(scores.probs[valid], y[valid]), "cv": rs.measure(scores.cv_probs, y)},
            ood={"quantile99": float(np.quantile(scores.distances[valid], 0.99))},
            created_at=datetime.now(UTC).isoformat(), seconds=seconds,
            machine=facts(self.machine, self.batch_size, self.chunks, parallel.world()) | {"notes": self.notes + self.chunks.notes},
        )  # fmt: skip


def _batch_size(images: int) -> int:
    """8 to 64, so that an epoch has some 25 steps: at equal cost, small sets learn far more from many small steps."""
    return next(size for size in (8, 16, 32, 64) if images <= 48 * size or size == 64)


def _why(contenders: list[_Contender], winner: _Contender) -> str:
    if len(contenders) == 1:
        return "Fine-tuning was not asked for ([train] epochs = 0)."
    linear, tuned = (float(c.held_out["nll"]) for c in contenders)
    verb = "beats" if winner.name == "fine_tuned" else "does not beat"
    return f"Fine-tuning {verb} the linear head on held-out loss ({tuned:.3f} against {linear:.3f} nats)."
