"""How much of a training step is getting the images? The target is under 10 %.

    python -m bench.train.loading [--sets drawn,bears]

A real training (one epoch on the head, one of fine-tuning, one thread) with clocks around its parts, CPU seconds:
*reading* squares from the cache, *augmenting* them, and the *network* (frozen front, forward, backward; the optimizer is
left out, which makes the shares rather too large). Decoding happens once before and is shown apart; looking at the
validation images is no part of a step.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.train.pictures import SIZES, folder_of, write_rows
from bench.train.tool_keepset import make_workspace

PARTS = ("decoding", "reading", "augmenting", "step")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", default="drawn,bears")
    print("| set | px | decoding once | reading | augmenting | network | reading's share | with augmenting |")
    print("|---|---|---|---|---|---|---|---|")
    for name in parser.parse_args().sets.split(","):
        if found := _measured(name):
            print(_row(name, found), flush=True)


def _measured(name: str) -> dict[str, float] | None:
    import torch

    from keepset.train import pixels_cache, steps, train

    folder = folder_of(name, Path(__file__).resolve().parents[1] / "out" / "train-pictures")
    if folder is None:
        return None
    torch.set_num_threads(1)
    spent = dict.fromkeys(PARTS, 0.0)
    undo = [
        _clock(pixels_cache.PixelCache, "_decode", spent, "decoding"),
        _clock(steps, "read", spent, "reading"),
        _clock(steps, "augment", spent, "augmenting"),
        _clock(steps, "_gradients", spent, "step"),
    ]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            rows = Path(scratch) / "rows.csv"
            write_rows(folder, name, 0, rows)
            with rows.open(newline="") as f:
                table = list(csv.DictReader(f))
            train(*make_workspace(table, SIZES[name].px, 0, 1, Path(scratch)))
    finally:
        for back in undo:
            back()
    return spent


def _clock(where: Any, name: str, spent: dict[str, float], part: str) -> Callable[[], None]:
    """Add up the CPU seconds that ``where.name`` takes in its thread; returns what undoes it."""
    inner = getattr(where, name)

    def timed(*given: Any, **named: Any) -> Any:
        begin = time.thread_time()
        try:
            return inner(*given, **named)
        finally:
            spent[part] += time.thread_time() - begin

    setattr(where, name, timed)
    return lambda: setattr(where, name, inner)


def _row(name: str, t: dict[str, float]) -> str:
    """``step`` holds the augmentation."""
    whole = t["step"] + t["reading"]
    cells = [name, SIZES[name].px, *(f"{t[part]:.2f}" for part in ("decoding", "reading", "augmenting"))]
    cells += [f"{t['step'] - t['augmenting']:.2f}"]
    cells += [f"{t['reading'] / whole:.1%}", f"{(t['reading'] + t['augmenting']) / whole:.1%}"]
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
