"""kill -9 at every write of every step: done again, everything ends once and right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from keepset.clean import clean
from keepset.review import submit
from tests.review_fixtures import Case


def kills(step: str, case: Case, scratch: Path) -> list[dict[str, Any]]:
    """What stands after each kill and the second try; the last one was not killed."""
    command = [sys.executable, "-m", "tests.kill_steps", step, str(case.ws.root), str(scratch)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    out = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert out.returncode == 0, out.stderr[-2000:]
    seen = [json.loads(line) for line in out.stdout.splitlines()]
    assert [s["killed"] for s in seen] == [True] * (len(seen) - 1) + [False]
    return seen


def same_end(seen: list[dict[str, Any]]) -> dict[str, Any]:
    """Every kill must end as the undisturbed run did; return that end."""
    ends = [{k: v for k, v in s.items() if k not in ("n", "killed", "left_over")} for s in seen]
    for s, end in zip(seen, ends, strict=True):
        assert end == ends[-1], f"killed at write {s['n']}"
    return ends[-1]


def test_opening(case: Case, tmp_path: Path) -> None:
    seen = kills("review", case, tmp_path)
    assert len(seen) > 5
    end = same_end(seen)
    assert len(end["batches"]) == 1
    assert [a for a, _ in end["audit"]] == ["open", "promote"]


def test_deciding_and_applying(case: Case, tmp_path: Path) -> None:
    case.open_batch()
    seen = kills("submit", case, tmp_path)
    assert len(seen) > 12
    end = same_end(seen)
    assert (end["status"], end["revisions"]) == ("applied", [1, 2])
    assert [a for a, _ in end["audit"]] == ["clean", "open", "promote", "review"]


def test_restoring(case: Case, tmp_path: Path) -> None:
    submit(case.open_batch(), "approve", who="ann", undecided="suggested", confirm=True)
    clean(case.ws, case.config)
    end = same_end(kills("restore", case, tmp_path))
    assert end["revisions"] == [1, 2, 3]
    assert [a for a, _ in end["audit"]].count("restore") == 1


def test_purging(case: Case, tmp_path: Path) -> None:
    from keepset.review import mark
    from tests.review_fixtures import delete

    batch = case.open_batch()
    mark(batch, delete(*(r["sha256"] for r in batch.candidates().rows())), who="ann")
    submit(batch, "approve", who="ann", confirm=True)
    clean(case.ws, case.config)
    seen = kills("purge", case, tmp_path)
    assert len(seen) > 8
    assert {len(s["blobs"]) for s in seen} == {32}
    assert {str(s["rows"]) for s in seen} == {str(seen[-1]["rows"])}
    assert all(("purge", "None") in map(tuple, s["audit"]) for s in seen)


def test_taking_down(case: Case, tmp_path: Path) -> None:
    case.open_batch()
    seen = kills("remove", case, tmp_path)
    assert len(seen) > 12
    end = same_end(seen)
    assert (len(end["blobs"]), end["revisions"]) == (35, [1, 2])
    assert [a for a, _ in end["audit"]] == ["certificate", "open", "promote", "remove", "takedown"]


def test_marking(case: Case, tmp_path: Path) -> None:
    case.open_batch()
    seen = kills("mark", case, tmp_path)
    assert {str(s["marks"]) for s in seen} == {str(seen[-1]["marks"])}
    assert len(seen[-1]["marks"]) == 1
