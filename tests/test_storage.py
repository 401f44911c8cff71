from __future__ import annotations

import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath

import httpx
import pytest

from keepset.errors import WorkspaceError
from keepset.files import append_line, atomic_path, local, move_in, read_json, read_lines, write_bytes, write_json
from keepset.storage import StoredPath, locate
from keepset.storage.copies import never_changes
from tests.processes import PATIENCE_S
from tests.storage_fixtures import another_machine


def test_a_place_is_a_folder_or_a_bucket(tmp_path: Path) -> None:
    assert locate(tmp_path / "x" / ".." / "y") == tmp_path / "y"
    assert not isinstance(locate(str(tmp_path)), StoredPath)
    for text in ("s3://bucket/a/b", "s3:/bucket/a/b", "s3://bucket//a/b/"):
        assert str(locate(text)) == str(locate(Path(text))) == "s3://bucket/a/b"
    for text in ("s3://", "ftp://bucket/x", "s3://bucket/../x"):
        with pytest.raises(WorkspaceError, match="cannot be a workspace"):
            locate(text)


def test_a_stored_path_stays_one() -> None:
    path = locate("s3://bucket/a") / "b" / "c.json"
    assert isinstance(path, StoredPath)
    assert (f"{path}", path.key, path.name) == ("s3://bucket/a/b/c.json", "a/b/c.json", "c.json")
    for other in (path.parent, path.with_name("d"), path.resolve(), pickle.loads(pickle.dumps(path))):
        assert isinstance(other, StoredPath)
    assert pickle.loads(pickle.dumps(path)) == path
    assert path.is_relative_to(locate("s3://bucket/a"))
    assert path.with_suffix(".html").key == "a/b/c.html"


def test_no_method_of_a_stored_path_reaches_the_local_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``pathlib`` offers and Keepset does not use, in whatever Python version, is not there."""
    monkeypatch.chdir(tmp_path)
    path = locate("s3://bucket/a")
    for name in {n for n in dir(Path) if n[0] != "_"} - set(dir(PurePath)) - set(vars(StoredPath)):
        with pytest.raises(AttributeError):
            getattr(path, name)
    with pytest.raises(io.UnsupportedOperation):
        path.open("w")
    assert list(tmp_path.iterdir()) == []


def test_what_never_changes_is_known_by_its_place() -> None:
    root = locate("s3://datasets/blobs")  # a bucket and a prefix of misleading names
    assert isinstance(root, StoredPath)
    sha = "ab" * 32
    for key in (f"blobs/ab/{sha}", f"thumbs/ab/{sha}.jpg", "datasets/000001.parquet", "audit.jsonl/0000000001"):
        assert never_changes(root / key), key
    for key in (
        "keepset.json",
        "config.json",
        "manifests/urls.parquet",
        "models/promoted.json",
        "batches/b/batch.json",
    ):
        assert not never_changes(root / key), key


def test_files_are_written_read_listed_and_removed(s3: str) -> None:
    root = locate(s3) / "ws"
    assert not root.exists()
    write_json(root / "one.json", {"a": 1})
    write_bytes(root / "deep" / "two.bin", b"2" * 100)
    assert root.is_dir()
    assert (root / "one.json").is_file()
    assert not (root / "one.json").is_dir()
    assert sorted(p.name for p in root.iterdir()) == ["deep", "one.json"]
    assert read_json(root / "one.json") == {"a": 1}
    assert local(root / "deep" / "two.bin").read_bytes() == b"2" * 100
    facts = (root / "one.json").stat()
    write_json(root / "one.json", {"a": 2})
    again = (root / "one.json").stat()
    assert again.st_ino != facts.st_ino
    assert again.st_mtime_ns != facts.st_mtime_ns
    assert read_json(root / "one.json") == {"a": 2}
    (root / "one.json").rename(root / "three.json")
    assert read_json(root / "three.json") == {"a": 2}
    assert not (root / "one.json").exists()
    (root / "three.json").unlink()
    (root / "three.json").unlink(missing_ok=True)
    for ask in (read_json, local, StoredPath.unlink, StoredPath.stat):
        with pytest.raises(FileNotFoundError):
            ask(root / "three.json")


def test_two_machines_see_the_same_at_once(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = locate(s3) / "state.json"
    write_json(path, {"turn": 0})
    for turn in range(1, 7):
        another_machine(monkeypatch, tmp_path / f"machine{turn % 2}")
        assert read_json(path) == {"turn": turn - 1}
        write_json(path, {"turn": turn})


def test_a_file_comes_into_place_whole_or_not_at_all(s3: str) -> None:
    path = locate(s3) / "x.bin"
    parts = []

    def die_halfway() -> None:
        with atomic_path(path) as part:
            parts.append(part)
            part.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        die_halfway()
    assert not path.exists()
    assert list(parts[0].parent.iterdir()) == []


def test_a_large_file_goes_up_in_parts(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(256)) * (20 * 4096)  # 20 MiB
    path = locate(s3) / "weights.bin"
    write_bytes(path, data)
    assert isinstance(path, StoredPath)
    facts = path.facts()
    assert facts.etag.endswith('-3"')
    with pytest.raises(FileExistsError):
        write_bytes(path, data[:-1], exclusive=True)
    another_machine(monkeypatch, tmp_path / "other")
    assert path.read_bytes() == data


def test_a_finished_file_moves_in(s3: str, tmp_path: Path) -> None:
    part, path = tmp_path / "part", locate(s3) / "blobs" / "ab" / ("ab" * 32)
    part.write_bytes(b"picture")
    move_in(part, path)
    assert not part.exists()
    assert path.read_bytes() == b"picture"
    assert path.stat().st_size == 7


def test_lines_keep_their_order(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = locate(s3) / "audit.jsonl"
    assert read_lines(log) == []
    for n in range(12):
        another_machine(monkeypatch, tmp_path / f"machine{n % 2}")
        append_line(log, f"line {n}")
    assert read_lines(log) == [f"line {n}" for n in range(12)]


def test_a_listing_of_more_than_one_answer_is_whole_and_in_order(s3: str, s3_server: str) -> None:
    names = [f"{n:04d}" for n in range(1100)]  # S3 gives 1,000 at most
    with httpx.Client(timeout=PATIENCE_S) as client, ThreadPoolExecutor(8) as pool:
        url = f"{s3_server}/{s3.removeprefix('s3://')}/many"
        assert all(a.is_success for a in pool.map(lambda n: client.put(f"{url}/{n}", content=b"x"), names))
    folder = locate(s3) / "many"
    assert isinstance(folder, StoredPath)
    assert [key for key, _ in folder.bucket.sizes("many/")] == [f"many/{n}" for n in names]
    assert [key for key, _ in folder.bucket.sizes("many/", "many/0099")] == [f"many/{n}" for n in names[100:]]
    assert sorted(p.name for p in folder.iterdir()) == names
