"""Planted label errors: how many images must a person look at to find them, and does cleaning help the model?

    python -m bench.review.planted [--sets drawn,photos] [--seeds 3] [--fastai PYTHON] [--minutes 5] [--out FILE.md]

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

Then the labels are cleaned and the model is trained again (``repair.py``).

Each result is a line of ``bench/out/planted-<epochs>-<pictures>.jsonl``, and is not measured again; ``--minutes``
ends the run after the result that reaches it, the next run goes on. Real photos: ``KEEPSET_PHOTOS`` or
``../shared/photos``; left out with a message if they are not there. Errors that were in them before are not counted as
found, for any ranking.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from bench.review.repair import Repair, repaired
from bench.review.sets import CHECKOUT, Built, Condition, Rows, built, conditions, pictures, planted, write
from bench.review.tables import Result, line, page
from keepset import manifests
from keepset.config import RunConfig
from keepset.workspace import Workspace

OUT = CHECKOUT / "bench" / "out"


def main() -> None:
    args = _arguments()
    file = OUT / f"planted-{args.epochs}-{args.per_class}.jsonl"
    results = _known(file)
    places = {name: b for name in args.sets.split(",") if (b := _built(name, args)) is not None}
    begin = time.monotonic()
    for condition, by_fastai in _to_do(results, list(places), args):
        if time.monotonic() - begin > args.minutes * 60:
            print("time is up; run it again to go on")
            break
        place = places[condition.data]
        if by_fastai:
            results[condition] = _with_fastai(place, results[condition], args.fastai)
        else:
            results[condition] = _measured(place, condition)
        _append(file, results[condition])
        print(line([results[condition]]), flush=True)
    text = page(list(results.values()), args.epochs)
    print(text)
    if args.out:
        Path(args.out).write_text(text, encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", default="drawn,photos")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=0, help="fine-tuning epochs of the model")
    parser.add_argument("--per-class", type=int, default=80, help="pictures a class of the drawn set")
    parser.add_argument(
        "--fastai", default="", help="a Python that has fastai, e.g. bench/.venv-fastai/bin/python"
    )
    parser.add_argument("--minutes", type=float, default=1e9, help="end after the result that reaches this")
    parser.add_argument("--out", default="")
    return parser.parse_args()


def _to_do(
    results: dict[Condition, Result], sets: list[str], args: argparse.Namespace
) -> list[tuple[Condition, bool]]:
    """What was not measured before: all of ours first (a minute each), then fastai's (some minutes each)."""
    every = list(conditions(sets, args.seeds))
    ours = [(c, False) for c in every if c not in results]
    known = {c for c, r in results.items() if "fastai" in r.looks}
    return ours + [(c, True) for c in every if args.fastai and c.seed == 0 and c not in known]


def _known(file: Path) -> dict[Condition, Result]:
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    found = [json.loads(text) for text in lines]
    results = [
        Result(**{**r, "condition": Condition(**r["condition"]), "repair": Repair(**r["repair"])})
        for r in found
    ]
    return {r.condition: r for r in results}


def _append(file: Path, result: Result) -> None:
    file.parent.mkdir(exist_ok=True)
    with file.open("a", encoding="utf-8") as f:
        f.write(json.dumps(asdict(result)) + "\n")


def _built(name: str, args: argparse.Namespace) -> Built | None:
    base = OUT / f"planted-{name}-{args.epochs}-{args.per_class}"
    source = pictures(name, base / "pictures", args.per_class)
    return built(name, source, base / "workspace", args.epochs) if source else None


def _measured(place: Built, condition: Condition) -> Result:
    """On a copy of the set's workspace: wrong labels, a model, the rankings, and the repair."""
    from sklearn.metrics import average_precision_score

    from keepset.train import train

    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        scratch = Path(folder)
        ws = Workspace.open(Path(shutil.copytree(place.ws.root, scratch / "workspace")))
        rows, wrong = planted(place.clean, place.config.labels, condition)
        write(ws, rows)
        train(ws, place.config)
        shas, scores = _rankings(ws, place.config)
        repair = repaired(Built(ws, place.config, place.clean), wrong, scratch)
    bad = np.array([s in wrong for s in shas])
    return Result(
        condition, images=len(shas), errors=int(bad.sum()),
        precision={k: float(average_precision_score(bad, v)) for k, v in scores.items()},
        looks={k: _looks(bad, v) for k, v in scores.items()}, repair=repair,
        seconds=time.monotonic() - begin,
    )  # fmt: skip


def _with_fastai(place: Built, result: Result, python: str) -> Result:
    """The same wrong labels, the same images, ranked by fastai."""
    from sklearn.metrics import average_precision_score

    begin = time.monotonic()
    rows, wrong = planted(place.clean, place.config.labels, result.condition)
    active = [r for r in rows if r["active"]]
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        score = _by_fastai(place.ws, active, python, Path(folder))
    bad = np.array([r["sha256"] in wrong for r in active])
    assert (len(bad), int(bad.sum())) == (result.images, result.errors)
    return replace(
        result,
        precision=result.precision | {"fastai": float(average_precision_score(bad, score))},
        looks=result.looks | {"fastai": _looks(bad, score)},
        seconds=result.seconds + time.monotonic() - begin,
    )


def _rankings(ws: Workspace, config: RunConfig) -> tuple[list[str], dict[str, np.ndarray]]:
    """Scores by ranking (higher: sooner looked at), all in the order of the sha256s returned."""
    from keepset.review.evidence import gather
    from keepset.review.scores import label_scores

    evidence = gather(ws, config)
    ours = label_scores(evidence)
    assert ours is not None
    said = manifests.read(ws.models / evidence.model_id / "predictions.parquet", "predictions").rows()
    losses = {r["sha256"]: r["loss"] for r in said}
    loss = np.array([losses[s] for s in ours.sha256])
    return ours.sha256, {"keepset": ours.score, "cleanlab": ours.cv, "ridge": ours.ridge, "rule": loss}


def _by_fastai(ws: Workspace, rows: Rows, python: str, scratch: Path) -> np.ndarray:
    """The losses that fastai's own cleaner sorts by, after its own training, in the order of ``rows``."""
    import torch

    from keepset.train.weights import create_network

    table, weights, out = (scratch / n for n in ("rows.csv", "weights.pt", "losses.csv"))
    with table.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["path", "label", "valid"])
        writer.writerows([ws.blob(r["sha256"]), r["label"], int(r["split"] == "valid")] for r in rows)
    state = create_network("tf_efficientnet_lite0", 2, "packaged").state_dict()
    torch.save({k: v for k, v in state.items() if not k.startswith("classifier")}, weights)
    script = Path(__file__).with_name("fastai_cleaner.py")
    subprocess.run([python, script, table, weights, out], check=True)
    with out.open(newline="") as f:
        loss = {Path(r["path"]).name: float(r["loss"]) for r in csv.DictReader(f)}
    return np.array([loss[r["sha256"]] for r in rows])


def _looks(bad: np.ndarray, score: np.ndarray, share: float = 0.9) -> int:
    """Images to look at, the highest score first, until ``share`` of the bad ones are found."""
    found = np.cumsum(bad[np.argsort(-score, kind="stable")])
    return int(np.searchsorted(found, np.ceil(share * bad.sum())) + 1)


if __name__ == "__main__":
    main()
