"""Does the report's diagnosis name what went wrong in training, and keep quiet where nothing did?

    python -m bench.train.diagnosis [--work DIR] [--json OUT]

The product's own trainings on small pictures, of which some are made to go wrong: a learning rate that is far too high or
too low, too few or far too many epochs, wrong labels, few pictures. Every training is kept in ``--work`` as one JSON file
with its course and its error on 200 test pictures that it never saw, so a change of a rule is judged again within a second.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.train.pictures import folder_of
from keepset import manifests
from keepset.config import parse_config
from keepset.files import write_bytes
from keepset.interpret.diagnosis import diagnose
from keepset.manifests import Header
from keepset.workspace import Workspace

CHECKOUT = Path(__file__).resolve().parents[2]
OUT = CHECKOUT / "bench" / "out" / "diagnosis"
SETS = ("polygons", "digits")
SEEDS = (0, 1)
PX, TRAIN, VALID, TEST = 64, 120, 100, 200


@dataclass(frozen=True)
class Case:
    """A training, and the finding that names what is wrong with it; ``want`` is empty where nothing is."""

    name: str
    want: str
    train: dict[str, Any] = field(default_factory=dict)
    images: int = TRAIN
    wrong: float = 0.0
    sets: tuple[str, ...] = SETS


UNTAUGHT = {"arch": "test_resnet", "weights": "none", "head_epochs": 0, "freeze": 0.0, "batch_size": 8}
CASES = (
    Case("as it comes", ""),
    Case("4 epochs", "", {"epochs": 4}),
    Case("8 epochs", "", {"epochs": 8}),
    Case("rate 0.03", "rate_too_high", {"epochs": 2, "lr": 0.03}),
    Case("rate 1", "rate_too_high", {"epochs": 2, "lr": 1.0}),
    Case("rate 1000", "rate_too_high", {"epochs": 2, "lr": 1e3}),
    Case("rate 1e-7", "rate_too_low", {"epochs": 3, "lr": 1e-7}),
    Case("rate 1e-5", "rate_too_low", {"epochs": 3, "lr": 1e-5}),
    Case("from nothing, 24 epochs", "", UNTAUGHT | {"epochs": 24}, sets=("digits",)),
    Case("20 epochs, a third of the labels wrong", "overfitting, no_gain", {"epochs": 20}, wrong=0.33),
    Case("16 epochs, 40 pictures", "overfitting, no_gain", {"epochs": 16}, images=40, sets=("polygons",)),
)


def trained(case: Case, name: str, seed: int, work: Path) -> dict[str, Any]:
    """The course of one training and its error on the test pictures, from ``work`` if it was done before."""
    said = json.dumps([case.name, case.train, case.images, case.wrong, name, seed, PX, TRAIN, VALID, TEST])
    path = work / f"{hashlib.sha256(said.encode()).hexdigest()[:16]}.json"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=work) as scratch:
            found = _train(case, name, seed, Path(scratch), work)
        write_bytes(path, json.dumps(found).encode())
    return dict(json.loads(path.read_text()))


def _train(case: Case, name: str, seed: int, scratch: Path, work: Path) -> dict[str, Any]:
    from keepset.models import load_record
    from keepset.train import train

    folder = folder_of(name, work)
    if folder is None:
        raise SystemExit(f"there is no set {name}")
    paths = sorted(folder.glob("*/*.png"))
    labels = sorted({p.parent.name for p in paths})
    classes = {label: {"pages": [f"http://127.0.0.1:9/{label}"]} for label in labels}
    section = {"arch": "lite0", "size": PX, "threads": 1} | case.train
    config = parse_config({"name": "bench", "seed": seed, "classes": classes, "train": section}, base=scratch)
    ws = Workspace.create(scratch / "ws", "bench")
    cache = work / "cache"
    cache.mkdir(exist_ok=True)
    ws.cache.symlink_to(cache)
    rows = list(_rows(ws, case, paths, labels, seed))
    extra = {"revision": 1, "before": 0, "cause": "bench"}
    manifests.write(ws.dataset(1), rows, Header("dataset", "bench", "f", extra=extra), exclusive=True)
    model = train(ws, config).outputs["model_id"]
    record = load_record(ws, model)
    said = [
        r
        for r in manifests.read(ws.models / model / "predictions.parquet", "predictions").rows()
        if r["split"] == "test"
    ]
    return {
        "case": case.name, "set": name, "seed": seed, "history": list(record.history), "classes": list(record.classes),
        "metrics": record.metrics, "lr_find": record.lr_find,
        "model": {"winner": record.winner, "candidates": record.candidates},
        "test_error": float(np.mean([r["predicted"] != r["label"] for r in said])),
        "test_loss": float(np.mean([r["loss"] for r in said])),
    }  # fmt: skip


def _rows(ws: Workspace, case: Case, paths: list[Path], labels: list[str], seed: int) -> Iterable[dict[str, Any]]:
    """Training and validation pictures share the wrong labels, as they do in life; the test pictures have none."""
    rng = np.random.default_rng([seed, 11])
    order = rng.permutation(len(paths))
    parts = ["test"] * TEST + ["valid"] * VALID + ["train"] * case.images
    for i, (k, part) in enumerate(zip(order.tolist(), parts, strict=False)):
        data = paths[k].read_bytes()
        sha = hashlib.sha256(data).hexdigest()
        write_bytes(ws.blob(sha), data)
        label = paths[k].parent.name
        if part != "test" and rng.random() < case.wrong:
            label = str(rng.choice([x for x in labels if x != label]))
        yield {
            "sha256": sha, "label": label, "given_label": label, "other_labels": [], "split": part, "fold": i % 5,
            "group_id": sha, "active": True, "added_in": 1,
        }  # fmt: skip


def table(found: list[dict[str, Any]]) -> str:
    """Findings by case, as Markdown."""
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for f in found:
        kinds[f["case"]].update(d["kind"] for d in diagnose(f)) if f["history"] else kinds[f["case"]].update(
            ["head only"]
        )
    lines = ["| training | should be | findings |", "|---|---|---|"]
    for case in CASES:
        said = ", ".join(f"{k} {n}" for k, n in kinds[case.name].most_common())
        lines.append(f"| {case.name} | {case.want or 'none'} | {said} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, default=OUT)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in SEEDS:
        for c in CASES:
            found += [trained(c, name, seed, args.work) for name in c.sets]
    print(table(found))
    if args.json:
        args.json.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
