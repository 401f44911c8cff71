"""More data, or cleaner data? The report's advice against doing both.

    python -m bench.review.gain [--work DIR] [--seeds N ...] [--json OUT]

Frozen features of small pictures, and of the bears where ``KEEPSET_PHOTOS`` has them. A set is drawn with wrong labels
planted at random, between two classes, or by pictures of another set; Keepset's own review proposes, and the advice is given.
Then both are done: a reviewer who knows the truth decides on every proposed picture, and as many new pictures, equally
noisy, are added. Heads trained on each are judged on pictures with right labels that had no part in anything.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.train.pictures import CHECKOUT, folder_of
from keepset import manifests
from keepset.config import TrainConfig, parse_config
from keepset.files import write_bytes
from keepset.interpret.gain import more_or_cleaner
from keepset.manifests import Header
from keepset.stages import SILENT
from keepset.train.head import choose_strength, cross_validate, fit_head, softmax
from keepset.workspace import Workspace

OUT = CHECKOUT / "bench" / "out" / "gain"
SETS = ("polygons", "digits", "drawn", "bears")
PX, MOST = 96, 660
SIZES = (80, 160)
NOISES = (("none", 0.0), ("uniform", 0.05), ("uniform", 0.15), ("uniform", 0.3), ("pairwise", 0.15), ("foreign", 0.15))


@dataclass(frozen=True)
class Pool:
    """Pictures with right labels: ``features`` [n, d], ``labels`` [n]."""

    name: str
    features: Any
    labels: Any
    classes: tuple[str, ...]


def pool(name: str, work: Path) -> Pool | None:
    """Features are computed once."""
    folder = folder_of(name, work)
    if folder is None:
        return None
    bad = _bad(folder) if name == "bears" else set()
    paths = [p for p in sorted(folder.glob("*/*")) if f"{p.parent.name}/{p.name}" not in bad]
    paths = [paths[i] for i in np.random.default_rng(1).permutation(len(paths))[:MOST]]
    classes = tuple(sorted({p.parent.name for p in paths}))
    stored = work / f"{name}.npy"
    if not stored.exists():
        np.save(stored, _features(paths))
    return Pool(name, np.load(stored), np.array([classes.index(p.parent.name) for p in paths]), classes)


def _bad(folder: Path) -> set[str]:
    truth = folder.parent / "truth" / "bears.csv"
    with truth.open(newline="") as f:
        return {r["file"] for r in csv.DictReader(f)}


def _features(paths: list[Path]) -> Any:
    from keepset.train.features import of_packaged

    with tempfile.TemporaryDirectory() as scratch:
        ws = Workspace.create(Path(scratch) / "ws", "features")
        shas = []
        for p in paths:
            data = p.read_bytes()
            shas.append(hashlib.sha256(data).hexdigest())
            write_bytes(ws.blob(shas[-1]), data)
        return of_packaged(ws, "lite0", shas, config=TrainConfig(size=PX))


@dataclass(frozen=True)
class Trial:
    """``true`` is -1 for a picture of another set. The first ``n`` pictures are there; as many more can be had."""

    features: Any
    given: Any
    true: Any
    test_features: Any
    test_labels: Any
    n: int
    seed: int
    classes: tuple[str, ...]


def trial(p: Pool, other: Pool, kind: str, rate: float, n: int, seed: int) -> Trial:
    rng = np.random.default_rng([seed, n, int(100 * rate), len(kind)])
    order = rng.permutation(len(p.labels))
    here, rest = order[: 2 * n], order[2 * n :]
    features, true, k = p.features[here].copy(), p.labels[here].copy(), len(p.classes)
    given, wrong = true.copy(), rng.random(2 * n) < rate
    if kind == "uniform":
        given[wrong] = (true[wrong] + rng.integers(1, k, int(wrong.sum()))) % k
    elif kind == "pairwise":
        given[wrong] = (true[wrong] + 1) % k
    elif kind == "foreign":
        features[wrong] = other.features[rng.integers(len(other.labels), size=int(wrong.sum()))]
        true[wrong] = -1
    return Trial(features, given, true, p.features[rest], p.labels[rest], n, seed, p.classes)


def measured(t: Trial, scratch: Path) -> dict[str, Any]:
    """The advice, and the test error as it is, after the review, and with twice the pictures."""
    n, folds = t.n, np.arange(t.n) % 5
    found, proposed = _reviewed(t, folds, scratch)
    fixed = np.where(proposed, t.true[:n], t.given[:n])
    return {
        "answer": found["answer"], "said": found,
        "now": _error(t, t.features[:n], t.given[:n]),
        "cleaner": _error(t, t.features[:n][fixed >= 0], fixed[fixed >= 0]),
        "more": _error(t, t.features, t.given),
        "proposed": int(proposed.sum()), "wrong": int((t.given != t.true)[:n].sum()),
    }  # fmt: skip


def _error(t: Trial, features: Any, labels: Any) -> float:
    folds = np.arange(len(labels)) % 5
    chosen = choose_strength(features, labels, folds, len(t.classes))
    head = fit_head(features, labels, len(t.classes), chosen.strength)
    return float((head.logits(t.test_features).argmax(1) != t.test_labels).mean())


def _reviewed(t: Trial, folds: Any, root: Path) -> tuple[Any, Any]:
    """The advice for a workspace with these features, after Keepset's review, and which pictures a person is shown, [n]."""
    from keepset.models import load_record
    from keepset.review import review

    classes = {label: {"pages": [f"http://127.0.0.1:9/{i}"]} for i, label in enumerate(t.classes)}
    config = parse_config({"name": "bench", "seed": t.seed, "classes": classes}, base=root)
    ws = Workspace.create(root / "ws", "bench")
    ws.save_config(config)
    shas = [hashlib.sha256(f"{t.seed} {i}".encode()).hexdigest() for i in range(t.n)]
    _write(ws, t, folds, shas)
    batch = review(ws, config).outputs.get("batch_id", "")
    shown = set()
    if batch:
        from keepset.review import load_batch

        shown = {r["sha256"] for r in load_batch(ws, batch).candidates().rows()}
    advice = more_or_cleaner(ws, load_record(ws, "0" * 16), SILENT)["gain"]
    return advice, np.array([s in shown for s in shas])


