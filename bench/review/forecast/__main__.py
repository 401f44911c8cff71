"""Does the forecast of a batch agree with real retraining?

    python -m bench.review.forecast [--only NAME,...] [--times] [--json OUT]

On each set (``sets.py``) some 27 batches of marks are made (``batches.py``): good ones, careless ones, random ones, ones that do
harm. Each is trained on as the product trains its linear head (``retrained.py``), and forecast as the gallery does. Features,
and what retraining gave, are kept in ``bench/out/forecast``; the first run takes about 15 CPU minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from bench.review.forecast.judged import disputes, judged, table
from bench.review.forecast.retrained import outcomes
from bench.review.forecast.sets import CHOSEN_ON, OTHERS, labelled
from bench.review.forecast.timed import times

OUT = Path(__file__).resolve().parents[2] / "out" / "forecast"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default="", help="names of sets")
    parser.add_argument("--times", action="store_true", help="only what a forecast costs in larger sets")
    parser.add_argument("--json", type=Path, help="write every figure here")
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    if args.times:
        small = labelled(CHOSEN_ON[0], OUT) or labelled("drawn-10", OUT)
        assert small is not None
        print(*times(small), sep="\n")
        return 0
    found = []
    for title, names in (("Sets that the method was chosen on", CHOSEN_ON), ("Other sets", OTHERS)):
        sets = [s for n in names if not args.only or n in args.only.split(",") if (s := labelled(n, OUT)) is not None]
        rows = [row for s in sets for row in judged(s, outcomes(s, OUT))]
        if rows:
            seconds = sorted(r.seconds for r in rows)
            print(
                f"## {title}",
                "",
                *table(rows),
                "",
                f"CPU s per forecast: {seconds[len(seconds) // 2]:.2f}, at most {seconds[-1]:.2f}",
                sep="\n",
            )
            a, b, c, d = sum(disputes(s) for s in sets)
            print(
                f"Look again names {a} of {b} pictures that were relabelled wrongly, and {c} of {d} that were relabelled rightly."
            )
        found += rows
    if args.json:
        args.json.write_text(json.dumps([asdict(r) for r in found], indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
