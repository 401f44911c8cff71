"""Planted label errors: how many images must a person look at to find them? All rankings in one run.

    python bench/review/planted.py [--sets drawn,photos] [--seeds 3] [--epochs 0] [--out docs/benchmarks-review.md]

For each set, 5 and 10 % of the labels are changed, uniformly (to any other class) or pairwise (each class to
the next). Each time a model is trained on the wrong labels by the product's own stage, and four rankings are
made from what that one model says:

* keepset   what ``keepset review`` ranks label issues by
* cleanlab  cleanlab's self-confidence on the out-of-sample probabilities alone
* ridge     the other of the two scorers alone
* rule      the published rule of fastai's ``ImageClassifierCleaner`` on our model: by loss, validation images
            with their held-out loss and training images with their in-sample loss. Its lists (one a class
            and split, 30 images at most) are merged by loss and not cut, which is kind to it
* fastai    fastai itself, with ``--fastai PYTHON`` (an interpreter that has it), for the first seed: its own
            ``fine_tune(4)`` on the same images, split, labels and pretrained weights, and the losses its cleaner
            sorts by, merged in the same kind way

Real photos: ``KEEPSET_PHOTOS`` or ``../shared/photos``; skipped with a message if they are not there. Errors that
were in them before are not counted as found, for any ranking.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keepset import manifests
from keepset.config import RunConfig, parse_config
from keepset.manifests import Header
from keepset.workspace import Workspace

RATES = (0.05, 0.10)
KINDS = ("uniform", "pairwise")
RANKINGS = ("keepset", "cleanlab", "ridge", "rule", "fastai")
Rows = list[dict[str, Any]]
Built = tuple[Workspace, RunConfig, Rows]
CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """One set, rate, kind of noise and seed: by ranking, average precision and looks to find 90 %."""

    data: str
    rate: float
    kind: str
    seed: int
    images: int
    errors: int
    precision: dict[str, float]
    looks: dict[str, int]

    @property
    def key(self) -> tuple[str, float, str, int]:
        return self.data, self.rate, self.kind, self.seed


def main() -> None:
    """All sets without fastai first (minutes), then fastai for each set's first seed (some minutes each).

    The table is written anew after each result, so that a run that is stopped has said what it knows.
    """
    args = _arguments()
    results: list[Result] = []
    begin = time.perf_counter()

    def add(result: Result) -> None:
        results[:] = [r for r in results if r.key != result.key] + [result]
        print(_line([result]), flush=True)
        if args.out:
            Path(args.out).write_text(_table(results, args, time.perf_counter() - begin), encoding="utf-8")

    with tempfile.TemporaryDirectory() as scratch:
        built = {
            name: _built(name, folder, Path(scratch) / name, args)
            for name in args.sets.split(",")
            if (folder := _pictures(name)) is not None
        }
        for fastai in ["", args.fastai] if args.fastai else [""]:
            for name, (ws, config, clean) in built.items():
                for condition in _conditions(1 if fastai else args.seeds):
                    add(_measured(name, ws, config, clean, condition, fastai))
    print(_table(results, args, time.perf_counter() - begin))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", default="drawn,photos")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=0, help="fine-tuning epochs of the model")
    parser.add_argument("--per-class", type=int, default=80, help="pictures a class of the drawn set")
    parser.add_argument("--fastai", default="", help="a Python that has fastai, e.g. bench/.venv/bin/python")
    parser.add_argument("--out", default="")
    return parser.parse_args()


# -- the sets ---------------------------------------------------------------------------------------------


def _pictures(name: str) -> Path | None:
    """Folder with one folder of pictures a class; None for the drawn set means: draw them."""
    if name == "drawn":
        return Path()
    folder = Path(os.environ.get("KEEPSET_PHOTOS", CHECKOUT.parent / "shared" / "photos")) / "bears"
    if not folder.is_dir():
        print(f"skipped: no photos at {folder}; set KEEPSET_PHOTOS")
        return None
    return folder


def _drawn(folder: Path, per_class: int) -> Path:
    """Drawn pictures of 43 x 32 pixels under noise: a head on frozen features gets about 1 in 11 wrong.

    As they are drawn no model gets one wrong, every ranking is perfect, and nothing can be compared.
    """
    from PIL import Image

    from keepset.demo.draw import CLASSES, draw

    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for i in range(per_class):
            small = np.asarray(draw(label, 500_000 + i).resize((43, 32)), dtype=np.float64)
            noise = np.random.default_rng([CLASSES.index(label), i]).normal(0, 60, small.shape)
            picture = Image.fromarray(np.clip(small + noise, 0, 255).astype(np.uint8))
            picture.save(folder / label / f"{i:04d}.png")
    return folder


def _built(name: str, folder: Path, scratch: Path, args: argparse.Namespace) -> Built:
    """A workspace that the product's own stages have filled from the folders, and its rows without copies."""
    from keepset.engine import Engine
    from keepset.pipeline import build

    source = _drawn(scratch / "drawn", args.per_class) if name == "drawn" else folder
    classes = {d.name: {"folders": [str(d)]} for d in sorted(source.iterdir()) if d.is_dir()}
    config = parse_config(
        {"name": name, "seed": 1, "classes": classes, "train": {"epochs": args.epochs}}, base=scratch
    )
    ws = Workspace.create(scratch / "ws", name)
    ws.save_config(config)
    for result in build(ws, config, engine=Engine.of_this_machine()):
        print(f"{name}: {result.message}", flush=True)
    return ws, config, _without_copies(ws)


