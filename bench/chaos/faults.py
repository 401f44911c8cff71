"""Two faults that take their time, each on one run through the real stack: a server that is away, a clock that jumps.

    python -m bench.chaos.faults server-away --folder DIR [--seconds 60]
    python -m bench.chaos.faults clock --folder DIR [--seconds 3600]

``server-away`` keeps the Prefect server dead for so long while the run downloads. ``clock`` sets the clock of the whole
stack forward by so many seconds while the run downloads, and back again by twice as many while it trains
(libfaketime). Both compare what the run leaves with one that nobody disturbed. On Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from bench.chaos.stack import StackProgram
from bench.chaos.story import PHASES, Plot, Story
from bench.chaos.web import serving

PATIENCE_S = 1500.0
Fault = Callable[[], None]


def tell(folder: Path, faults: list[tuple[str, Fault]], stack: StackProgram, plot: Plot) -> dict[str, object]:
    """One run; each fault comes once its phase is reached."""
    story, begin, came = Story(0, folder / "disturbed", plot), time.monotonic(), []
    story.begin(stack.prefect)
    while not (story.ended() and story.quiet(stack.prefect)):
        story.approve()
        story.note()
        if faults and PHASES.index(story.phase()) >= PHASES.index(faults[0][0]):
            came.append(f"@ {story.phase()}, second {time.monotonic() - begin:.0f}")
            faults.pop(0)[1]()
        if time.monotonic() - begin > PATIENCE_S:
            break
        time.sleep(0.5)
    return {
        "came": came,
        "seconds": round(time.monotonic() - begin),
        "faults": story.faults(),
        "left": len(faults),
    }


def server_away(stack: StackProgram, seconds: float) -> None:
    """Kill the server as often as the stack starts it again, until it was away for so long."""
    end, dice = time.monotonic() + seconds, random.Random(0)
    while time.monotonic() < end:
        stack.kill("prefect-server", dice)
        time.sleep(0.5)
    print(f"away for {seconds:.0f} s; healthy now: {stack.prefect.healthy()}", flush=True)


def run(options: argparse.Namespace) -> dict[str, object]:
    clock = options.folder / "clock"
    options.folder.mkdir(parents=True, exist_ok=True)
    clock.write_text("+0\n")
    jumping = options.fault == "clock"
    with serving(delay_s=0.3) as web:
        plot = Plot(0, options.folder / "plot", web)
        with StackProgram(options.folder / "stack", environment=_faketime(clock) if jumping else {}) as stack:
            faults: list[tuple[str, Fault]] = [("download", lambda: server_away(stack, options.seconds))]
            if jumping:
                faults = [
                    ("download", lambda: _set(clock, options.seconds)),
                    ("train", lambda: _set(clock, -options.seconds)),
                ]
            return tell(options.folder, faults, stack, plot)


def _set(clock: Path, seconds: float) -> None:
    clock.write_text(f"{seconds:+.0f}\n")
    print(f"the clock of the stack is {seconds:+.0f} s off", flush=True)


def _faketime(clock: Path) -> dict[str, str]:
    """Every process of the stack reads its clock through libfaketime; the monotonic one is left alone."""
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    return {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("fault", choices=["server-away", "clock"])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    options.seconds = options.seconds or (60.0 if options.fault == "server-away" else 3600.0)
    options.folder = options.folder.resolve()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(json.dumps({"fault": options.fault, **run(options)}, indent=2))


if __name__ == "__main__":
    main()
