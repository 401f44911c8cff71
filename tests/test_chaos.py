"""One run through the real stack that is killed three times ends as one that nobody disturbed.

The long version, with random parts at random moments: ``python -m bench.chaos.run``.
"""

from __future__ import annotations

import contextlib
import random
import sys
import time
from pathlib import Path

import pytest

from bench.chaos.stack import StackProgram
from bench.chaos.story import PHASES, Plot, Story
from bench.chaos.web import serving
from keepset.errors import OrchestratorError
from keepset.review import submit
from tests.stack_fixtures import Running, ended_once, ended_right, wait_for, waiting_workspace
from tests.test_stack_approval import YES

PATIENCE_S = 600.0
KILLS = [("download", "flow run"), ("train", "everything"), ("retrain", "prefect-server")]
"""In that phase, or as soon after as it can be seen, this part is killed."""


@pytest.mark.prefect
@pytest.mark.slow
@pytest.mark.timeout(3 * PATIENCE_S)
@pytest.mark.skipif(sys.platform != "linux", reason="finds the stack's processes in /proc")
def test_a_killed_run_ends_as_an_undisturbed_one_and_batches_wait_through_it(tmp_path: Path) -> None:
    """One of two other batches is decided before everything is killed, and Prefect is not told; the other one after it."""
    due = list(KILLS)
    others = [waiting_workspace(tmp_path / name) for name in "ab"]
    settings = {"KEEPSET_RECONCILE_S": "4", "KEEPSET_NOTIFY": "http://127.0.0.1:9/hook"}
    with serving(delay_s=0.2) as web, StackProgram(tmp_path / "stack", forked=True, environment=settings) as stack:
        person = Running(stack.ws, stack.process, {"api_url": f"http://127.0.0.1:{stack.ports[0]}/api"})
        assert _notifications(person) == 3
        (_, first), (run, second) = (person.review(ws) for ws in others)
        story = Story(0, tmp_path / "disturbed", Plot(0, tmp_path / "plot", web))
        story.begin(stack.prefect)
        deadline = time.monotonic() + PATIENCE_S
        while due or not (story.ended() and story.quiet(stack.prefect)):
            story.approve()
            story.note()
            phase = story.phase()
            if (
                due
                and PHASES.index(phase) >= PHASES.index(due[0][0])
                and (phase != "retrain" or _retrains(stack) or story.ended())
            ):
                if due[0][1] == "everything":
                    submit(first, "approve", who="ada", undecided="suggested", confirm=True)
                    del stack.environment["KEEPSET_NOTIFY"]
                if killed := stack.kill(due[0][1], random.Random(0)):
                    story.suffer(killed, phase)
                    del due[0]
                if killed and killed.part == "everything":
                    assert _notifications(person) == 0  # started without --notify
                    person.resume(run, YES)
            assert time.monotonic() < deadline, (story.phase(), story.faults(), story.kills)
            time.sleep(0.2)
        for ws, batch in zip(others, (first, second), strict=True):
            wait_for(lambda w=ws, b=batch: ended_right(w, b.id), "the approval and the retraining")
            assert ended_once(ws, batch)
    assert [kill.partition(" @ ")[0] for kill in story.kills] == [part for _, part in KILLS]
    assert story.faults() == []


def _notifications(stack: Running) -> int:
    return sum(a["name"].startswith("Keepset: ") for a in stack.post("/automations/filter", {}).json())


def _retrains(stack: StackProgram) -> bool:
    """Whether the run itself is on its way: before that there is a revision, and an event that the server may lose.

    What becomes of a lost event is another test's (``test_stack_approval.py``), which waits a minute for it.
    """
    with contextlib.suppress(OrchestratorError):
        return any(r["name"].startswith("retrain ") for r in stack.prefect.runs(["RUNNING"]))
    return False
