"""Kill a random part at a random moment, over many runs of a small pipeline, and count what went wrong.

    python -m bench.chaos.run --folder DIR --runs 100 --database sqlite|postgresql [--seconds 420] [--at-once 4]

Some runs go at once through one stack; each of them brings one kill, so each suffers several. What is finished is
kept in DIR/results-DATABASE.jsonl: started again, it goes on; when the runs are complete it only prints the table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.chaos.postgres import postgres
from bench.chaos.stack import PARTS, StackProgram
from bench.chaos.story import Story
from bench.chaos.web import Web, serving
from keepset.errors import OrchestratorError

PATIENCE_S = 900.0
WINDOW_S = 60.0


def wave(
    stack: StackProgram, stories: list[Story], dice: random.Random, window_s: float
) -> list[dict[str, Any]]:
    """Run the stories at once, one kill for each, at random moments within ``window_s`` seconds."""
    begin = time.monotonic()
    for story in stories:
        story.begin(stack.prefect)
    due = sorted((dice.uniform(1, window_s), dice.choice(PARTS)) for _ in stories)
    while time.monotonic() - begin < PATIENCE_S:
        if due and time.monotonic() - begin >= due[0][0]:
            kill(stack, stories, due.pop(0)[1], dice)
        for story in stories:
            with contextlib.suppress(OSError):
                story.approve()
                story.note()
        if not due and all(s.ended() for s in stories) and _quiet(stack, stories):
            break
        time.sleep(0.5)
    return [report(s, time.monotonic() - begin, stack) for s in stories]


def kill(stack: StackProgram, stories: list[Story], part: str, dice: random.Random) -> None:
    """Kill the part; where it does not live just now, whatever flow run does, or the server."""
    done = next((k for p in (part, "flow run", "prefect-server") if (k := stack.kill(p, dice))), "")
    for story in stories:
        if not story.ended():
            story.note(done)


def _quiet(stack: StackProgram, stories: list[Story]) -> bool:
    try:
        return all(s.quiet(stack.prefect) for s in stories)
    except OrchestratorError:
        return False


def report(story: Story, seconds: float, stack: StackProgram) -> dict[str, Any]:
    try:
        quiet = story.quiet(stack.prefect)
    except OrchestratorError:
        quiet = False
    faults = story.faults() + ([] if quiet else ["Prefect still had something to do"])
    return {
        "run": story.number, "kills": story.kills, "seconds": round(seconds), "faults": faults,
        "finished_downloads": len(story.finished), "requests": sum(story.web.counts(story.prefix + "/").values()),
        "pages": len(story.web.counts(story.prefix + "/")),
    }  # fmt: skip


def chaos(options: argparse.Namespace, out: Path) -> None:
    """Waves until the runs are complete or the time is up; each wave's results are kept at once."""
    stop = time.monotonic() + options.seconds
    with serving() as web, _database(options) as url, StackProgram(options.folder / "stack", url) as stack:
        while (done := len(_results(out))) < options.runs and time.monotonic() < stop:
            numbers = range(done, min(options.runs, done + options.at_once))
            found = _one_wave(options, web, stack, numbers)
            with out.open("a", encoding="utf-8") as f:
                f.writelines(json.dumps(r) + "\n" for r in found)
            for r in found:
                print(json.dumps(r), flush=True)


def _one_wave(
    options: argparse.Namespace, web: Web, stack: StackProgram, numbers: range
) -> list[dict[str, Any]]:
    dice = random.Random(f"{options.seed}-{options.database}-{numbers.start}")
    folders = [options.folder / "runs" / f"{options.database}-{n}" for n in numbers]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    stories = [Story(n, folder, web) for n, folder in zip(numbers, folders, strict=True)]
    found = wave(stack, stories, dice, options.window)
    for folder, r in zip(folders, found, strict=True):
        if not r["faults"]:
            shutil.rmtree(folder)
    return found


@contextlib.contextmanager
def _database(options: argparse.Namespace) -> Iterator[str]:
    if options.database == "sqlite":
        yield ""
        return
    with postgres(options.folder / "postgres") as server:
        yield server.url


def _results(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(found: list[dict[str, Any]], database: str) -> str:
    kills = Counter(k for r in found for k in r["kills"])
    bad = [r for r in found if r["faults"]]
    lines = [f"{database}: {len(found)} runs, {len(bad)} with faults"]
    lines += [
        f"  kills suffered: {sum(kills.values())} ("
        + ", ".join(f"{k} {n}" for k, n in kills.most_common())
        + ")"
    ]
    lines += [f"  runs without any kill: {sum(not r['kills'] for r in found)}"]
    lines += [f"  pages {sum(r['pages'] for r in found)}, requests {sum(r['requests'] for r in found)}"]
    lines += [f"  run {r['run']}: {r['faults']}" for r in bad]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after the wave at hand")
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--window", type=float, default=WINDOW_S, help="kills come within this many seconds")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    options.folder = options.folder.resolve()
    out = options.folder / f"results-{options.database}.jsonl"
    if len(_results(out)) < options.runs:
        chaos(options, out)
    print(table(_results(out), options.database))


if __name__ == "__main__":
    main()
