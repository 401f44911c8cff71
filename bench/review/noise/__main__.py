"""Web noise that the bench makes itself: how much of it does ``keepset review`` show, and does it spare what is only odd?

    python -m bench.review.noise [FOLDER [TRUTH.csv [PAIRS.csv]]] [--full] [--only NAME,...] [--json OUT]

FOLDER holds a folder of photos per class; what TRUTH.csv says is bad is left out, and one of each pair. Without FOLDER:
the bears in ``KEEPSET_PHOTOS`` (or ``../shared/photos``), or, without photos, the demo's drawn pictures.

Each condition plants its shares of noise (``planting.py``) in a set of its own and runs the product's stages on it, as
``bench.review.real`` does, but without fine-tuning: the review asks only the head on frozen features. By default three
conditions of about 300 images; ``--full``: each kind of noise alone, at 1, 5, 15 and 30 %. Pictures and features are
kept in ``bench/out/noise``, where ``sheet.jpg`` shows what was planted; all stages are run again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from bench.review.evaluated import Evaluated, evaluated
from bench.review.noise.base import Base, clean_base, drawn_base
from bench.review.noise.planting import Condition, Planted, planted
from bench.review.noise.sheets import sheet
from bench.review.noise.spared import by_change, by_note, spared
from bench.review.outcome import mean_of, report
from bench.review.runs import reviewed
from keepset.errors import ConfigError, KeepsetError

CHECKOUT = Path(__file__).resolve().parents[3]
OUT = CHECKOUT / "bench" / "out" / "noise"
RATES = (0.01, 0.05, 0.15, 0.30)
# Seeds such that of the bears the toys have most of the junk, and grizzlies are among black bears.
CONDITIONS = (
    Condition("junk", junk=0.11),
    Condition("labels", swaps=0.04, foreign=0.06, seed=4),
    Condition("mixed", junk=0.04, swaps=0.02, pairwise=True, copies=0.06, bursts=0.04),
)


def every_rate() -> Iterator[Condition]:
    for rate in RATES:
        n = f"{rate:.0%}".rstrip("%")
        yield Condition(f"junk-{n}", junk=rate)
        yield Condition(f"uniform-{n}", swaps=rate)
        yield Condition(f"pairwise-{n}", swaps=rate, pairwise=True)
        yield Condition(f"foreign-{n}", foreign=rate)
        yield Condition(f"copies-{n}", copies=rate, bursts=rate / 2)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("base", nargs="*", type=Path, metavar="FOLDER [TRUTH.csv [PAIRS.csv]]")
    parser.add_argument("--full", action="store_true", help="each kind of noise alone, at each rate")
    parser.add_argument("--only", default="", help="names of conditions")
    parser.add_argument("--json", type=Path, help="write every figure and every order here")
    args = parser.parse_args()
    try:
        conditions = _chosen(list(every_rate()) if args.full else list(CONDITIONS), args.only)
        base = base_of(args.base)
        results = [_measured(base, c) for c in conditions if not c.foreign or len(base.files) > 2]
    except KeepsetError as e:
        print(e, file=sys.stderr)
        return 1
    made = [e for e, _ in results]
    if len(made) > 1:
        print(mean_of(made), by_note(results), by_change(results), sep="\n\n")
    if args.json:
        args.json.write_text(json.dumps([asdict(e) for e in made], indent=1), encoding="utf-8")
    return 0


def _chosen(conditions: list[Condition], only: str) -> list[Condition]:
    """All, or those that are named. Raises ``ConfigError``."""
    names = only.split(",") if only else [c.name for c in conditions]
    if unknown := set(names) - {c.name for c in conditions}:
        raise ConfigError(
            f"--only: there is no condition {', '.join(sorted(unknown))}.",
            f"Give some of {', '.join(c.name for c in conditions)}.",
        )
    return [c for c in conditions if c.name in names]


def base_of(paths: list[Path]) -> Base:
    if paths:
        return clean_base(*paths[:1], *[*paths[1:], None, None][:2])
    photos = Path(os.environ.get("KEEPSET_PHOTOS", CHECKOUT.parent / "shared" / "photos"))
    if (photos / "bears").is_dir():
        return clean_base(photos / "bears", photos / "truth" / "bears.csv", photos / "truth" / "bears_pairs.csv")
    print(f"no photos at {photos}: the demo's drawn pictures; set KEEPSET_PHOTOS")
    return drawn_base(OUT / "drawn", 130)


def _measured(base: Base, condition: Condition) -> tuple[Evaluated, Planted]:
    root = OUT / f"{base.name}-{condition.name}"
    made = planted(base, condition, root)
    sheet(made, root / "sheet.jpg")
    cache, workspace = OUT / f"cache-{base.name}", root / "workspace"
    cache.mkdir(exist_ok=True)
    shutil.rmtree(workspace, ignore_errors=True)
    run = reviewed(made.folder, workspace, epochs=0, cache=cache)
    result = evaluated(condition.name, run, made.truth, made.pairs)
    print(report(result), spared(result, made), sep="\n", end="\n\n", flush=True)
    return result, made


if __name__ == "__main__":
    sys.exit(main())
