"""CPU time, memory and recall of the search by features, on made-up ones: classes within classes, and planted pairs.

python bench/duplicates/neighbours.py [n ...]

Features lie on disk, as the cache has them, and are read piece by piece; memory is what the search takes beside them.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from keepset.duplicates.neighbours import nearest_pairs

WIDTH = 1280
PLANTED = 2000
PIECE = 10_000


def made_up(path: Path, n: int) -> None:
    """Pooled features: 20 classes of 30 kinds each; image 2i + 1 of the first ``PLANTED`` pairs is a copy of 2i."""
    rng = np.random.default_rng(0)
    classes = rng.standard_normal((20, WIDTH), np.float32)
    kinds = classes[:, None] + 0.7 * rng.standard_normal((20, 30, WIDTH), np.float32)
    out = np.memmap(path, np.float32, "w+", shape=(n, WIDTH))
    for start in range(0, n, PIECE):
        count = min(PIECE, n - start)
        kind = kinds.reshape(-1, WIDTH)[rng.integers(0, 600, count)]
        rows = kind + 0.8 * rng.standard_normal((count, WIDTH), np.float32)
        if start == 0:  # cosine about 0.75 with the original, once both are centred
            noise = rng.standard_normal((min(PLANTED, count // 2), WIDTH), np.float32)
            rows[1 : 2 * len(noise) : 2] = rows[0 : 2 * len(noise) : 2] + 1.1 * noise
        out[start : start + count] = np.maximum(rows, 0)
    out.flush()


def main(sizes: list[int]) -> None:
    print("| images | pairs | planted found | CPU s | seconds | MB more |\n|---|---|---|---|---|---|")
    for n in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "features"
            maker = multiprocessing.get_context("spawn").Process(target=made_up, args=(path, n))
            maker.start()  # its memory is not ours
            maker.join()

            def features(start: int, stop: int, path: Path = path, n: int = n) -> np.ndarray:
                skip = start * WIDTH
                flat = np.fromfile(path, np.float32, (stop - start) * WIDTH, offset=4 * skip)
                return flat.reshape(-1, WIDTH)

            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            cpu, wall = time.process_time(), time.monotonic()
            pairs = nearest_pairs(features, n)
            cpu, wall = time.process_time() - cpu, time.monotonic() - wall
            more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            planted = min(PLANTED, min(PIECE, n) // 2)
            found = set(map(tuple, pairs[pairs[:, 1] - pairs[:, 0] == 1].tolist()))
            share = sum((2 * i, 2 * i + 1) in found for i in range(planted)) / planted
            print(f"| {n:,} | {len(pairs):,} | {share:.1%} | {cpu:.1f} | {wall:.1f} | {more:.0f} |", flush=True)


if __name__ == "__main__":
    main([int(a.replace("_", "")) for a in sys.argv[1:]] or [3_000, 30_000, 100_000])
