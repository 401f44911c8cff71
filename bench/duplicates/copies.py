"""Copies and bursts that the noise bench plants in clean photos: how many validation finds, and what it gets wrong.

python -m bench.duplicates.copies [FOLDER [TRUTH.csv [PAIRS.csv]]]
"""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from bench.review.evaluated import copies
from bench.review.noise.__main__ import OUT, _base
from bench.review.noise.planting import Condition, planted
from bench.review.runs import file_hashes
from bench.review.truth import read_truth
from keepset import manifests
from keepset.config import load_config
from keepset.importing import config_text, find_pictures
from keepset.pipeline import build
from keepset.pipeline.engine import Engine
from keepset.workspace import Workspace

CONDITION = Condition("copies", copies=0.25, bursts=0.1)


def main(paths: list[Path]) -> None:
    base = _base(paths)
    root = OUT / f"{base.name}-{CONDITION.name}"
    shutil.rmtree(root / "workspace", ignore_errors=True)
    made = planted(base, CONDITION, root)
    found = find_pictures(made.folder)
    path = root / "run.toml"
    path.write_text(config_text(found, path), encoding="utf-8")
    config = load_config(path)
    ws = Workspace.create(root / "workspace", config.name)
    ws.save_config(config)
    begin = time.monotonic()
    for result in build(ws, config, engine=Engine.of_this_machine()):
        print(f"{result.message} ({time.monotonic() - begin:.0f} s)", flush=True)
    hashes = file_hashes(found)
    rows = {r["sha256"]: r for r in manifests.each(ws.images, "images") if r["status"] == "ok"}
    names = {sha: name for name, sha in hashes.items() if sha in rows}
    truth = read_truth(made.truth, made.pairs, found.classes)
    said = copies(truth, hashes, rows, names)
    print(f"copies: {said.grouped} of {said.sure} in one group")
    for a, b in said.missed:
        print(f"  missed: {a} + {b}")
    print(f"bursts: {said.bursts_grouped} of {said.bursts} in one group; called copies: {said.bursts_as_copies}")
    print(f"grouped wrongly: {said.wrong}")
    print("said of copies:", Counter(r["dup_how"] for r in rows.values() if r["dup_of"]).most_common())


if __name__ == "__main__":
    main([Path(a) for a in sys.argv[1:]])
