"""CPU time of the exact near-duplicate search on hashes that are random, clustered, and half of them one blank picture.

python bench/duplicates/near_pairs.py
"""

from __future__ import annotations

import time

import numpy as np

from keepset.duplicates import near_pairs


def hashes(n: int, kind: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    found = rng.integers(0, 2**64, n, dtype=np.uint64)
    if kind == "half blank":
        found[: n // 2] = np.uint64(1 << 63)
    if kind == "clustered":  # every tenth is up to four bits off another one
        some = np.arange(0, n - 1, 10)
        for _ in range(4):
            found[some] ^= np.uint64(1) << rng.integers(0, 64, len(some), dtype=np.uint64)
        found[some + 1] = found[some]
        for _ in range(4):
            found[some + 1] ^= np.uint64(1) << rng.integers(0, 64, len(some), dtype=np.uint64)
    return found


print("| hashes | kind | bits | pairs of distinct hashes | CPU s |\n|---|---|---|---|---|")
for n, bits in ((100_000, 4), (100_000, 8), (1_000_000, 4)):
    for kind in ("random", "clustered", "half blank"):
        given = hashes(n, kind)
        begin = time.process_time()
        pairs = sum(len(piece) for piece in near_pairs(np.unique(given), bits))
        print(f"| {n:,} | {kind} | {bits} | {pairs:,} | {time.process_time() - begin:.2f} |", flush=True)
