"""What keeping origins together does to the split: the share that is reached, and validation pictures with kin in training.

    python -m bench.sources.split

Made-up data sets as sites give them: creators with few or many pictures (Zipf), one to six photos per observation, some
without a creator, one creator or page with a large share. Each is split with and without its origins.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from keepset import manifests
from keepset.config import parse_config
from keepset.manifests import Header
from keepset.split import split
from keepset.workspace import Workspace

LABELS = ("a", "b", "c")


def rows(rng: np.random.Generator, n: int, large: float) -> list[dict[str, Any]]:
    """``large``: the share of the first class that one creator has."""
    out: list[dict[str, Any]] = []
    while len(out) < n:
        creator = min(int(rng.zipf(1.6)), n)
        label = LABELS[int(rng.integers(3))]
        page = len(out)
        for _ in range(int(rng.integers(1, 7))):
            sha = hashlib.sha256(f"{rng.random()}".encode()).hexdigest()
            big = label == "a" and rng.random() < large
            out.append({
                "sha256": sha, "label": label, "other_labels": [], "status": "ok", "warnings": [], "bytes": 9, "url": f"https://x.example/{sha}",
                "copies": 1, "source": "inaturalist", "group_id": sha, "landing_page": f"https://x.example/{page}",
                "creator": "Agency" if big else None if rng.random() < 0.2 else f"c{creator}-{rng.integers(1 + n // 10)}",
            })  # fmt: skip
    return out


def sides(found: list[dict[str, Any]], seed: int) -> dict[str, str]:
    """Of each picture, by sha256."""
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace.create(Path(folder) / "ws", "made up")
        cfg = parse_config({"name": "made up", "seed": seed, "classes": {c: {"pages": [f"http://127.0.0.1:9/{c}"]} for c in LABELS}}, base=Path(folder))  # fmt: skip
        manifests.write(ws.images, found, Header("images", "validate", "made up"))
        split(ws, cfg)
        return {r["sha256"]: r["split"] for r in ws.current_dataset().rows()}


def main() -> None:
    print(
        "| pictures | one creator has | validation share, least and most | with kin in training, before | now |\n|---|---|---|---|---|"
    )
    for n in (60, 300, 2000):
        for large in (0.0, 0.3, 0.8):
            got, kin = [], {True: [], False: []}
            for seed in range(6):
                found = rows(np.random.default_rng([seed, n]), n, large)
                pages = defaultdict(list)
                for r in found:
                    pages[r["landing_page"]].append(r["sha256"])
                for now in (True, False):
                    plain = [r | ({} if now else {"creator": None, "landing_page": None}) for r in found]
                    side = sides(plain, seed)
                    if now:
                        count = Counter((r["label"], side[r["sha256"]]) for r in found)
                        got += [count[c, "valid"] / max(1, count[c, "valid"] + count[c, "train"]) for c in LABELS]
                    valid = [r for r in found if side[r["sha256"]] == "valid"]
                    near = sum(any(side[s] == "train" for s in pages[r["landing_page"]]) for r in valid)
                    kin[now].append(near / max(1, len(valid)))
            print(
                f"| {n} | {large:.0%} | {min(got):.1%} to {max(got):.1%} | {np.mean(kin[False]):.0%} | {np.mean(kin[True]):.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
