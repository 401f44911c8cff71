"""Two faults that take their time, each on one run through the real stack: a server that is away, a clock that jumps.

    python -m bench.chaos.faults server-away --folder DIR [--seconds 60]
    python -m bench.chaos.faults clock --folder DIR [--seconds 3600]

``server-away`` keeps the Prefect server dead for so long while the run downloads. ``clock`` sets the clock of the whole
stack forward by so many seconds while the run downloads, and back by twice as many while it trains (``clock.c``, which
needs a C compiler). Both compare what the run leaves with one that nobody disturbed. On Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import struct
import subprocess
import time
from collections.abc import Callable
from functools import partial
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
    return {"came": came, "seconds": round(time.monotonic() - begin), "faults": story.faults(), "left": len(faults)}


def server_away(stack: StackProgram, seconds: float) -> None:
    """Kill the server as often as the stack starts it again, until it was away for so long."""
    end, dice = time.monotonic() + seconds, random.Random(0)
    while time.monotonic() < end:
        stack.kill("prefect-server", dice)
        time.sleep(0.5)
    print(f"away for {seconds:.0f} s; healthy now: {stack.prefect.healthy()}", flush=True)


def run(options: argparse.Namespace) -> dict[str, object]:
    options.folder.mkdir(parents=True, exist_ok=True)
    clock = Clock(options.folder) if options.fault == "clock" else None
    with serving(delay_s=0.3) as web:
        plot = Plot(0, options.folder / "plot", web)
        environment = clock.environment if clock else {}
        with StackProgram(options.folder / "stack", environment=environment) as stack:
            faults: list[tuple[str, Fault]] = [("download", lambda: server_away(stack, options.seconds))]
            if clock:
                forth, back = (partial(clock.set, s) for s in (options.seconds, -options.seconds))
                faults = [("download", forth), ("train", back)]
            return tell(options.folder, faults, stack, plot)


class Clock:
    """The wall clock of every process that is started with ``environment``."""

    def __init__(self, folder: Path) -> None:
        self.off, library = folder / "clock", folder / "clock.so"
        self.set(0)
        source = str(Path(__file__).with_name("clock.c"))
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library), source, "-ldl"], check=True)
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_FILE": str(self.off)}

    def set(self, seconds: float) -> None:
        """Be off by so many seconds from now on; written in place, for the file is mapped."""
        with self.off.open("r+b" if self.off.exists() else "wb") as f:
            f.write(struct.pack("q", int(seconds)))
        print(f"the clock of the stack is {seconds:+.0f} s off", flush=True)


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
