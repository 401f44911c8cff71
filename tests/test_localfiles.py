"""Files of this machine: identity through links and odd names, walking, and names as tables spell them."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from keepset.storage.localfiles import absolute, config_path, file_url, path_of, shown, spelled, walk


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def names(folder: Path) -> list[str]:
    return [shown(e.path.relative_to(folder)) for e in walk(folder) if e.problem is None]


def test_a_link_keeps_its_place(tmp_path: Path) -> None:
    make(tmp_path, "cache/1", "set/valid/cats/a.jpg")
    (tmp_path / "set/valid/dogs").symlink_to(tmp_path / "cache")
    (tmp_path / "set/valid/cats/b.jpg").symlink_to(tmp_path / "cache" / "1")
    assert names(tmp_path / "set") == ["valid/cats/a.jpg", "valid/cats/b.jpg", "valid/dogs/1"]
    assert file_url(tmp_path / "set/./valid/../valid/dogs/1") == (tmp_path / "set/valid/dogs/1").as_uri()
    assert absolute("valid/dogs/../cats/a.jpg", tmp_path / "set") == tmp_path / "set/valid/cats/a.jpg"


def test_loops_and_second_ways_are_entries_with_a_problem(tmp_path: Path) -> None:
    make(tmp_path, "set/a/1.jpg", "set/a/sub/2.jpg", "set/b/3.jpg", "more/4.jpg")
    (tmp_path / "set/a/more").symlink_to(tmp_path / "more")
    (tmp_path / "set/a/up").symlink_to(tmp_path / "set")  # would bring b's pictures in
    (tmp_path / "set/a/zwei").symlink_to(tmp_path / "set/a/sub")
    (tmp_path / "set/a/self").symlink_to(tmp_path / "set/a/self")
    (tmp_path / "set/a/gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "set/a/pipe.jpg")
    found = {e.path.name: e.problem for e in walk(tmp_path / "set/a")}
    good = {name for name, problem in found.items() if problem is None}
    assert good == {"1.jpg", "2.jpg", "4.jpg", "gone.jpg", "self"}  # their download says that they lead nowhere
    assert "contains it" in str(found["up"])
    assert "reached before" in str(found["zwei"])
    assert "pipe" in str(found["pipe.jpg"])


def test_a_folder_that_cannot_be_read_is_an_entry(tmp_path: Path) -> None:
    assert [e.problem for e in walk(tmp_path / "none")] == ["this folder cannot be read: No such file or directory"]


def test_what_systems_put_beside_pictures_is_hidden(tmp_path: Path) -> None:
    make(
        tmp_path, "1.jpg", ".hidden.jpg", "._1.jpg", ".ipynb_checkpoints/1-checkpoint.jpg", "Thumbs.db", "desktop.ini",
        "@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/1.jpg", "sub/@eaDir/x.jpg", "sub/2.jpg", "#recycle/3.jpg",
    )  # fmt: skip
    assert names(tmp_path) == ["1.jpg", "sub/2.jpg"]


def test_names_of_any_bytes_survive_config_and_url(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"b\xe4r 100%?#") / os.fsdecode(b"caf\xe9.jpg")
    odd.parent.mkdir()
    odd.write_bytes(b"x")
    assert file_url(odd).isascii()
    assert path_of(file_url(odd)) == odd
    assert config_path(odd.parent).startswith("file:///")
    assert path_of(config_path(odd.parent)) == odd.parent
    assert config_path(tmp_path / "bär") == str(tmp_path / "bär")
    assert shown(odd.name) == "café.jpg"
    assert shown(config_path(odd.parent)).endswith("/bär 100%?#")


@settings(max_examples=60)
@given(st.binary(min_size=1, max_size=30).filter(lambda b: b"/" not in b and b"\0" not in b and b not in (b".", b"..")))
def test_every_name_has_one_identity(name: bytes) -> None:
    path = Path("/data") / os.fsdecode(name)
    assert path_of(file_url(path)) == path
    assert path_of(config_path(path)) == path
    shown(path).encode()


def test_files_are_found_as_tables_spell_them(tmp_path: Path) -> None:
    make(tmp_path, "img/a.jpg", "img/caf\u00e9.jpg", "img/Sub Dir/B.JPG", r"img/back\slash.jpg", "x/1.jpg", "x/1.JPG")
    make(tmp_path, "img/" + os.fsdecode(b"b\xe4r.jpg"))
    for written, there in (
        ("img/a.jpg", "img/a.jpg"), (r"img\a.jpg", "img/a.jpg"), (r".\img\a.jpg", "img/a.jpg"),
        ("./img//a.jpg", "img/a.jpg"), ("IMG/A.JPG", "img/a.jpg"), ("img/cafe\u0301.jpg", "img/caf\u00e9.jpg"),
        (r"img\sub dir\b.jpg", "img/Sub Dir/B.JPG"), (r"img/back\slash.jpg", r"img/back\slash.jpg"),
        ("img/bär.jpg", "img/" + os.fsdecode(b"b\xe4r.jpg")), ("x/1.JPG", "x/1.JPG"), ("x/../img/a.jpg", "img/a.jpg"),
        (r"img\gone.jpg", "img/gone.jpg"),
    ):  # fmt: skip
        assert spelled(tmp_path, written) == tmp_path / there, written
    assert spelled(tmp_path / "x", "../img/a.jpg") == tmp_path / "img/a.jpg"  # outside: the caller refuses it
    assert spelled(tmp_path, "x/1.Jpg") == tmp_path / "x/1.Jpg"  # two files fit: none is taken
    assert spelled(tmp_path, "/etc/passwd") == Path("/etc/passwd")
    late = tmp_path / "img" / "Late.jpg"
    late.write_bytes(b"x")
    assert spelled(tmp_path, "img/late.jpg") == late  # not what the folder held before
