from __future__ import annotations

import _thread
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import keepset
from keepset.config import RunConfig
from keepset.errors import ConfigError, ModelError, PictureUnreadable, ReviewError, WorkspaceError
from keepset.notebook import Dataset
from keepset.stages import Progress, StageResult
from keepset.workspace import Workspace
from tests.factories import add_model, dataset_workspace
from tests.predict_fixtures import Served
from tests.processes import PATIENCE_S
from tests.review_fixtures import Case


def test_the_package_shows_what_there_is_and_stays_light() -> None:
    assert {"load", "open"} <= set(dir(keepset))
    assert not [name for name in dir(keepset) if name in ("Any", "TYPE_CHECKING", "annotations", "sys")]
    code = "import keepset, sys; print([m for m in ('torch', 'pandas', 'pyarrow', 'onnxruntime') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_table_joins_what_is_known(case: Case) -> None:
    before = Dataset(case.ws).df
    assert set(before["reasons"]) == {""}
    batch = case.open_batch()
    df = keepset.open(case.ws.root).df
    assert list(df) == ["path", "label", "split", "predicted", "loss", "reasons", "source"]
    assert len(df) == len(case.active())
    assert {s for s in df.index if df.reasons[s]} == {r["sha256"] for r in batch.candidates().rows()}
    assert all(Path(p).read_bytes() for p in df.path)
    assert set(df.index[df.label != df.predicted]) >= case.wrong  # by a model that did not see them


def test_top_losses_and_the_batch_are_pictures(case: Case) -> None:
    ds = Dataset(case.ws)
    with pytest.raises(ReviewError):
        ds.batch()
    worst = ds.top_losses(4)
    assert list(worst.df.loss) == sorted(ds.df.loss, reverse=True)[:4]
    assert worst._repr_html_().count('src="data:image/webp;base64,') == 4
    assert "predicted" in repr(worst)
    assert "<" not in repr(worst)
    batch = case.open_batch()
    assert list(ds.batch().df.index) == [r["sha256"] for r in batch.candidates().rows()]
    assert batch.id in repr(ds.batch())
    assert next(iter(ds.batch())).explanation


def test_a_class_name_is_text_and_not_markup(tmp_path: Path) -> None:
    ws, config, truth = dataset_workspace(tmp_path, labels=("<b>a</b>", "b & c"), per_class=4)
    add_model(ws, config, truth)
    ds = Dataset(ws)
    for html in (ds._repr_html_(), ds.top_losses(3)._repr_html_()):
        assert "<b>a</b>" not in html
    assert "&lt;b&gt;a&lt;/b&gt;" in ds.top_losses(8)._repr_html_()


def test_confusion_counts_the_validation_set(case: Case) -> None:
    ds = Dataset(case.ws)
    table, valid = ds.confusion(), ds.df[ds.df.split == "valid"]
    assert table.to_numpy().sum() == len(valid)
    assert table.to_numpy().trace() == (valid.label == valid.predicted).sum()
    assert (table.index.name, table.columns.name) == ("given", "predicted")


def test_similar_pictures_by_path_by_sha_and_by_file(case: Case, tmp_path: Path) -> None:
    ds = Dataset(case.ws)
    sha, path = ds.df.index[0], ds.df.path.iloc[0]
    found = ds.similar(path, 5).df
    assert len(found) == 5
    assert sha not in found.index
    assert {case.truth[s] for s in found.index} == {case.truth[sha]}  # the factory's features say what is on them
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(Path(path).read_bytes())
    assert list(ds.similar(copy, 5).df.index) == list(ds.similar(sha, 5).df.index) == list(found.index)
    assert "likeness" in ds.similar(sha)._repr_html_()
    with pytest.raises(PictureUnreadable, match=r"ds\.df\.path"):
        ds.similar(tmp_path / "nope.jpg")
    copy.write_bytes(b"other")
    with pytest.raises(ConfigError, match="not seen"):
        ds.similar(copy)


