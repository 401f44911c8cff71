"""What the gates cost of a whole run: wall and CPU seconds of each stage and of each gate.

    python -m bench.gates.share FOLDER [--epochs 3]

FOLDER holds a folder of pictures a class. The run is `keepset run` up to the cleaning batch, in this process.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keepset import gates, pipeline
from keepset.config import parse_config
from keepset.workspace import Workspace

WANTED = 0.10


def main(folder: Path, epochs: int) -> None:
    spent: dict[str, tuple[float, float]] = {}
    gates.check = _timed(gates.check, spent)  # the pipeline imports it when it runs
    classes = {p.name: {"folders": [str(p)]} for p in sorted(folder.iterdir()) if p.is_dir()}
    config = parse_config({"classes": classes, "train": {"epochs": epochs}}, base=folder)
    with tempfile.TemporaryDirectory() as out:
        begin = _now()
        for result in pipeline.run(Workspace.create(Path(out) / "ws", "bench"), config):
            print(f"  {result.stage}: {result.message}", flush=True)
        whole = _since(begin)
    print("\n| what | wall s | CPU s |\n|---|---|---|")
    for name, (wall, cpu) in spent.items():
        print(f"| gate {name} | {wall:.2f} | {cpu:.2f} |")
    wall, cpu = (sum(s[i] for s in spent.values()) for i in (0, 1))
    print(f"| the whole run | {whole[0]:.1f} | {whole[1]:.1f} |")
    print(
        f"gates / whole run: {wall / whole[0]:.1%} of the wall time, {cpu / whole[1]:.1%} of the CPU (wanted: under {WANTED:.0%})"
    )


def _timed(check: Callable[..., Any], spent: dict[str, tuple[float, float]]) -> Callable[..., Any]:
    def timed(ws: Any, config: Any, gate: str) -> Any:
        begin = _now()
        try:
            return check(ws, config, gate)
        finally:
            spent[gate] = _since(begin)

    return timed


def _now() -> tuple[float, float]:
    return time.monotonic(), sum(os.times()[:4])


def _since(begin: tuple[float, float]) -> tuple[float, float]:
    wall, cpu = _now()
    return wall - begin[0], cpu - begin[1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    main(**vars(parser.parse_args()))
