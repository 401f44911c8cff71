"""Memory and time as a list grows to 100,000 URLs, every second one missing.

python -m bench.download.many [--counts 10000 25000 50000 100000] [--stages scrape,download]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.download.measuring import serving, tool


def main(counts: list[int], stages: str) -> None:
    print(
        "| URLs | CPU s | CPU ms a URL | peak MB | over the smallest list, MB | MB at a tenth of the time, two tenths ... |"
    )
    print("|---|---|---|---|---|---|")
    with serving("tiny", 0) as (base, _), tempfile.TemporaryDirectory() as folder:
        urls, first = Path(folder, "urls.txt"), 0.0
        for count in [10, *counts]:
            kinds = ("tiny", "missing")
            urls.write_text("\n".join(f"{base}/{kinds[i % 2]}/{i}.jpg" for i in range(count)))
            cost = tool("keepset", urls, Path(folder, str(count)), stages)
            first = first or cost.peak_mb
            print(
                f"| {count} | {cost.cpu_s:.1f} | {cost.cpu_s / count * 1000:.2f} | {cost.peak_mb:.0f} | "
                f"{cost.peak_mb - first:.0f} | {', '.join(f'{mb:.0f}' for mb in cost.tenths())} |",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 25_000, 50_000, 100_000])
    parser.add_argument("--stages", default="scrape,download")
    main(**vars(parser.parse_args()))
