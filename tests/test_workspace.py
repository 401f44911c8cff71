from __future__ import annotations

import json
import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from keepset import errors
from keepset.errors import ConfigError, WorkspaceBusy, WorkspaceError, WorkspaceVersionError
from keepset.files import append_line, atomic_path, read_json, write_json
from keepset.workspace import Workspace
from tests.factories import dataset_workspace
from tests.processes import PATIENCE_S


def test_create_open_and_create_again_give_one_workspace(tmp_path: Path) -> None:
    made = Workspace.create(tmp_path / "ws", "bears")
    assert Workspace.open(tmp_path / "ws") == made == Workspace.create(tmp_path / "ws", "other")


def test_a_foreign_folder_or_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "aunt.txt").write_text("dear")
    with pytest.raises(WorkspaceError, match="not empty"):
        Workspace.create(tmp_path / "letters", "x")
    with pytest.raises(WorkspaceError, match="is a file"):
        Workspace.create(tmp_path / "letters" / "aunt.txt", "x")
    with pytest.raises(WorkspaceError, match="not a Keepset workspace"):
        Workspace.open(tmp_path / "letters")
    assert os.listdir(tmp_path / "letters") == ["aunt.txt"]  # noqa: PTH208


@pytest.mark.parametrize(
    ("version", "words", "remedy"),
    [(0, "another Keepset", "keepset export"), (99, "a newer Keepset", "Upgrade"), ("1", "another", "export")],
)
def test_another_schema_version_is_refused_and_nothing_is_touched(
    tmp_path: Path, version: object, words: str, remedy: str
) -> None:
    from flows.parameters import begin  # here, as the processes below import this module

    ws, config, _ = dataset_workspace(tmp_path, per_class=2)
    marker = read_json(ws.root / "keepset.json")
    write_json(ws.root / "keepset.json", marker | {"schema_version": version})
    before = {p: p.stat().st_mtime_ns for p in ws.root.rglob("*")}
    for use in (
        lambda: Workspace.create(ws.root, config.name),
        lambda: Workspace.open(ws.root),
        lambda: begin(str(ws.root), None, None),
    ):
        with pytest.raises(WorkspaceVersionError, match=f"version {version}, of {words}") as e:
            use()
        assert remedy in e.value.remedy
    assert before == {p: p.stat().st_mtime_ns for p in ws.root.rglob("*")}


def test_a_workspace_without_config_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="keepset run"):
        Workspace.create(tmp_path / "ws", "x").config()


def test_a_kept_config_of_another_version_is_a_clear_word(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "x")
    (ws.root / "config.json").write_text('{"classes": [], "colour": "red"}')
    with pytest.raises(ConfigError, match=r"does not fit this version(.|\n)*at least two classes"):
        ws.config()


def test_config_is_kept(tmp_path: Path) -> None:
    ws, cfg, _ = dataset_workspace(tmp_path, per_class=2)
    before = (ws.root / "config.json").stat().st_mtime_ns
    ws.save_config(cfg)
    assert ws.config() == cfg
    assert (ws.root / "config.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("bad", ["../../etc/passwd", "a" * 63, "A" * 64, "", "a" * 64 + "/x"])
def test_only_a_sha256_leads_to_a_blob(tmp_path: Path, bad: str) -> None:
    ws = Workspace.create(tmp_path / "ws", "x")
    with pytest.raises(ValueError, match="sha256"):
        ws.blob(bad)
    with pytest.raises(ValueError, match="sha256"):
        ws.thumb(bad)


def test_promotion_is_audited_once(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "x")
    assert ws.promoted() is None
    ws.promote("m1", "first")
    ws.promote("m1", "first")
    ws.promote("m2", "better", who="ann")
    assert ws.promoted() == "m2"
    assert [(r["who"], r["what"]["model_id"], r["what"]["before"]) for r in ws.audit_log()] == [
        ("keepset", "m1", None),
        ("ann", "m2", "m1"),
    ]


def _hold(root: Path, held: multiprocessing.synchronize.Event) -> None:
    with Workspace.open(root).lock("train"):
        held.set()
        threading.Event().wait()


def test_a_lock_keeps_others_out_and_dies_with_its_process(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "x")
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    other = context.Process(target=_hold, args=(ws.root, held))
    other.start()
    assert held.wait(PATIENCE_S)
    with pytest.raises(WorkspaceBusy, match="train"), ws.lock("train", wait=False):
        pass
    with ws.lock("split", wait=False):
        pass
    other.kill()
    other.join()
    with ws.lock("train", wait=False):
        pass


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(RuntimeError):
        _write_half(path)
    assert read_json(path) == {"old": 1}
    assert os.listdir(tmp_path) == ["a.json"]  # noqa: PTH208


def _write_half(path: Path) -> None:
    with atomic_path(path) as part:
        part.write_text("half")
        raise RuntimeError


def test_a_full_disk_is_said_in_words() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(errors.WorkspaceNotWritable, match="free some space"):
        append_line(Path("/dev/full"), "x")


def test_lines_of_many_processes_stay_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    jobs = [context.Process(target=_append_many, args=(tmp_path / "log", i)) for i in range(3)]
    for j in jobs:
        j.start()
    for j in jobs:
        j.join()
    lines = [json.loads(x) for x in (tmp_path / "log").read_text().splitlines()]
    assert sorted((x["who"], x["n"]) for x in lines) == [(w, n) for w in range(3) for n in range(50)]


def _append_many(path: Path, who: int) -> None:
    for n in range(50):
        append_line(path, json.dumps({"who": who, "n": n, "pad": "x" * 500}))


def test_all_of_errors_is_honest() -> None:
    public = {n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, Exception)}
    assert set(errors.__all__) == public
    assert all(name in (errors.__doc__ or "") for name in public)


def test_a_name_that_is_no_utf_8_is_refused_in_words(tmp_path: Path) -> None:
    import os

    with pytest.raises(errors.WorkspaceError, match=r"bär is not a name in UTF-8"):
        Workspace.create(tmp_path / os.fsdecode(b"b\xe4r"), "x")
