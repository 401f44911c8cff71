"""Journals: one file for the processes of a machine, and parts for those of several."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

import pytest

from keepset.errors import WorkspaceBusy, WorkspaceNotWritable
from keepset.storage.journal import Journal
from tests.processes import started

WRITER = """
import sys; from pathlib import Path; from keepset.storage.journal import Journal
journal = Journal(Path(sys.argv[1]), sys.argv[2])
for i in range(int(sys.argv[3])):
    journal.put(f"{sys.argv[2]}-{i}", {"n": i})
print("ready", flush=True)
sys.stdin.read()
"""


def writer(path: Path, part: str, rows: int) -> subprocess.Popen[str]:
    """A process that has put rows into a part and still holds it."""
    process = started(WRITER, path, part, rows)
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.communicate()
    assert process.returncode == 0


def test_a_later_row_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.sqlite") as journal:
        journal.put("k", {"n": 1})
        journal.put("k", {"n": 2})
        assert journal.get(["k", "other"]) == {"k": {"n": 2}}
        assert len(journal) == 1


def test_a_part_reads_what_is_settled_and_what_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a b%.sqlite"  # a name that a URI must escape
    with Journal(path) as journal:
        journal.put("both", {"n": 1})
        journal.put("old", {"n": 1})
        journal.settle()
    with Journal(path, "lane-0") as mine, Journal(path, "lane-1") as other:
        mine.put("both", {"n": 2})
        other.put("new", {"n": 3})
        assert mine.get(["both", "old", "new"]) == {"both": {"n": 2}, "old": {"n": 1}}
    with Journal(path) as journal:
        assert journal.get(["both", "new"]) == {"both": {"n": 1}}
        assert journal.settle() == 2
        assert journal.get(["both", "old", "new"]) == {"both": {"n": 2}, "old": {"n": 1}, "new": {"n": 3}}
        assert journal.settle() == 0
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_what_a_killed_worker_had_put_is_taken_over_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    first = writer(path, "lane-0", 50)
    first.kill()
    first.communicate()
    with Journal(path, "lane-0") as again:
        assert len(again.get(f"lane-0-{i}" for i in range(50))) == 50
        again.put("more", {})
    with Journal(path) as journal:
        assert journal.settle() == 51


def test_a_part_that_is_being_written_is_left_alone_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    others = [writer(path, f"lane-{i}", 5) for i in range(2)]
    end(others[0])
    with Journal(path) as journal:
        with pytest.raises(WorkspaceBusy, match=r"lane-1\.part.*\n.*Dask workers"):
            journal.settle(patience_s=0.1)
        assert len(journal) == 5  # the part that was over
        end(others[1])
        journal.settle()
        assert len(journal) == 10


def test_no_two_processes_hold_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect
    monkeypatch.setattr("sqlite3.connect", lambda *a, **k: opened.append(connect(*a, **k)) or opened[-1])
    monkeypatch.setattr("keepset.storage.journal._PATIENCE_S", 0.1)
    holder = writer(tmp_path / "a.sqlite", "lane-0", 0)
    with pytest.raises(WorkspaceBusy):
        Journal(tmp_path / "a.sqlite", "lane-0")
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):  # Python 3.13 warns of one left open
        opened[-1].execute("SELECT 1")
    end(holder)
    Journal(tmp_path / "a.sqlite", "lane-0").db.close()


def test_a_part_without_a_table_is_no_trouble(tmp_path: Path) -> None:
    """Killed between making the file and its first row."""
    (tmp_path / "a.lane-0.part.sqlite").touch()
    with Journal(tmp_path / "a.sqlite") as journal:
        assert journal.settle() == 0
    assert [p.name for p in tmp_path.iterdir()] == ["a.sqlite"]


def test_a_disk_that_refuses_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").mkdir()
    with pytest.raises(WorkspaceNotWritable, match="cannot be written"):
        Journal(tmp_path / "a.sqlite")
