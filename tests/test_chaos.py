"""One run of the chaos bench with three kills at chosen moments; many random ones: ``python -m bench.chaos.run``."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.chaos.stack import StackProgram
from bench.chaos.story import Story
from bench.chaos.web import serving

PATIENCE_S = 240.0


def downloading(story: Story) -> bool:
    return 0 < len(story.finished) < 70


def trained(story: Story) -> bool:
    return bool(story.models)


def cleaned(story: Story) -> bool:
    return story.ws is not None and len(story.ws.revisions()) == 2


@pytest.mark.prefect
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the stack's processes in /proc")
def test_a_killed_run_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    moments: list[tuple[Callable[[Story], bool], str]] = [
        (downloading, "flow run"),
        (trained, "prefect-server"),
        (cleaned, "everything"),
    ]
    with serving(delay_s=0.2) as web, StackProgram(tmp_path / "stack") as stack:
        story = Story(0, tmp_path / "run", web)
        story.begin(stack.prefect)
        deadline = time.monotonic() + PATIENCE_S
        while not (story.ended() and not moments and story.quiet(stack.prefect)):
            story.approve()
            story.note()
            if moments and moments[0][0](story):
                story.note(stack.kill(moments.pop(0)[1], random.Random(0)))
            assert time.monotonic() < deadline, (story.faults(), story.kills)
            time.sleep(0.2)
    assert story.kills == ["flow run", "prefect-server", "everything"]
    assert story.faults() == []
