"""Kill a random part at a random moment, over many runs of a small pipeline, and count what went wrong.

    python -m bench.chaos.run --folder DIR --runs 100 --database sqlite|postgresql [--seconds 420] [--at-once 8]

Some runs go at once through one stack, and as many kills are drawn within the time that they take; so each suffers
several. Only runs that did are counted. What is finished is kept in DIR/results-DATABASE.jsonl: started again, it goes
on; when the runs are complete it only prints the table. On Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.chaos.postgres import postgres
from bench.chaos.stack import StackProgram
from bench.chaos.story import Plot, Story
from bench.chaos.wave import Wave
from bench.chaos.web import Web, serving
from deployments.parts import CHECKOUT


def chaos(options: argparse.Namespace, out: Path) -> None:
    """Waves until the runs are complete or the time is up; each wave's results are kept at once."""
    stop, window, commit = time.monotonic() + options.seconds, options.window, _commit()
    with _web(options) as web, _database(options) as url:
        plots = [Plot(i, options.folder / f"plots-{options.database}" / str(i), web) for i in range(options.at_once)]
        with StackProgram(options.folder / f"stack-{options.database}", url, forked=options.forked) as stack:
            while time.monotonic() < stop and counted(found := results(out)) < options.runs:
                wave = _wave(options, stack, plots, len(found), window)
                done = [r | {"commit": commit, "forked": options.forked} for r in wave.run(options.kills)]
                window = 0.9 * wave.lasted_s or window  # on a busy machine all takes longer
                _keep(out, done)
                for story, r in zip(wave.stories, done, strict=True):
                    if not r["faults"]:
                        shutil.rmtree(story.root)


def _wave(options: argparse.Namespace, stack: StackProgram, plots: list[Plot], first: int, window: float) -> Wave:
    folder = options.folder / "runs"
    stories = [Story(n, folder / f"{options.database}-{n}", p) for n, p in enumerate(plots, first)]
    for story in stories:
        shutil.rmtree(story.root, ignore_errors=True)
    return Wave(stack, stories, random.Random(f"{options.seed}-{options.database}-{first}"), window)


def _keep(out: Path, found: list[dict[str, Any]]) -> None:
    with out.open("a", encoding="utf-8") as f:
        f.writelines(json.dumps(r) + "\n" for r in found)
    for r in found:
        print(json.dumps(r), flush=True)


@contextlib.contextmanager
def _web(options: argparse.Namespace) -> Iterator[Web]:
    """On the port that it had before: the URLs stand in the manifests, and what was undisturbed stays as it was."""
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / f"port-{options.database}"
    with serving(port=int(path.read_text()) if path.exists() else 0) as web:
        path.write_text(web.base.rpartition(":")[2])
        yield web


@contextlib.contextmanager
def _database(options: argparse.Namespace) -> Iterator[str]:
    if options.database == "sqlite":
        yield ""
        return
    with postgres(options.folder / "postgres") as server:
        yield server.url


def _commit() -> str:
    command = ["git", "-C", str(CHECKOUT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def results(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def counted(found: list[dict[str, Any]]) -> int:
    """Runs that suffered a kill; one that went undisturbed proves nothing."""
    return sum(bool(r["kills"]) for r in found)


def table(found: list[dict[str, Any]], database: str) -> str:
    """What was found, as lines to read."""
    kills = Counter(k for r in found for k in r["kills"])
    bad = [r for r in found if r["faults"]]
    lines = [
        f"{database}: {counted(found)} runs that suffered kills, {len(found) - counted(found)} that did not, "
        f"{len(bad)} with faults; commits {', '.join(dict.fromkeys(r['commit'] for r in found))}",
        f"  kills suffered: {sum(kills.values())}; by part: {_sums(kills, 0)}",
        f"  by phase: {_sums(kills, 1)}",
        f"  pages {sum(r['pages'] for r in found)}, requests {sum(r['requests'] for r in found)}, "
        f"finished downloads {sum(r['finished_downloads'] for r in found)}",
    ]
    return "\n".join([*lines, *(f"  run {r['run']}: {r['faults']}" for r in bad)])


def _sums(kills: Counter[str], which: int) -> str:
    sums: Counter[str] = Counter()
    for kill, n in kills.items():
        sums[kill.split(" @ ")[which]] += n
    return ", ".join(f"{name} {n}" for name, n in sums.most_common())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after the wave at hand")
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--kills", type=int, default=8, help="drawn for each wave")
    parser.add_argument("--window", type=float, default=150, help="the first wave's kills come within so many seconds")
    parser.add_argument("--forked", action="store_true", help="fork flow runs from a process that has all imports")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    options.folder = options.folder.resolve()
    out = options.folder / f"results-{options.database}.jsonl"
    if counted(results(out)) < options.runs:
        chaos(options, out)
    print(table(results(out), options.database))


if __name__ == "__main__":
    main()
