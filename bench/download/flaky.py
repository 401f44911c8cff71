"""A web as it is: what each tool keeps, asks again, and says of what it did not keep.

    python -m bench.download.flaky [--count 2000]

Every answer takes 100 ms; 2 % are missing, 1 % busy the first time, 1 % cut short, 1 % are pages, 0.3 % stall.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.download.measuring import PYTHONS, serving, tool
from bench.download.server import trouble


def main(count: int) -> None:
    can_be_had = {i for i in range(count) if trouble(i) in ("", "busy_once")}
    print(
        "| tool | kept of those that can be had | bad ones kept | requests a missing picture | failures unexplained | wall s |"
    )
    print("|---|---|---|---|---|---|")
    for name in PYTHONS:
        with serving("flaky", count) as (base, asked), tempfile.TemporaryDirectory() as folder:
            urls, out = Path(folder, "urls.txt"), Path(folder, name)
            urls.write_text("\n".join(f"{base}/photo/{i}.jpg" for i in range(count)))
            cost = tool(name, urls, out)
            found = (out / "kept.txt").read_text().split()
            kept = {int(u.rpartition("/")[2].removesuffix(".jpg")) for u in found}
            silent = out / "silent.txt"
            lost = count - len(kept)
            photos = {p: n for p, n in asked().items() if p.startswith("/photo/")}
            missing = [n for p, n in photos.items() if trouble(int(p[7:-4])) == "missing"]
            print(
                f"| {name} | {len(kept & can_be_had)} of {len(can_be_had)} | {len(kept - can_be_had)} | "
                f"{sum(missing) / len(missing):.2f} | {silent.read_text() if silent.exists() else lost} of {lost} | "
                f"{cost.wall_s:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    main(**vars(parser.parse_args()))
