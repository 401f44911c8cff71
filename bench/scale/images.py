"""What an image costs on its way, stage by stage; and what a second Dask worker gives.

    python -m bench.scale.images [--count 2000] [--workers]

Photo-like JPEGs (``bench.download.pictures``) from a server on loopback. Every process of a stage counts. With
``--workers`` validation runs once more on one Dask worker and on two, each with one decoding process.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from bench.download.measuring import Cost, run, serving
from keepset.config import parse_config
from keepset.scrape import scrape
from keepset.workspace import Workspace

STAGES = ("download", "validate", "split")
_CODE = """
import sys; from importlib import import_module; from pathlib import Path
from keepset.workspace import Workspace
ws = Workspace.open(Path(sys.argv[1]))
print(getattr(import_module("keepset." + sys.argv[2]), sys.argv[2])(ws, ws.config()).message)
"""
_SPREAD = """
import sys, time; from pathlib import Path
from keepset import validate
from keepset.pipeline.cluster import connect
from keepset.pipeline.engine import Engine
from keepset.pipeline.shards import spread
from keepset.stages import SILENT, Stage
from keepset.workspace import Workspace
if __name__ == "__main__":
    ws, n = Workspace.open(Path(sys.argv[1])), int(sys.argv[2])
    shards = validate.plan(ws, ws.config(), n)
    with connect(Engine(kind="dask", workers=n), ws) as cluster:
        begin = time.monotonic()
        spread(cluster, ws, Stage.VALIDATE, shards, {}, SILENT)
        print("shards took", time.monotonic() - begin)
"""


def listed(folder: Path, base: str, count: int) -> Workspace:
    for k, label in enumerate(("a", "b")):
        urls = [f"{base}/photo/{i}.jpg" for i in range(count) if i % 2 == k]
        (folder / f"{label}.txt").write_text("\n".join(urls))
    config = parse_config({
        "classes": {"a": {"lists": ["a.txt"]}, "b": {"lists": ["b.txt"]}},
        "scrape": {"max_per_class": count}, "validate": {"shard_size": max(50, count // 4)},
        "download": {"allow_private": [base.removeprefix("http://")], "per_host": 64, "per_host_rate": 10_000.0},
    }, base=folder)  # fmt: skip
    ws = Workspace.create(folder / "ws", "bench")
    ws.save_config(config)
    scrape(ws, config)
    return ws


def bytes_of(ws: Workspace) -> dict[str, int]:
    """On disk, by kind."""
    found = {}
    for kind in ("blobs", "thumbs", "manifests", "journal", "datasets"):
        files = [p for p in (ws.root / kind).rglob("*") if p.is_file()]
        found[kind] = sum(p.stat().st_size for p in files)
    return found


def stage(ws: Workspace, name: str) -> Cost:
    return run([sys.executable, "-c", _CODE, str(ws.root), name], OMP_NUM_THREADS="1")


def spread(ws: Workspace, folder: Path, workers: int) -> tuple[float, Cost]:
    """Seconds that the shards took, and the cost of all processes."""
    script = folder / "spread.py"  # a file: Dask's workers import the caller's script again
    script.write_text(_SPREAD)
    for path in [*ws.journal.glob("validate-*"), *ws.root.glob("thumbs/*/*.jpg")]:
        path.unlink()
    threads = {"OMP_NUM_THREADS": "1", "KEEPSET_WORKERS": str(workers), "PYTHONPATH": os.pathsep.join(sys.path)}
    cost = run([sys.executable, str(script), str(ws.root), str(workers)], **threads)
    return float(cost.output.split("shards took")[1]), cost


def main(count: int, *, workers: bool) -> None:
    with serving("photos", count) as (base, asked), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ws = listed(folder, base, count)
        print(f"{count} pictures\n\n| stage | CPU ms an image | wall s | peak MB | |\n|---|---|---|---|---|")
        for which in STAGES:
            cost = stage(ws, which)
            said = cost.output.strip().splitlines()[-1]
            print(
                f"| {which} | {1000 * cost.cpu_s / count:.2f} | {cost.wall_s:.1f} | {cost.peak_mb:.0f} | {said} |",
                flush=True,
            )
        requests = sum(asked().values())
        print(f"\nrequests an image: {requests / count:.3f} (robots.txt besides, once a host)")
        print("bytes an image: " + ", ".join(f"{k} {v / count:.0f}" for k, v in bytes_of(ws).items()), flush=True)
        if workers:
            two_against_one(ws, folder, count)


def two_against_one(ws: Workspace, folder: Path, count: int) -> None:
    took = {}
    print("\n| Dask workers | wall s of the shards | images/s | CPU s of everything |\n|---|---|---|---|")
    for _ in range(2):
        for n in (1, 2):
            wall, cost = spread(ws, folder, n)
            took[n] = min(took.get(n, wall), wall)
            print(f"| {n} | {wall:.1f} | {count / wall:.0f} | {cost.cpu_s:.1f} |", flush=True)
    print(f"\none worker / two workers: {took[1] / took[2]:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--workers", action="store_true")
    options = parser.parse_args()
    main(options.count, workers=options.workers)
