"""How much of a training step is getting the images? The target is under 10 %.

    python -m bench.train.loading [--sets drawn,bears]

A real training (one epoch on the head, one of fine-tuning, one thread) with clocks around its parts, CPU seconds:
*reading* squares from the memory-mapped cache, *augmenting* them, and the *network* (frozen front, forward, backward;
the optimizer is left out, which makes the shares rather too large). Once as small sets are trained (two augmented passes, kept behind the frozen front and learnt from in
turn), and once as large ones are (every epoch reads and augments all images). Decoding happens once before, and is told
apart; looking at the validation images is no part of a step.
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

PARTS = ("decoding", "reading", "reading in a pass", "augmenting", "step")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", default="drawn,bears")
    print(
        "| set | px | passes | decoding once | reading | augmenting | network | reading's share | with augmenting |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in parser.parse_args().sets.split(","):
        for large in (False, True):
            if found := _measured(name, large=large):
                print(_row(name, large, found), flush=True)


def _measured(name: str, *, large: bool) -> dict[str, float] | None:
    import torch

    from keepset.train import kept, passes, pixels_cache, steps, train

    folder = folder_of(name, Path(__file__).resolve().parents[1] / "out" / "train-pictures")
    if folder is None:
        return None
    torch.set_num_threads(1)
    spent = dict.fromkeys(PARTS, 0.0)
    undo = [
        _clock(pixels_cache.PixelCache, "_decode", spent, "decoding"),
        _clock(steps, "read", spent, "reading"),
        _clock(passes, "_squares", spent, "reading in a pass"),
        _clock(passes, "augmented", spent, "augmenting"),
        _clock(steps, "augmented", spent, "augmenting"),
        _clock(passes, "_rows", spent, "step"),
        _clock(steps, "_gradients", spent, "step"),
    ]
    most = kept.MOST, passes.MOST
    kept.MOST = passes.MOST = 0 if large else most[0]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            rows = Path(scratch) / "rows.csv"
            write_rows(folder, name, 0, rows)
            with rows.open(newline="") as f:
                table = list(csv.DictReader(f))
            train(*make_workspace(table, SIZES[name].px, 0, 1, Path(scratch)))
    finally:
        kept.MOST, passes.MOST = most
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


def _row(name: str, large: bool, t: dict[str, float]) -> str:
    """``step`` holds the augmentation, and the reading that a kept pass does."""
    network = t["step"] - t["augmenting"] - t["reading in a pass"]
    reading = t["reading"] + t["reading in a pass"]
    whole = network + t["augmenting"] + reading
    cells = [name, SIZES[name].px, "each epoch its own" if large else "two, kept"]
    cells += [f"{s:.2f}" for s in (t["decoding"], reading, t["augmenting"], network)]
    cells += [f"{reading / whole:.1%}", f"{(reading + t['augmenting']) / whole:.1%}"]
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
