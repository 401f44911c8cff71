"""What is written stays as it was meant: a secret is its owner's alone, and never replaced."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from keepset import files


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
