"""What the parts of Keepset that see all rows at once cost as a data set grows: CPU seconds, peak memory, bytes.

    python -m bench.scale.rows [--counts 10000 100000 1000000] [--only split,review]

No picture is fetched or decoded: rows are made up (``made_up.py``), each step runs in a process of its own. What an
image costs to fetch and to decode does not depend on how many there are: ``bench.scale.images``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.scale import made_up
from keepset import manifests
from keepset.workspace import Workspace


def _import_only(ws: Workspace) -> None:
    from keepset import download, split, validate
    from keepset.validate import stage

    _ = download, split, validate, stage


def plan_new(ws: Workspace) -> dict[str, Any]:
    from keepset.download import plan

    return {"shards": len(plan(ws, ws.config(), 32))}


def merge_download(ws: Workspace) -> dict[str, Any]:
    from keepset.download import merge

    merge(ws, ws.config())
    return {"file_bytes": ws.downloads.stat().st_size}


def plan_validate(ws: Workspace) -> dict[str, Any]:
    from keepset.validate import plan

    return {"shards": len(plan(ws, ws.config(), 32))}


def begin_shard(ws: Workspace) -> dict[str, Any]:
    """What each shard of validation reads before its first picture."""
    from keepset.validate.distinct import addresses

    return {"images": len(addresses(ws, 0, 2000))}


def merge_validate(ws: Workspace) -> dict[str, Any]:
    from keepset.validate import merge

    merge(ws, ws.config())
    return {"file_bytes": ws.images.stat().st_size}


def split(ws: Workspace) -> dict[str, Any]:
    from keepset.split import split as stage

    stage(ws, ws.config())
    return {"file_bytes": ws.dataset(1).stat().st_size}


def split_again(ws: Workspace) -> dict[str, Any]:
    from keepset.split import split as stage

    return {"changed": stage(ws, ws.config()).changed}


def gate(ws: Workspace) -> dict[str, Any]:
    from keepset.gates import check

    return {"checks": len(check(ws, ws.config(), "images").outcomes)}


def review(ws: Workspace) -> dict[str, Any]:
    """There are no pictures to make graphics of: their features are made up too (88, however many images there are)."""
    import numpy as np

    from keepset.review import graphics
    from keepset.review import review as stage

    made = np.random.default_rng(1).random((88, made_up.WIDTHS[0]), np.float32)
    graphics.self_made_features = lambda *_: made
    return {"found": stage(ws, ws.config()).summary}


def elsewhere(ws: Workspace) -> dict[str, Any]:
    """There are no thumbnails: 4,000 of them take about 3 CPU s more."""
    from keepset.interpret.elsewhere import elsewhere as part
    from keepset.interpret.scored import read_predictions
    from keepset.models import list_models

    found = part(ws, read_predictions(ws, list_models(ws)[-1]))
    return {"judged": found["unseen"]["pictures"], "properties": len(found["shortcuts"]["tested"])}


STEPS: dict[str, tuple[str, Callable[[Workspace], Any]]] = {
    "nothing": ("importing Keepset only", _import_only),
    "plan_new": ("download: plan 32 lanes of a new list", plan_new),
    "plan_done": ("download: plan when all is done, blobs missing", plan_new),
    "merge_download": ("download: merge", merge_download),
    "plan_validate": ("validate: plan", plan_validate),
    "begin_shard": ("validate: begin one shard", begin_shard),
    "merge_validate": ("validate: merge, near-duplicate search included", merge_validate),
    "gate": ("gate `images` (Great Expectations)", gate),
    "split": ("split into revision 1", split),
    "split_again": ("split when nothing is new", split_again),
    "review": ("review: find candidates", review),
    "elsewhere": ("report: on other sites", elsewhere),
}
NEEDED = {"merge_download", "merge_validate", "split"}
"""Run in any case: later steps read what they write."""


def measure(root: Path, step: str) -> dict[str, Any]:
    """Run one step in a process of its own."""
    command = [sys.executable, "-m", "bench.scale.rows", "--do", step, "--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"cpu_s": float("nan"), "peak_mb": float("nan"), "error": done.stderr.strip().splitlines()[-1][:120]}
    return json.loads(done.stdout.splitlines()[-1])


def do(step: str, root: Path) -> None:
    ws = Workspace.open(root)
    facts = STEPS[step][1](ws) or {}
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps(facts | {"cpu_s": time.process_time(), "peak_mb": used.ru_maxrss / 1024}, default=str))


def one_size(folder: Path, n: int, only: set[str]) -> None:
    root = folder / str(n)
    ws = made_up.scraped(root, n)
    sizes = {"urls.parquet": ws.urls.stat().st_size}
    for step, (words, _) in STEPS.items():
        if step == "plan_done":
            sizes["download journal"] = made_up.fill_download_journal(ws, n).stat().st_size
        if step == "merge_validate":
            sizes["validate journal"] = made_up.fill_validate_journal(ws, n).stat().st_size
        if step in only and step in ("review", "elsewhere") and not (ws.models / ("0" * 16)).exists():
            made_up.trained(ws)
        if step not in only | NEEDED:
            continue
        got = measure(root, step)
        if step not in only:
            continue
        rest = {k: v for k, v in got.items() if k not in ("cpu_s", "peak_mb")}
        print(f"| {n:,} | {words} | {got['cpu_s']:.1f} | {got['peak_mb']:.0f} | {rest or ''} |", flush=True)
    sizes |= {p.name: p.stat().st_size for p in (ws.downloads, ws.images, ws.dataset(1)) if p.exists()}
    print("bytes a row: " + ", ".join(f"{k} {v / n:.0f}" for k, v in sizes.items()), flush=True)
    if ws.images.exists():
        assert manifests.read_header(ws.images).rows == n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--only", default=",".join(STEPS), help="steps, separated by commas")
    parser.add_argument("--do", help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.do:
        do(options.do, options.root)
        return
    print("| rows | step | CPU s | peak MB | |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for n in options.counts:
            one_size(Path(folder), n, set(options.only.split(",")))


if __name__ == "__main__":
    main()