def test_before_a_training_each_call_says_what_to_do(tmp_path: Path) -> None:
    ws, _, _ = dataset_workspace(tmp_path, per_class=2)
    ds = Dataset(ws)
    for call in (ds.top_losses, ds.confusion, ds.report, lambda: ds.similar(ds.df.index[0])):
        with pytest.raises(ModelError, match=r"ds\.run\(\)"):
            call()
    assert ds.df.loss.isna().all()
    assert ds.df.predicted.isna().all()
    assert "none yet" in repr(ds)
    assert "keepset run" in ds._repr_html_()


def test_open_finds_what_a_name_means(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkspaceError, match="no Keepset workspace"):
        keepset.open()
    with pytest.raises(WorkspaceError, match="There is no data set"):
        keepset.open("pets")
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    ds = keepset.open("photos")
    assert ds.workspace.root.resolve() == tmp_path / "photos-workspace"
    assert keepset.open().workspace.id == ds.workspace.id
    assert keepset.open("photos.toml").workspace.id == ds.workspace.id


def test_the_model_predicts_and_shows_itself(model_case: Served) -> None:
    ds = keepset.open(model_case.ws.root)
    found = ds.model.predict(ds.df.path.iloc[0])
    assert found.label in found._repr_html_()
    assert found._repr_html_().count("<tr>") == 3
    with pytest.raises(PictureUnreadable):
        ds.model.predict("nope.jpg")


def test_the_gallery_answers_and_ends(case: Case) -> None:
    case.open_batch()
    gallery = Dataset(case.ws).review()
    try:
        assert httpx.get(gallery.url, trust_env=False, timeout=PATIENCE_S).status_code == 200
        assert gallery.url in repr(gallery)
        assert f'href="{gallery.url}"' in gallery._repr_html_()
    finally:
        gallery.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(gallery.url, trust_env=False, timeout=PATIENCE_S)


def test_the_report_is_shown_without_scripts(case: Case) -> None:
    report = Dataset(case.ws).report()
    assert report.path.is_file()
    assert "<iframe srcdoc=" in report._repr_html_()
    assert "sandbox" in report._repr_html_()


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real kernel, a real training; it draws its own pictures."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    book = nbformat.read(Path(__file__).parents[1] / "examples" / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells)  # committed without
    folder = tmp_path / "work"
    folder.mkdir()
    nbclient.NotebookClient(book, timeout=PATIENCE_S, resources={"metadata": {"path": str(folder)}}).execute()
    shown = {cell.source: cell.outputs for cell in book.cells if cell.cell_type == "code"}
    ds = keepset.open(folder / "drawn.toml")
    planted = set(ds.df.index[ds.df.source.str.contains("apple/10[01].jpg")])
    assert len(planted) == 2
    assert planted <= set(ds.batch().df.index)
    assert planted <= set(ds.top_losses(6).df.index)
    assert shown["ds.top_losses(6)"][-1].data["text/html"].count("data:image/webp") == 6
    printed = "".join(
        o["text"] for source, outputs in shown.items() if "ds.run()" in source for o in outputs if "text" in o
    )
    for stage in ("scrape", "download", "validate", "split", "train", "interpret"):
        assert f"✓ {stage}" in printed
    assert "house" in shown['ds.model.predict(draw("house", 999))'][-1].data["text/html"]
    assert all("text/html" in outputs[-1].data for source, outputs in shown.items() if source.startswith("ds."))


def test_a_run_can_be_interrupted_and_its_errors_are_the_stages(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = threading.Event(), threading.Event()

    def steps(ws: Workspace, config: RunConfig, *, progress: Progress) -> Iterator[StageResult]:
        progress.start("working", None)
        begun.set()
        try:
            while True:
                progress.advance()
                time.sleep(0.01)
        finally:
            ended.set()
        yield StageResult("train", True, "never")

    monkeypatch.setattr("keepset.pipeline.run", steps)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
    try:
        threading.Timer(0.5, lambda: (begun.wait(), _thread.interrupt_main())).start()
        with pytest.raises(KeyboardInterrupt):
            Dataset(case.ws).run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.is_set()
    monkeypatch.undo()
    (case.ws.root / "config.json").unlink()
    with pytest.raises(ConfigError, match="no run config"):
        Dataset(case.ws).run()
