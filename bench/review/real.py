"""How much of what people found wrong in real photos does ``keepset review`` show first?

    python -m bench.review.real FOLDER TRUTH.csv [PAIRS.csv] [FOLDER TRUTH.csv [PAIRS.csv] ...] [--work DIR] [--json OUT]

FOLDER holds a folder per class; ``truth.py`` says what the CSV files hold. The product's own stages run with the
configuration that ``keepset import`` writes, then an ordinary review and one of all images. Their orders are compared
with the truth and with other rankings of the same images (``peers.py``). What the labellers were not sure of counts
neither way, nor do copies.

``--work`` keeps the workspaces and skips stages that are finished; the reviews are always done again. After a change to
training that does not change its fingerprint, give an empty folder.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench.review.evaluated import Evaluated, evaluated
from bench.review.outcome import mean_of, report
from bench.review.runs import reviewed
from bench.review.truth import read_truth
from keepset.errors import ConfigError, KeepsetError


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0], usage=(__doc__ or "").split("\n")[2].strip()
    )
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--work", type=Path, help="keep the workspaces here")
    parser.add_argument("--json", type=Path, help="write every figure and every order here")
    args = parser.parse_args()
    try:
        sets = sets_of(args.paths)
        results = [_one(*s, args.work) for s in sets]
    except KeepsetError as e:
        print(e, file=sys.stderr)
        return 1
    for result in results:
        print(report(result), end="\n\n")
    if len(results) > 1:
        print(mean_of(results))
    if args.json:
        args.json.write_text(json.dumps([asdict(r) for r in results], indent=1), encoding="utf-8")
    return 0


def sets_of(paths: list[Path]) -> list[tuple[Path, Path, Path | None]]:
    """Folder, truth and pairs of each set: a folder begins the next set. Raises ``ConfigError``."""
    found: list[list[Path]] = []
    for path in paths:
        if path.is_dir() or not found:
            found.append([path])
        else:
            found[-1].append(path)
    for several in found:
        if len(several) not in (2, 3) or not several[0].is_dir():
            raise ConfigError(
                f"{' '.join(map(str, several))} is not a set.",
                "Give for each set: a folder of class folders, TRUTH.csv, and PAIRS.csv if there is one.",
            )
    return [(s[0], s[1], s[2] if len(s) == 3 else None) for s in found]


def _one(folder: Path, truth: Path, pairs: Path | None, work: Path | None) -> Evaluated:
    read_truth(truth, pairs, [])  # what cannot be read is said before a minute of training
    name = folder.resolve().name
    if work is not None:
        return evaluated(name, reviewed(folder, work / name), truth, pairs)
    with tempfile.TemporaryDirectory(prefix="review-real-") as scratch:
        return evaluated(name, reviewed(folder, Path(scratch) / name), truth, pairs)


if __name__ == "__main__":
    sys.exit(main())
