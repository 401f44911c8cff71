"""One run through the real stack that is killed three times ends as one that nobody disturbed.

The long version, with random parts at random moments: ``python -m bench.chaos.run``.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest

from bench.chaos.stack import StackProgram
from bench.chaos.story import Plot, Story
from bench.chaos.web import serving

PATIENCE_S = 600.0
KILLS = {"download": "flow run", "train": "everything", "retrain": "prefect-server"}
"""By the phase in which it comes."""


@pytest.mark.prefect
@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S + 60)
@pytest.mark.skipif(sys.platform != "linux", reason="finds the stack's processes in /proc")
def test_a_killed_run_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    due = dict(KILLS)
    with serving(delay_s=0.2) as web, StackProgram(tmp_path / "stack", forked=True) as stack:
        story = Story(0, tmp_path / "disturbed", Plot(0, tmp_path / "plot", web))
        story.begin(stack.prefect)
        deadline = time.monotonic() + PATIENCE_S
        while not (story.ended() and story.quiet(stack.prefect)):
            story.approve()
            story.note()
            phase = story.phase()
            if phase in due and (killed := stack.kill(due[phase], random.Random(0))):
                story.suffer(killed, phase)
                del due[phase]
            assert time.monotonic() < deadline, (story.phase(), story.faults(), story.kills)
            time.sleep(0.2)
    assert story.kills == [f"{part} @ {phase}" for phase, part in KILLS.items()]
    assert story.faults() == []
