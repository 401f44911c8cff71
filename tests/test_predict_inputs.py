"""What a batch prediction is asked for: tables as people write them, folders with links and system files."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from keepset.errors import ConfigError
from keepset.predict.inputs import list_inputs, path_of
from keepset.workspace import Workspace


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "ws", "x")


def listed(ws: Workspace, source: Path) -> list[str]:
    """The inputs, all of which are there; those of a folder relative to it."""
    found = []
    for row in list_inputs(ws, source):
        row["place"].encode()
        url = row["place"].startswith("http")
        assert url or row["stamp"], row
        assert url or path_of(row["place"]).is_file()
        found.append(row["input"] if url or not source.is_dir() else os.path.relpath(row["input"], source))
    return found


@pytest.mark.parametrize(
    "head", ["path", "Name", "file_name;split", "filepaths\tlabel", "image,class", "URL", "File Name|x"]
)
def test_tables_as_people_write_them(ws: Workspace, tmp_path: Path, head: str) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "bär.jpg").write_bytes(b"x")
    (tmp_path / "t.csv").write_bytes(f"{head}\nimg\\bär.jpg\nIMG/Bär.jpg\n'http://x.example/1.jpg'\n".encode("cp1252"))
    assert listed(ws, tmp_path / "t.csv") == ["img\\bär.jpg", "IMG/Bär.jpg", "http://x.example/1.jpg"]


def test_other_formats(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"x")
    frame = pd.DataFrame({"path": ["1.jpg", None]})
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    for name in ("t.xlsx", "t.parquet", "t.jsonl"):
        assert listed(ws, tmp_path / name) == ["1.jpg"], name


def test_lines_are_places_whatever_they_hold(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a,b.jpg").write_bytes(b"x")
    (tmp_path / "c;d.jpg").write_bytes(b"x")
    (tmp_path / "list.txt").write_text("# two pictures\na,b.jpg\n\nc;d.jpg\n")
    assert listed(ws, tmp_path / "list.txt") == ["a,b.jpg", "c;d.jpg"]


def test_a_folder_with_links_and_what_systems_put_there(ws: Workspace, tmp_path: Path) -> None:
    for name in ("in/a/1.jpg", "in/@eaDir/1.jpg/T.jpg", "in/.x/2.jpg", "in/Thumbs.db", "more/3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "more")
    (tmp_path / "in" / "a" / "loop").symlink_to(tmp_path / "in")
    assert listed(ws, tmp_path / "in") == ["a/1.jpg", "linked/3.jpg"]


@pytest.mark.parametrize("content", ["number\n1\n", "", "{"])
def test_a_table_without_places_is_named(ws: Workspace, tmp_path: Path, content: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(ConfigError, match=r"t\.csv") as e:
        list(list_inputs(ws, tmp_path / "t.csv"))
    assert e.value.remedy
    (tmp_path / "1").write_bytes(b"x")
    (tmp_path / "t.csv").write_text("path\n1\n")
    assert listed(ws, tmp_path / "t.csv") == ["1"]