# -- the conditions ---------------------------------------------------------------------------------------


def _conditions(seeds: int) -> Iterator[tuple[float, str, int]]:
    for rate in RATES:
        for kind in KINDS:
            for seed in range(seeds):
                yield rate, kind, seed


def _without_copies(ws: Workspace) -> Rows:
    """The first revision's rows with only the best image of each duplicate group active."""
    rows = ws.current_dataset().rows()
    return [r | {"active": r["dup_of"] is None and not r["other_labels"]} for r in rows]


def _planted(rows: Rows, labels: tuple[str, ...], rate: float, kind: str, seed: int) -> tuple[Rows, set[str]]:
    rng = np.random.default_rng([seed, int(rate * 100), KINDS.index(kind)])
    active = [i for i, r in enumerate(rows) if r["active"]]
    chosen = rng.choice(active, round(rate * len(active)), replace=False)
    new, wrong = [dict(r) for r in rows], set()
    for i in chosen.tolist():
        step = 1 if kind == "pairwise" else int(rng.integers(1, len(labels)))
        new[i]["label"] = labels[(labels.index(rows[i]["label"]) + step) % len(labels)]
        wrong.add(rows[i]["sha256"])
    return new, wrong


def _write(ws: Workspace, rows: Rows) -> None:
    n = ws.revisions()[-1] + 1
    extra = {"revision": n, "before": n - 1, "cause": "bench"}
    manifests.write(
        ws.dataset(n), rows, Header("dataset", "bench", f"bench-{n}", extra=extra), exclusive=True
    )


def _measured(
    name: str, ws: Workspace, config: RunConfig, clean: Rows, condition: tuple[float, str, int], fastai: str
) -> Result:
    from sklearn.metrics import average_precision_score

    from keepset.train import train

    rows, wrong = _planted(clean, config.labels, *condition)
    _write(ws, rows)
    train(ws, config)
    shas, scores = _rankings(ws, config)
    if fastai:
        scores["fastai"] = _by_fastai(ws, shas, fastai)
    bad = np.array([s in wrong for s in shas])
    return Result(
        name, *condition, images=len(shas), errors=int(bad.sum()),
        precision={k: float(average_precision_score(bad, v)) for k, v in scores.items()},
        looks={k: _looks(bad, v) for k, v in scores.items()},
    )  # fmt: skip


def _rankings(ws: Workspace, config: RunConfig) -> tuple[list[str], dict[str, np.ndarray]]:
    """Scores by ranking (higher: sooner looked at), all in the order of the sha256s returned."""
    from keepset.review.evidence import gather
    from keepset.review.scores import label_scores

    evidence = gather(ws, config)
    ours = label_scores(evidence)
    assert ours is not None
    predicted = manifests.read(ws.models / evidence.model_id / "predictions.parquet", "predictions").rows()
    losses = {r["sha256"]: r["loss"] for r in predicted}
    loss = np.array([losses[s] for s in ours.sha256])
    return ours.sha256, {"keepset": ours.score, "cleanlab": ours.cv, "ridge": ours.ridge, "rule": loss}


