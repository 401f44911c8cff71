"""One damaged file of a workspace stops nothing but itself, and is named."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from keepset.cli.doctor import Verdict, diagnose
from keepset.errors import KeepsetError, ModelError
from keepset.machine.cores import usable_cores
from keepset.models import damaged_models, list_models, load_record
from keepset.review import list_batches, load_batch
from keepset.review.batch import _check
from keepset.review.opening import review
from keepset.web.app import create_app
from keepset.workspace import Workspace
from tests.factories import add_model, dataset_workspace
from tests.processes import PATIENCE_S, wait_for
from tests.review_fixtures import make_case
from tests.test_cli import run


@pytest.fixture
def damaged(tmp_path: Path) -> Workspace:
    """A workspace with a model in use, three whose records are damaged in other ways, and a torn line in its log."""
    ws, config, truth = dataset_workspace(tmp_path)
    for i, text in enumerate(('{"id": "cut', "[]", '{"preprocess": "no"}'), 1):
        (ws.models / f"{i:016x}").mkdir(parents=True)
        (ws.models / f"{i:016x}" / "model.json").write_text(text)
    with (ws.root / "audit.jsonl").open("a") as log:
        log.write('{"at": "2026-01-0')
    add_model(ws, config, truth)
    return ws


def test_a_damaged_model_hides_no_other_and_is_named(damaged: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert [m.id for m in list_models(damaged)] == ["0" * 16]
    assert len(damaged_models(damaged)) == 3
    with pytest.raises(ModelError, match="damaged"):
        load_record(damaged, f"{1:016x}")
    assert run(capsys, "status", "-w", damaged.root, "--json")[0] == 0
    with TestClient(create_app(damaged.root), base_url="http://127.0.0.1") as site:
        assert site.get("/").status_code == 200
        assert site.get("/log").status_code == 200
    found = {c.name: c for c in diagnose(damaged.root)}
    assert found["records"].verdict == Verdict.FAIL
    for i in (1, 2, 3):
        assert f"{i:016x}" in found["records"].found
        for file in (damaged.models / f"{i:016x}").iterdir():  # what the remedy says
            file.unlink()
        (damaged.models / f"{i:016x}").rmdir()
    assert {c.name: c for c in diagnose(damaged.root)}["records"].verdict == Verdict.OK


@pytest.mark.parametrize("text", ["[]", "{}", '"x"', "{"])
def test_a_damaged_batch_is_named(damaged: Workspace, text: str) -> None:
    folder = damaged.batches / "b0001-0123abcd"
    folder.mkdir(parents=True)
    (folder / "batch.json").write_text(text)
    with pytest.raises(KeepsetError, match=r"batch\.json is damaged"):
        load_batch(damaged, folder.name)


@pytest.mark.parametrize(
    ("file", "text"), [("candidates.parquet", None), ("candidates.parquet", b"junk"), ("batch.json", b"{")]
)
def test_a_damaged_batch_stops_nothing_and_is_proposed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, text: bytes | None
) -> None:
    case = make_case(tmp_path)
    batch = case.open_batch()
    (batch.folder / file).unlink()
    if text:
        (batch.folder / file).write_bytes(text)
    _check.cache_clear()  # as in a new process
    assert list_batches(case.ws) == []
    assert {c.name: c for c in diagnose(case.ws.root)}["records"].verdict == Verdict.FAIL
    code, said, _ = run(capsys, "status", "-w", case.ws.root)
    assert (code, f"Batch {batch.id} is damaged" in " ".join(said.split())) == (0, True)
    with TestClient(create_app(case.ws.root), base_url="http://127.0.0.1") as site:
        assert f"Batch {batch.id} is damaged" in site.get("/").text
    again = review(case.ws, case.config)
    assert (again.changed, again.outputs["batch_id"]) == (True, f"b0002-{batch.id.partition('-')[2]}")
    batch.folder.rename(tmp_path / "aside")  # what the remedy says
    assert {c.name: c for c in diagnose(case.ws.root)}["records"].verdict == Verdict.OK


def test_a_torn_line_of_the_audit_log_is_passed_over_and_named(damaged: Workspace) -> None:
    damaged.audit("clean", who="anna", what={"n": 1})
    assert [r["action"] for r in damaged.audit_log()] == ["promote", "clean"]
    assert damaged.purged() == frozenset()
    damaged.promote("1" * 16, "why")
    damaged.promote("1" * 16, "why")
    assert [r["action"] for r in damaged.audit_log()] == ["promote", "clean", "promote"]
    found = {c.name: c for c in diagnose(damaged.root)}["logs"]
    assert (found.verdict, "audit.jsonl line 1" in found.found) == (Verdict.NOTE, True)
    assert json.loads((damaged.models / "promoted.json").read_text())["model_id"] == "1" * 16


def test_what_the_environment_says_of_the_way_out_is_shown_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.example:3128")
    network = {c.name: c for c in diagnose(tmp_path)}["network"]
    assert "https through http://proxy.example:3128" in network.found
    assert "secret" not in network.found
    monkeypatch.setenv("https_proxy", "socks5h://127.0.0.1:1")
    network = {c.name: c for c in diagnose(tmp_path)}["network"]
    assert (network.verdict, "SOCKS" in network.remedy) == (Verdict.FAIL, True)


@pytest.mark.parametrize(("text", "cores"), [("max 100000", 9), ("150000 100000", 2), ("1000 100000", 1), ("", 9)])
def test_the_cores_that_may_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, cores: int) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(9)), raising=False)
    (tmp_path / "cpu.max").write_text(text)
    assert usable_cores(tmp_path / "cpu.max") == cores
    assert usable_cores(tmp_path / "none") == 9


def test_who_waits_for_another_run_is_told(tmp_path: Path) -> None:
    ws, said = Workspace.create(tmp_path / "ws", "x"), []
    with ws.lock("train", note=said.append):
        assert said == []

        def second() -> None:
            with ws.lock("train", note=said.append):
                pass

        thread = threading.Thread(target=second)
        thread.start()
        wait_for(lambda: said, "the second to say that it waits", every_s=0.01)
    thread.join(PATIENCE_S)
    assert len(said) == 1
    assert "'train'" in said[0]
    assert not thread.is_alive()
