"""Which temperature to take from a small validation set: none, the best fit, or a fit that a prior holds to 1?

    python -m bench.train.calibration

The linear head is fitted on four times as many images as the validation set has, the temperature on the validation
set, and the loss (nats) is measured on all other images: means over the sets of bench/train and four draws. *sharp* is
the same head with its logits doubled: overconfident, as fine-tuning makes a network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.train.pictures import SIZES, folder_of
from keepset.train import head as hd

GRID = np.geomspace(0.25, 8, 101)
PRIORS = {"none": np.inf, "best fit": 0.0, "prior 2": 2.0, "prior 4": 4.0, "prior 8": 8.0, "prior 16": 16.0}


def main() -> None:
    scratch = Path(__file__).resolve().parents[1] / "out" / "train-pictures"
    found: dict[tuple[int, str, str], list[float]] = {}
    for name in SIZES:
        if (folder := folder_of(name, scratch)) is None:
            continue
        features, labels = _features(folder, SIZES[name].px)
        for n in (16, 40, 80):
            for draw in range(4):
                _measure(features, labels, n, np.random.default_rng([draw, n]), found)
    print("| validation images | head | " + " | ".join(PRIORS) + " |")
    print("|---|---|" + "---|" * len(PRIORS))
    for n in (16, 40, 80):
        for kind in ("as fitted", "sharp"):
            cells = " | ".join(f"{np.mean(found[n, kind, p]):.3f}" for p in PRIORS)
            print(f"| {n} | {kind} | {cells} |")


def _measure(features: Any, labels: Any, n: int, rng: Any, found: dict[Any, list[float]]) -> None:
    order, classes = rng.permutation(len(labels)), int(labels.max()) + 1
    learn, valid, rest = np.split(order, [4 * n, 5 * n])
    if len(np.unique(labels[learn])) < classes:
        return
    strength = hd.choose_strength(features[learn], labels[learn], np.arange(len(learn)) % 5, classes).strength
    head = hd.fit_head(features[learn], labels[learn], classes, strength)
    for kind, sharpness in (("as fitted", 1.0), ("sharp", 2.0)):
        logits = {part: sharpness * head.logits(features[i]) for part, i in (("v", valid), ("r", rest))}
        for prior, weight in PRIORS.items():
            t = 1.0 if weight == np.inf else _temperature(logits["v"], labels[valid], weight)
            loss = hd.nll(hd.softmax(logits["r"] / t), labels[rest])
            found.setdefault((n, kind, prior), []).append(loss)


def _temperature(logits: Any, labels: Any, weight: float) -> float:
    cost = [len(labels) * hd.nll(hd.softmax(logits / t), labels) + weight * np.log(t) ** 2 for t in GRID]
    return float(GRID[int(np.argmin(cost))])


def _features(folder: Path, px: int) -> tuple[Any, Any]:
    import torch

    from keepset.images.pixels import decode, model_input
    from keepset.train.batches import to_input
    from keepset.train.networks import features_and_logits
    from keepset.train.weights import create_network, preprocess_of

    network = create_network("tf_efficientnet_lite0", 2, "packaged").eval()
    spec = preprocess_of("tf_efficientnet_lite0", px)
    paths = [p for p in sorted(folder.glob("*/*")) if p.suffix.lower() in (".jpg", ".jpeg", ".png")]
    labels = sorted({p.parent.name for p in paths})
    out = []
    with torch.inference_mode():
        for p in paths:
            square = model_input(decode(p.read_bytes(), shortest=spec.resize), spec)
            x = to_input(torch.from_numpy(square[None].copy()), spec, torch.device("cpu"))
            out.append(features_and_logits(network, x)[0].numpy())
    return np.concatenate(out), np.array([labels.index(p.parent.name) for p in paths])


if __name__ == "__main__":
    main()
