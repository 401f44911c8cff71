"""Download, check, shrink and hash photos: Keepset, img2dataset and fastai in one run, in turn, from one server.

    python -m bench.download.peers [--count 2000] [--repeats 3]

CPU seconds are of all processes of a tool, its start included; wall seconds swing with what else the machine does.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from bench.download.measuring import PYTHONS, Cost, serving, tool

TARGETS = {"img2dataset": 2.5, "fastai": 3.5}


def main(count: int, repeats: int) -> None:
    costs: dict[str, list[Cost]] = {name: [] for name in PYTHONS}
    kept: dict[str, int] = {}
    with serving("photos", count) as (base, _), tempfile.TemporaryDirectory() as folder:
        urls = Path(folder, "urls.txt")
        urls.write_text("\n".join(f"{base}/photo/{i}.jpg" for i in range(count)))
        for turn in range(repeats):
            for name in list(PYTHONS) if turn % 2 == 0 else list(PYTHONS)[::-1]:
                out = Path(folder, f"{name}-{turn}")
                costs[name].append(tool(name, urls, out))
                kept[name] = len((out / "kept.txt").read_text().split())
                print(f"  {name}: {costs[name][-1].cpu_s:.1f} CPU s", flush=True)
    show(count, costs, kept)


def show(count: int, costs: dict[str, list[Cost]], kept: dict[str, int]) -> None:
    print("\n| tool | kept | CPU s (median; lowest to highest) | CPU ms an image | wall s | peak MB |")
    print("|---|---|---|---|---|---|")
    for name, runs in costs.items():
        cpu = sorted(c.cpu_s for c in runs)
        print(
            f"| {name} | {kept[name]} of {count} | {statistics.median(cpu):.1f}; {cpu[0]:.1f} to {cpu[-1]:.1f} | "
            f"{statistics.median(cpu) / count * 1000:.1f} | {statistics.median(c.wall_s for c in runs):.0f} | "
            f"{max(c.peak_mb for c in runs):.0f} |"
        )
    ours = statistics.median(c.cpu_s for c in costs["keepset"])
    for name, wanted in TARGETS.items():
        ratio = statistics.median(c.cpu_s for c in costs[name]) / ours
        print(f"{name} / keepset, CPU: {ratio:.2f} (wanted: at least {wanted})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    main(**vars(parser.parse_args()))