def _by_fastai(ws: Workspace, shas: list[str], python: str) -> np.ndarray:
    """The losses that fastai's own cleaner sorts by, after its own training, in the order of ``shas``."""
    import torch

    from keepset.train.weights import create_network

    rows = {r["sha256"]: r for r in ws.current_dataset().rows()}
    with tempfile.TemporaryDirectory() as scratch:
        table, weights, out = (Path(scratch) / n for n in ("rows.csv", "weights.pt", "losses.csv"))
        with table.open("w", newline="") as f:
            writer = csv.writer(f)
            writer.writerow(["path", "label", "valid"])
            writer.writerows([ws.blob(s), rows[s]["label"], int(rows[s]["split"] == "valid")] for s in shas)
        state = create_network("tf_efficientnet_lite0", 2, "packaged").state_dict()
        torch.save({k: v for k, v in state.items() if not k.startswith("classifier")}, weights)
        script = Path(__file__).with_name("fastai_cleaner.py")
        subprocess.run([python, script, table, weights, out], check=True)
        with out.open(newline="") as f:
            loss = {Path(r["path"]).name: float(r["loss"]) for r in csv.DictReader(f)}
    return np.array([loss[s] for s in shas])


def _looks(bad: np.ndarray, score: np.ndarray, share: float = 0.9) -> int:
    """Images to look at, the highest score first, until ``share`` of the bad ones are found."""
    found = np.cumsum(bad[np.argsort(-score, kind="stable")])
    return int(np.searchsorted(found, np.ceil(share * bad.sum())) + 1)


# -- telling ----------------------------------------------------------------------------------------------


_LEGEND = """\
* *keepset*: what `keepset review` ranks label issues by; *cleanlab* and *ridge* are its two halves, each alone.
* *rule*: fastai's cleaner's rule (by loss, held-out for validation and in-sample for training images) on our own,
  strongly regularised model. *fastai*: fastai 2 itself, its own training and its own losses.
* *photos* are scraped and hold real mistakes too, which count as wrong finds here for every ranking. *drawn* pictures
  are made small and noisy: as they come, every ranking on our model is perfect, and nothing can be compared.
"""


def _table(results: list[Result], args: argparse.Namespace, seconds: float) -> str:
    results = sorted(results, key=lambda r: r.key)
    lines = [
        "# Finding planted label errors",
        "",
        "Written by `bench/review/planted.py`; what is compared stands at its top, how Keepset scores in",
        "[reviewing.md](reviewing.md). The method was fixed before the first run and not changed after it. Each cell is",
        "average precision / images to look at, likeliest first, until 90 % of the planted errors are found. Means",
        f"over {args.seeds} seeds (*fastai*: the first seed). Fine-tuning epochs of our model: {args.epochs}. The whole",
        f"run took {seconds:.0f} s.",
        "",
        _LEGEND,
        "| set | images | errors | noise | fewest looks possible | " + " | ".join(RANKINGS) + " |",
        "|---|---|---|---|---|" + "---|" * len(RANKINGS),
        *(_line(g) for g in _groups(results)),
        "",
        "Looks of the others over Keepset's, in the same runs:",
        "",
        "| against | sum of looks | ratio | lowest in one run | highest in one run |",
        "|---|---|---|---|---|",
        *(_ratio(results, k) for k in RANKINGS[1:]),
        "",
    ]
    return "\n".join(lines)


def _groups(results: list[Result]) -> list[list[Result]]:
    found: dict[tuple[str, float, str], list[Result]] = {}
    for r in results:
        found.setdefault((r.data, r.rate, r.kind), []).append(r)
    return list(found.values())


def _line(group: list[Result]) -> str:
    r = group[0]
    head = [r.data, str(r.images), f"{r.errors} ({r.rate:.0%})", r.kind, str(math.ceil(0.9 * r.errors))]
    return "| " + " | ".join([*head, *(_cell(group, k) for k in RANKINGS)]) + " |"


def _cell(group: list[Result], ranking: str) -> str:
    known = [g for g in group if ranking in g.looks]
    if not known:
        return "not run"
    ap, looks = (np.mean([getattr(g, part)[ranking] for g in known]) for part in ("precision", "looks"))
    return f"{ap:.2f} / {looks:.0f}"


def _ratio(results: list[Result], ranking: str) -> str:
    known = [r for r in results if ranking in r.looks]
    if not known:
        return f"| {ranking} | not run | | | |"
    theirs, ours = sum(r.looks[ranking] for r in known), sum(r.looks["keepset"] for r in known)
    each = [r.looks[ranking] / r.looks["keepset"] for r in known]
    return (
        f"| {ranking} | {theirs} against {ours} | {theirs / ours:.2f} | {min(each):.2f} | {max(each):.2f} |"
    )


if __name__ == "__main__":
    main()