def _write(ws: Workspace, t: Trial, folds: Any, shas: list[str]) -> None:
    """Data set, images, predictions, features and the record of a model, as the stages leave them."""
    from keepset.models.features import save

    k, features, given = len(t.classes), t.features[: t.n], t.given[: t.n]
    strength = choose_strength(features, given, folds, k).strength
    probs = cross_validate(features, given, folds, k, (strength,))[0]
    kept = softmax(fit_head(features, given, k, strength).logits(features))
    names, rows, images, said = t.classes, [], [], []
    for i, sha in enumerate(shas):
        label = names[given[i]]
        images.append({
            "sha256": sha, "label": label, "other_labels": [], "status": "ok", "warnings": [], "url": f"http://127.0.0.1:9/{i}.jpg",
            "copies": 1, "source": "list", "format": "jpeg", "mode": "RGB", "width": 500, "height": 400, "frames": 1,
            "bytes": 50_000, "phash": i, "pixel_hash": sha, "brightness": 0.5, "contrast": 0.2, "sharpness": 300.0,
            "entropy": 6.5, "group_id": sha,
        })  # fmt: skip
        rows.append({
            "sha256": sha, "label": label, "given_label": label, "other_labels": [], "split": "valid" if i % 5 == 0 else "train",
            "fold": int(folds[i]), "group_id": sha, "active": True, "added_in": 1,
        })  # fmt: skip
        said.append({
            "sha256": sha, "label": label, "split": rows[-1]["split"], "predicted": names[int(kept[i].argmax())],
            "loss": float(-np.log(kept[i][given[i]])), "model_probs": kept[i].tolist(), "ood_distance": 0.1,
            "cv_predicted": names[int(probs[i].argmax())], "cv_loss": float(-np.log(probs[i][given[i]])), "cv_probs": probs[i].tolist(),
        })  # fmt: skip
    manifests.write(ws.images, images, Header("images", "validate", "bench"))
    extra = {"revision": 1, "before": 0, "cause": "split"}
    data = manifests.write(ws.dataset(1), rows, Header("dataset", "split", "bench", extra=extra))
    model = "0" * 16
    manifests.write(
        ws.models / model / "predictions.parquet",
        said,
        Header("predictions", "train", model, {"dataset": data.content_hash}),
    )
    save(ws, model, shas, features, [features.shape[1]])
    record = {
        "id": model, "arch": "lite0", "weights": "none", "classes": list(names),
        "preprocess": {"resize": PX, "crop": PX, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"},
        "dataset_revision": 1, "dataset_hash": data.content_hash, "seed": t.seed, "threads": 1, "device": "cpu", "config": {"train": {"arch": "lite0"}},
        "winner": "linear_head", "candidates": {}, "temperature": 1.0, "metrics": {}, "history": [], "lr_find": {},
        "ood": {"quantile99": 0.25}, "created_at": "2026-01-01T00:00:00+00:00", "seconds": 1.0,
    }  # fmt: skip
    write_bytes(ws.models / model / "model.json", json.dumps(record).encode())
    ws.promote(model, "bench")


def trials(work: Path, seeds: list[int]) -> Iterator[dict[str, Any]]:
    pools = [p for name in SETS if (p := pool(name, work)) is not None]
    for seed in seeds:
        for i, p in enumerate(pools):
            for kind, rate in NOISES:
                for n in SIZES:
                    with tempfile.TemporaryDirectory() as scratch:
                        t = trial(p, pools[i - 1], kind, rate, n, seed)
                        yield {"set": p.name, "noise": kind, "rate": rate, "n": n, "seed": seed} | measured(
                            t, Path(scratch)
                        )


def table(found: list[dict[str, Any]]) -> str:
    """What was said, and what each way of spending the work did to the test error, as Markdown."""
    lines = [
        "| wrong labels | sets | advice: cleaner / more / either / neither | error now | reviewed | twice as many | by the advice | by the better of both |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups = [
        (f"{kind} {rate:.0%}", [f for f in found if (f["noise"], f["rate"]) == (kind, rate)]) for kind, rate in NOISES
    ]
    for name, mine in [*groups, ("all", found)]:
        if not mine:
            continue
        said = [sum(f["answer"] == a for f in mine) for a in ("cleaner", "more", "either", "neither")]
        means = [np.mean([f[k] for f in mine]) for k in ("now", "cleaner", "more")]
        taken = np.mean([f[{"either": "cleaner", "neither": "now"}.get(f["answer"], f["answer"])] for f in mine])
        best = np.mean([min(f["cleaner"], f["more"]) for f in mine])
        cells = [name, str(len(mine)), " / ".join(map(str, said)), *(f"{100 * v:.1f} %" for v in (*means, taken, best))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, default=OUT)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="what is usual was taken from seed 0")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    found = []
    for f in trials(args.work, args.seeds):
        found.append(f)
        if args.json:
            args.json.write_text(json.dumps(found), encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
