"""A store that fails at times, or for good: what retries heal ends right, and the rest is said in words."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keepset.errors import KeepsetError, WorkspaceError, WorkspaceNotWritable, WorkspaceUnreachable
from keepset.files import append_line, read_json, read_lines, write_bytes, write_json
from keepset.storage import locate
from keepset.storage.bucket import bucket
from keepset.workspace import Workspace
from tests.flaky_store import flaky, sometimes
from tests.storage_fixtures import another_machine, free_port


def test_through_a_flaky_store_everything_ends_right(
    s3: str, s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = locate(s3)
    log, large = root / "audit.jsonl", bytes(range(256)) * (17 * 4096)
    with flaky(s3_server, sometimes(0.15, seed=3)) as (address, seen):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "9")

        def first(n: int) -> None:
            write_json(root / f"{n}.json", {"n": n}, exclusive=True)  # nobody else writes it: it must not be refused

        def second(n: int) -> str:
            with pytest.raises(FileExistsError):
                write_json(root / f"{n}.json", {"n": -1}, exclusive=True)
            return "refused"

        def say(n: int) -> None:
            append_line(log, f"line {n}")

        with ThreadPoolExecutor(16) as pool:
            parts = pool.submit(write_bytes, root / "large.bin", large)
            list(pool.map(first, range(24)))
            assert list(pool.map(second, range(24))) == ["refused"] * 24
            list(pool.map(say, range(16)))
            parts.result()
        another_machine(monkeypatch, tmp_path / "other")
        assert (root / "large.bin").read_bytes() == large
        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(read_json, (root / f"{n}.json" for n in range(24)))) == [{"n": n} for n in range(24)]
        lines = read_lines(log)
    assert sorted(lines) == sorted(f"line {n}" for n in range(16))  # none lost, none doubled
    assert min(seen[fault] for fault in ("busy", "cut", "lost", "half")) >= 3, seen


def test_a_lost_answer_does_not_make_the_winner_think_that_it_lost(
    s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = itertools.count()

    def lose_the_first(method: str, path: str) -> str:
        return "lost" if method == "PUT" and next(turns) == 0 else ""

    with flaky(s3_server, lose_the_first) as (address, seen):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        write_json(locate(s3) / "approval.json", {"who": "ann"}, exclusive=True)
    assert seen["lost"] == 1
    assert seen["PUT"] == 2  # the second was refused by the first


def test_a_lost_answer_of_the_last_part_neither(s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = itertools.count()

    def lose_the_completion(method: str, path: str) -> str:
        return "lost" if method == "POST" and "uploadId=" in path and next(turns) == 0 else ""

    path, data = locate(s3) / "model.bin", b"m" * (17 * 2**20)
    with flaky(s3_server, lose_the_completion) as (address, seen):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        write_bytes(path, data)
    assert seen["lost"] == 1
    assert path.read_bytes() == data


def _refusal(work: Callable[[], object], kind: type[KeepsetError]) -> str:
    with pytest.raises(kind) as caught:
        work()
    assert type(caught.value) is kind
    assert caught.value.remedy
    return str(caught.value)


def test_a_wrong_bucket_is_said(s3: str) -> None:
    said = _refusal(lambda: Workspace.create(locate("s3://keepset-nowhere/x"), "x"), WorkspaceError)
    assert "no such bucket: s3://keepset-nowhere." in said
    assert "AWS_ENDPOINT_URL is http://127.0.0.1" in said


def test_a_prefix_without_a_workspace_or_with_something_else_is_said(s3: str) -> None:
    assert "keepset run" in _refusal(lambda: Workspace.open(locate(s3)), WorkspaceError)
    write_bytes(locate(s3) / "letters" / "aunt.txt", b"dear")
    assert "not empty" in _refusal(lambda: Workspace.create(locate(s3) / "letters", "x"), WorkspaceError)


def test_no_store_there_is_said(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    said = _refusal(lambda: Workspace.open(locate(s3)), WorkspaceUnreachable)
    assert "does not answer" in said
    assert "AWS_ENDPOINT_URL is" in said


def test_no_login_is_said(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    said = _refusal(lambda: Workspace.open(locate(s3)), WorkspaceError)
    assert "no login for the store" in said
    assert "AWS_ACCESS_KEY_ID" in said


def test_no_right_to_write_is_said(s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = Workspace.create(locate(s3), "x")
    with flaky(s3_server, lambda method, _: "denied" if method == "PUT" else "") as (address, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        assert Workspace.open(locate(s3)) == ws
        for work in (ws.check_writable, lambda: ws.audit("x", who="ann", what={})):
            assert "s3:PutObject" in _refusal(work, WorkspaceNotWritable)


def test_a_store_that_ignores_conditions_is_refused(s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = Workspace.create(locate(s3), "x")
    ws.check_writable()
    with flaky(s3_server, lambda method, _: "deaf" if method == "PUT" else "") as (address, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        assert "ignores conditional writes" in _refusal(ws.check_writable, WorkspaceError)


def test_a_full_cache_is_no_fault_of_the_store(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = locate(s3) / "x.bin"
    write_bytes(path, b"x" * 5000)
    store = bucket("s3", s3.removeprefix("s3://"))
    with pytest.raises(WorkspaceNotWritable, match="KEEPSET_CACHE"):
        store.download("x.bin", Path("/dev/full"))
    with pytest.raises(WorkspaceNotWritable, match="KEEPSET_CACHE"):  # a vanished folder is no missing object
        store.download("x.bin", tmp_path / "gone" / "x.bin")
    (tmp_path / "file").touch()
    another_machine(monkeypatch, tmp_path / "file")
    with pytest.raises(WorkspaceNotWritable, match="KEEPSET_CACHE"):
        path.read_bytes()
