"""What is written stays as it was meant: a secret is its owner's alone, and never replaced."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from keepset import files
from keepset.errors import WorkspaceError
from tests.processes import ran


def test_a_secret_is_readable_by_its_owner_only_while_it_is_written_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []

    def link(part: Path, path: Path) -> None:
        modes.append(stat.S_IMODE(part.stat().st_mode))
        real_link(part, path)

    real_link = os.link
    monkeypatch.setattr(os, "link", link)
    path, before = tmp_path / "login", os.umask(0)
    try:
        files.write_secret(path, "one")
        files.write_secret(path, "two")
    finally:
        os.umask(before)
    assert [*modes, stat.S_IMODE(path.stat().st_mode)] == [0o600, 0o600]
    assert path.read_text() == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["login"]


def test_a_line_is_appended_whole_or_not_at_all_and_torn_ones_stay_alone(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    files.append_line(log, '{"n": 1}')
    with log.open("a") as f:
        f.write('{"n": 2, "torn by a power c')
    files.append_line(log, '{"n": 3, "u": "\u2028"}')
    assert files.read_rows(log) == [{"n": 1}, {"n": 3, "u": "\u2028"}]
    assert len(files.read_lines(log)) == 3
    log.write_text("")
    assert files.read_lines(log) == files.read_rows(tmp_path / "none") == []


FULL = """
import resource, signal, sys
from pathlib import Path
from keepset import files
from keepset.errors import WorkspaceError
from keepset.errors import WorkspaceNotWritable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30, 30))  # the kernel takes 30 bytes, and no more
try:
    files.append_line(Path(sys.argv[1]), "x" * 50)
except WorkspaceNotWritable as e:
    print(e.message)
"""


def test_a_disk_that_takes_half_a_line_keeps_none_of_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    files.append_line(log, "first")
    assert "cannot be written" in ran(FULL, log).stdout
    assert log.read_text() == "first\n"


def test_no_error_is_its_own_cause(tmp_path: Path) -> None:
    """Whoever follows the causes of such a one never comes to an end."""
    for code in (errno.EBUSY, errno.ENOSPC):
        with pytest.raises((OSError, WorkspaceError)) as caught, files.atomic_path(tmp_path / "x"):
            raise OSError(code, os.strerror(code), "x")
        assert caught.value.__cause__ is not caught.value
        with pytest.raises(WorkspaceError), files.refusals(tmp_path / "x"):
            raise OSError(code, os.strerror(code), "x")
