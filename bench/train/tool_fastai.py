"""fastai as in its course, in an environment of its own; started by ``against_fastai.py``.

    python bench/train/tool_fastai.py ROWS.csv WEIGHTS.pt PX SEED OUT.json

``vision_learner`` on the network and the pretrained weights that Keepset uses, fastai's own head and augmentation,
``fine_tune(4)``. CPU seconds are this process's own: loading libraries apart, from files to a trained model. The
test images are predicted after the clock has stopped.
"""

from __future__ import annotations

import csv
import json
import sys
import time
import warnings
from pathlib import Path


def main(rows: Path, weights: Path, px: int, seed: int, out: Path) -> None:
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

    imports, begin = time.process_time(), time.process_time()
    set_seed(seed)
    with rows.open(newline="") as f:
        table = list(csv.DictReader(f))
    seen, test = [[r for r in table if (r["part"] == "test") == t] for t in (False, True)]
    label = {Path(r["path"]): r["label"] for r in table}
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_y=lambda path: label[path],
        splitter=IndexSplitter([i for i, r in enumerate(seen) if r["part"] == "valid"]),
        item_tfms=Resize(px),
        batch_tfms=[*aug_transforms(), Normalize.from_stats([0.5] * 3, [0.5] * 3)],
    )
    dls = block.dataloaders([Path(r["path"]) for r in seen], bs=32, num_workers=0)
    learn = vision_learner(dls, "tf_efficientnet_lite0", pretrained=False, normalize=False, metrics=error_rate)
    state = torch.load(weights, weights_only=True)
    missing, _ = learn.model[0].model.load_state_dict(state, strict=False)
    assert not missing, missing
    learn.freeze()
    with learn.no_bar():
        learn.fine_tune(4)
        cpu = time.process_time() - begin
        probs, _ = learn.get_preds(dl=dls.test_dl([Path(r["path"]) for r in test]))
    said = [dls.vocab[int(i)] for i in probs.argmax(1)]
    errors = sum(a != r["label"] for a, r in zip(said, test, strict=True))
    facts = {"cpu": cpu, "imports": imports, "errors": errors, "n": len(test)}
    out.write_text(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
