"""The real fastai, run by ``planted.py`` with the Python of ``bench/.venv``: its recipe, its cleaner's losses.

    python bench/review/fastai_cleaner.py ROWS.csv WEIGHTS.pt OUT.csv

ROWS has path, label, valid (0 or 1). The network is the one Keepset trains (same pretrained weights), with
fastai's own head, augmentation and ``fine_tune(4)``. OUT gets path and loss from ``_get_iw_info``, which is what
``ImageClassifierCleaner`` sorts its lists by.
"""

from __future__ import annotations

import csv
import sys
import warnings
from pathlib import Path


def main(rows: Path, weights: Path, out: Path) -> None:
    warnings.simplefilter("ignore")
    import torch
    from fastai.vision.all import (
        CategoryBlock,
        DataBlock,
        ImageBlock,
        IndexSplitter,
        Normalize,
        Resize,
        aug_transforms,
        error_rate,
        set_seed,
        vision_learner,
    )
    from fastai.vision.widgets import _get_iw_info

    set_seed(42)
    with rows.open(newline="") as f:
        table = list(csv.DictReader(f))
    label = {Path(r["path"]): r["label"] for r in table}
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_y=lambda path: label[path],
        splitter=IndexSplitter([i for i, r in enumerate(table) if r["valid"] == "1"]),
        item_tfms=Resize(224),
        batch_tfms=[*aug_transforms(), Normalize.from_stats([0.5] * 3, [0.5] * 3)],
    )
    dls = block.dataloaders(list(label), bs=32, num_workers=0)
    learn = vision_learner(
        dls, "tf_efficientnet_lite0", pretrained=False, normalize=False, metrics=error_rate
    )
    state = torch.load(weights, weights_only=True)
    missing, _ = learn.model[0].model.load_state_dict(state, strict=False)
    assert not missing, missing
    learn.freeze()
    with learn.no_bar():
        learn.fine_tune(4)
        found = [r for i in (0, 1) for r in _get_iw_info(learn, i)]
    with out.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["path", "loss"])
        writer.writerows([path, float(loss)] for path, _, loss in found)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
