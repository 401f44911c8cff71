"""Sets of pictures whose labels are known, and label errors planted in them by seed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keepset import manifests
from keepset.config import RunConfig, parse_config
from keepset.manifests import Header
from keepset.workspace import Workspace

__all__ = ["Built", "Condition", "Rows", "built", "conditions", "pictures", "planted", "write"]

RATES = (0.05, 0.10)
KINDS = ("pairwise", "uniform")
CHECKOUT = Path(__file__).resolve().parents[2]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Condition:
    """One set, share of wrong labels, kind of noise and seed."""

    data: str
    rate: float
    kind: str
    seed: int


@dataclass(frozen=True)
class Built:
    """A workspace that the product's own stages have filled, and its rows without copies, rightly labelled."""

    ws: Workspace
    config: RunConfig
    clean: Rows


def conditions(sets: list[str], seeds: int) -> Iterator[Condition]:
    """The first seed of everything first."""
    for seed in range(seeds):
        for name in sets:
            for rate in RATES:
                for kind in KINDS:
                    yield Condition(name, rate, kind, seed)


def pictures(name: str, folder: Path, per_class: int) -> Path | None:
    """The folder with one folder of pictures a class; None if there are no photos on this machine."""
    if name == "drawn":
        return _drawn(folder, per_class)
    photos = Path(os.environ.get("KEEPSET_PHOTOS", CHECKOUT.parent / "shared" / "photos")) / "bears"
    if not photos.is_dir():
        print(f"skipped: no photos at {photos}; set KEEPSET_PHOTOS")
        return None
    return photos


def _drawn(folder: Path, per_class: int) -> Path:
    """Drawn pictures of 43 x 32 pixels under noise: a head on frozen features gets about 1 in 11 wrong.

    As they are drawn no model gets one wrong, every ranking is perfect, and nothing can be compared.
    """
    from PIL import Image

    from keepset.demo.draw import CLASSES, draw

    for label in CLASSES:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            small = np.asarray(draw(label, 500_000 + i).resize((43, 32)), dtype=np.float64)
            noise = np.random.default_rng([CLASSES.index(label), i]).normal(0, 60, small.shape)
            picture = Image.fromarray(np.clip(small + noise, 0, 255).astype(np.uint8))
            picture.save(folder / label / f"{i:04d}.png")
    return folder


def built(name: str, source: Path, root: Path, epochs: int) -> Built:
    """Fill ``root`` by the product's own stages; what stands there already is not done again."""
    from keepset.engine import Engine
    from keepset.pipeline import build
    from keepset.train import train

    classes = {d.name: {"folders": [str(d)]} for d in sorted(source.iterdir()) if d.is_dir()}
    facts = {"name": name, "seed": 1, "classes": classes, "train": {"epochs": epochs}}
    config = parse_config(facts, base=root.parent)
    ws = Workspace.create(root, name)
    ws.save_config(config)
    for result in build(ws, config, engine=Engine.of_this_machine()):
        print(f"{name}: {result.message}", flush=True)
    train(ws, config)  # fills the cache of features, which every condition then copies
    rows = manifests.read(ws.dataset(1), "dataset").rows()
    return Built(ws, config, [r | {"active": r["dup_of"] is None and not r["other_labels"]} for r in rows])


def planted(rows: Rows, labels: tuple[str, ...], condition: Condition) -> tuple[Rows, set[str]]:
    """The rows with a share of the active ones mislabelled, and which (sha256)."""
    kind = ("uniform", "pairwise").index(condition.kind)
    rng = np.random.default_rng([condition.seed, int(condition.rate * 100), kind])
    active = [i for i, r in enumerate(rows) if r["active"]]
    chosen = rng.choice(active, round(condition.rate * len(active)), replace=False)
    new, wrong = [dict(r) for r in rows], set()
    for i in chosen.tolist():
        step = 1 if condition.kind == "pairwise" else int(rng.integers(1, len(labels)))
        new[i]["label"] = labels[(labels.index(rows[i]["label"]) + step) % len(labels)]
        wrong.add(rows[i]["sha256"])
    return new, wrong


def write(ws: Workspace, rows: Rows) -> None:
    """The rows as the next revision."""
    n = ws.revisions()[-1] + 1
    extra = {"revision": n, "before": n - 1, "cause": "bench"}
    header = Header("dataset", "bench", f"bench-{n}", extra=extra)
    manifests.write(ws.dataset(n), rows, header, exclusive=True)
