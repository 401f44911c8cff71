"""Batch prediction: folders, tables, URLs and the data set; a kill -9, a grown folder, and the flow itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keepset import manifests
from keepset.errors import ConfigError, ModelError, WorkspaceError
from keepset.predict import load
from keepset.predict.batch import Job, predict_batch
from keepset.storage.journal import Journal
from keepset.workspace import Workspace
from tests.predict_fixtures import Served
from tests.processes import kill_when, serving_folder, started
from tests.stack_fixtures import Running
from tests.storage_fixtures import moved


def rows(path: Path) -> list[dict[str, Any]]:
    return manifests.read(path, "batch_predictions").rows()


def pictures(served: Served, folder: Path, n: int | None = None, prefix: str = "") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for i, data in enumerate(served.pictures[:n]):
        found.append(folder / f"{prefix}{i:02}.jpg")
        found[-1].write_bytes(data)
    return found


def test_a_folder_agrees_with_predict_and_again_does_nothing(model_case: Served, tmp_path: Path) -> None:
    files = pictures(model_case, tmp_path / "in" / "deep")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    (tmp_path / "in" / ".hidden.jpg").write_bytes(model_case.pictures[0])
    job = Job(str(tmp_path / "in"), to=str(tmp_path / "out.parquet"))
    done = predict_batch(model_case.ws, job)
    assert done.changed
    assert "1 not: not_an_image 1" in done.message
    found = rows(tmp_path / "out.parquet")
    assert [r["input"] for r in found] == [str(tmp_path / "in" / "notes.txt"), *map(str, files)]
    assert (found[0]["status"], found[0]["reason"]) == ("rejected", "not_an_image")
    wanted = load(model_case.ws.root).predict(files)
    classes = manifests.read_header(tmp_path / "out.parquet").extra["classes"]
    for row, one in zip(found[1:], wanted, strict=True):
        assert (row["label"], row["model_id"], row["outcome"]) == (one.label, one.model_id, str(one.outcome))
        assert dict(zip(classes, row["probs"], strict=True)) == pytest.approx(one.probabilities, abs=1e-4)
    again = predict_batch(model_case.ws, job)
    assert (again.changed, again.message.startswith("up to date")) == (False, True)


def test_of_a_grown_folder_only_what_is_new_is_predicted(
    model_case: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(model_case, tmp_path / "in", 4)
    job = Job(str(tmp_path / "in"), to=str(tmp_path / "out.parquet"))
    predict_batch(model_case.ws, job)
    before = {r["input"]: r["predicted_at"] for r in rows(tmp_path / "out.parquet")}
    pictures(model_case, tmp_path / "in", 3, prefix="a-new-one-")
    monkeypatch.setattr("keepset.predict.batch._PIECE", 2)  # the new ones are in the second and third piece
    assert predict_batch(model_case.ws, job).changed
    after = {r["input"]: r["predicted_at"] for r in rows(tmp_path / "out.parquet")}
    assert len(after) == 7
    assert before.items() <= after.items()


def test_a_kill_loses_nothing_and_repeats_nothing(model_case: Served, tmp_path: Path) -> None:
    ws = model_case.ws
    pictures(model_case, tmp_path / "in")
    os.mkfifo(fifo := tmp_path / "in" / "05-never-ends.jpg")  # the decoder waits for it; then comes the kill
    job = Job(str(tmp_path / "in"), to=str(tmp_path / "out.parquet"))
    code = (
        "import sys; from pathlib import Path; from keepset.workspace import Workspace\n"
        "from keepset.predict.batch import *\n"
        "predict_batch(Workspace.open(Path(sys.argv[1])), Job(sys.argv[2], to=sys.argv[3]))"
    )
    process = started(code, ws.root, job.source, job.to, KEEPSET_WORKERS="1")
    journal = ws.journal / f"predict-{ws.promoted()}.sqlite"
    kill_when(process, lambda: journal.exists() and _count(journal) >= 5, "five predictions")
    os.close(os.open(fifo, os.O_RDWR))  # its decoder, which outlived the kill, reads nothing and ends
    assert not Path(job.to).exists()
    done = _count(journal)
    with Journal(journal) as j:
        known = {k: r["predicted_at"] for k, r in j.get(_keys(tmp_path / "in")).items()}
    (tmp_path / "in" / "05-never-ends.jpg").unlink()
    predict_batch(ws, job)
    found = rows(Path(job.to))
    assert len(found) == len(model_case.pictures)
    assert done == len(known) < len(found)
    stamps = {r["predicted_at"].isoformat() for r in found}
    assert set(known.values()) <= stamps  # those that were done kept their time


def _count(journal: Path) -> int:
    with Journal(journal) as j:
        return len(j)


def _keys(folder: Path) -> list[str]:
    return [f"{p}\n{p.stat().st_size}:{p.stat().st_mtime_ns}" for p in folder.iterdir()]


def test_the_data_set_and_an_older_model(model_case: Served) -> None:
    old = str(model_case.ws.promoted())
    new = model_case.add("1" * 16, seed=5)
    done = predict_batch(model_case.ws, Job())
    found = rows(model_case.ws.root / done.outputs["predictions"])
    assert [r["input"] for r in found] == [r["sha256"] for r in model_case.ws.current_dataset().rows()]
    assert {r["model_id"] for r in found} == {new}
    before = predict_batch(model_case.ws, Job(model=old))
    assert {r["model_id"] for r in rows(model_case.ws.root / before.outputs["predictions"])} == {old}
    assert before.outputs != done.outputs


def test_a_table_of_paths_and_one_of_urls(model_case: Served, tmp_path: Path) -> None:
    pictures(model_case, tmp_path / "web", 5)
    with serving_folder(tmp_path / "web") as port:
        address = f"127.0.0.1:{port}"
        config = model_case.config.model_copy(
            update={"download": model_case.config.download.model_copy(update={"allow_private": (address,)})}
        )
        model_case.ws.save_config(config)
        urls = [f"http://{address}/{i:02}.jpg" for i in range(6)] + ["http://10.0.0.1/a.jpg", "http://[", None]
        table = tmp_path / "urls.parquet"
        pq.write_table(pa.table({"url": urls, "id": list(range(len(urls)))}), table)
        done = predict_batch(model_case.ws, Job(str(table), to=str(tmp_path / "out.parquet")))
        found = rows(tmp_path / "out.parquet")
        assert [r["reason"] for r in found] == [None] * 5 + ["not_found", "blocked_address", "bad_url"]
        assert done.summary["not_found"] == 1
        paths = tmp_path / "paths.csv"
        paths.write_text("id,path\n" + "".join(f"{i},web/{i:02}.jpg\n" for i in range(6)))
        job = Job(str(paths), to=str(tmp_path / "local.parquet"))
        predict_batch(model_case.ws, job)
        local = rows(tmp_path / "local.parquet")
        assert [r["label"] for r in local[:5]] == [r["label"] for r in found[:5]]
        assert (local[5]["status"], local[5]["reason"]) == ("failed", "file_missing")
        assert list((model_case.ws.journal / "predict" / "parts").iterdir()) == []
        (tmp_path / "web" / "05.jpg").write_bytes(model_case.pictures[5])
        retry = Job(str(table), to=str(tmp_path / "out.parquet"), retry_failed=True)
        assert predict_batch(model_case.ws, retry).changed
        assert [r["reason"] for r in rows(tmp_path / "out.parquet")][5] is None


def test_a_workspace_on_an_object_store(model_case: Served, s3: str) -> None:
    root = moved(model_case.ws.root, f"{s3}/ws")
    root.joinpath("blobs", min(model_case.truth)[:2], min(model_case.truth)).unlink()
    ws = Workspace.open(root)
    done = predict_batch(ws, Job())
    found = {r["input"]: r for r in rows(ws.root / done.outputs["predictions"])}
    assert found[min(model_case.truth)]["reason"] == "file_missing"
    assert found.keys() == model_case.truth.keys()
    assert [r["status"] for r in found.values()].count("ok") == len(found) - 1


def test_what_cannot_be_is_said_before_anything_is_done(model_case: Served, tmp_path: Path) -> None:
    ws = model_case.ws
    (tmp_path / "mine.parquet").write_bytes(b"somebody's")
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd.csv").write_text("number\n1\n")
    pictures(model_case, tmp_path / "in", 1)
    wrong: list[tuple[Job, type[Exception], str]] = [
        (Job(str(tmp_path / "none")), ConfigError, "There is no"),
        (Job(str(tmp_path / "empty")), ConfigError, "no picture"),
        (Job(str(tmp_path / "odd.csv")), ConfigError, "none of the columns"),
        (Job(str(tmp_path / "in"), model="f" * 16), ModelError, "no model"),
        (Job(str(tmp_path / "in"), to=str(tmp_path / "mine.parquet")), WorkspaceError, "something else"),
    ]
    for job, error, words in wrong:
        with pytest.raises(error, match=words):
            predict_batch(ws, job)
    assert (tmp_path / "mine.parquet").read_bytes() == b"somebody's"


_FLOW = """
import sys
from pathlib import Path
from flows.predict_batch import predict_batch
root, source, to = sys.argv[1:]
changed = [predict_batch(workspace=root, source=source, to=to)["changed"] for _ in range(2)]
(Path(root) / "config.json").unlink()
assert [*changed, predict_batch(workspace=root, source=source, to=to)["changed"]] == [True, False, False]
"""


@pytest.mark.prefect
def test_the_flow_predicts_once_and_needs_no_run_config(stack: Running, model_case: Served, tmp_path: Path) -> None:
    pictures(model_case, tmp_path / "in", 3)
    stack.python(_FLOW, str(model_case.ws.root), str(tmp_path / "in"), str(tmp_path / "out.parquet"))
    assert len(rows(tmp_path / "out.parquet")) == 3


def test_a_folder_with_names_that_are_no_utf_8_is_predicted_whole(model_case: Served, tmp_path: Path) -> None:
    pictures(model_case, tmp_path / "in", 3)
    folder = tmp_path / os.fsdecode(b"b\xe4r")
    (tmp_path / "in").rename(folder)
    (folder / "01.jpg").rename(folder / os.fsdecode(b"caf\xe9 %41.jpg"))
    done = predict_batch(model_case.ws, Job(str(folder)))
    assert "3 pictures predicted" in done.message
    done.message.encode()
    found = rows(model_case.ws.root / done.outputs["predictions"])
    assert [r["status"] for r in found] == ["ok"] * 3
    assert found[-1]["input"].endswith("bär/café %41.jpg")
    assert "up to date" in predict_batch(model_case.ws, Job(str(folder))).message
    listed = tmp_path / "list.txt"
    listed.write_bytes(os.fsencode(folder) + b"/caf\xe9 %41.jpg\n")
    assert "1 pictures predicted" in predict_batch(model_case.ws, Job(str(listed))).message
