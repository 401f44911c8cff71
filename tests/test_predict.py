"""Prediction from the exported model: same answer as torch, same pixels as training, bad input is a row."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from keepset.config import RunConfig
from keepset.errors import ModelError, PictureUnreadable
from keepset.export.onnx import export_model, load_network
from keepset.models import load_record
from keepset.predict import Predictor, load, predict_files
from keepset.predict.files import Row
from keepset.predict.intake import Limits, Refused
from keepset.predict.remote import own_servers
from keepset.predict.writers import write_csv, write_json_lines
from keepset.reasons import DownloadReason, ImageReason, ItemStatus
from keepset.stages import SILENT
from keepset.train.pixels_cache import PixelCache
from keepset.workspace import Workspace
from tests.predict_fixtures import Served
from tests.processes import ran
from tests.test_cli import run


@pytest.fixture(scope="module")
def served(template_case: Served, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Predictor, list[str]]:
    ws = Workspace.open(shutil.copytree(template_case.ws.root, tmp_path_factory.mktemp("predict") / "ws"))
    return ws, load(ws.root), list(template_case.truth)


def test_same_probabilities_as_torch_on_pictures(served: tuple[Workspace, Predictor, list[str]]) -> None:
    import torch

    ws, predictor, shas = served
    record = load_record(ws, predictor.model_id)
    pixels = np.stack([predictor.prepare(ws.blob(s)) for s in shas])
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.no_grad():
        want = (load_network(ws, record)(x) / record.temperature).softmax(1).numpy()
    got = predictor.predict([ws.blob(s) for s in shas])
    for row, one in zip(want, got, strict=True):
        assert one.label == record.classes[int(row.argmax())]
        assert [one.probabilities[c] for c in record.classes] == pytest.approx(row.tolist(), abs=1e-4)


def test_same_pixels_as_in_training(served: tuple[Workspace, Predictor, list[str]]) -> None:
    ws, predictor, shas = served
    cache = PixelCache(ws, predictor.preprocess)
    cache.fill(shas, SILENT)
    rim = (predictor.preprocess.resize - predictor.preprocess.crop) // 2
    centre = cache.read(shas)[:, rim : -rim or None, rim : -rim or None]
    assert np.array_equal(centre, np.stack([predictor.prepare(ws.blob(s)) for s in shas]))


def test_path_bytes_picture_and_array_agree(served: tuple[Workspace, Predictor, list[str]]) -> None:
    ws, predictor, shas = served
    data = ws.blob(shas[0]).read_bytes()
    picture = Image.open(ws.blob(shas[0]))
    answers = predictor.predict([ws.blob(shas[0]), data, picture, np.asarray(picture)])
    assert all(a.probabilities == pytest.approx(answers[0].probabilities, abs=1e-5) for a in answers)


@pytest.mark.parametrize("given", [3, np.zeros((4, 4, 3), np.float64)])
def test_what_is_no_picture_at_all_is_a_type_error(
    served: tuple[Workspace, Predictor, list[str]], given: object
) -> None:
    with pytest.raises(TypeError, match="uint8 array"):
        served[1].predict(given)


def test_a_path_that_is_not_there_is_told_and_the_module_shows_what_it_has(
    served: tuple[Workspace, Predictor, list[str]], tmp_path: Path
) -> None:
    import keepset

    with pytest.raises(PictureUnreadable, match=r"nope\.jpg cannot be read: no such file") as e:
        served[1].predict(tmp_path / "nope.jpg")
    assert isinstance(e.value, OSError)
    assert "load" in dir(keepset)
    assert "annotations" not in dir(keepset)


def test_a_folder_gives_a_row_for_every_file(served: tuple[Workspace, Predictor, list[str]], tmp_path: Path) -> None:
    ws, predictor, shas = served
    (tmp_path / "a.jpg").write_bytes(ws.blob(shas[0]).read_bytes())
    (tmp_path / "b.jpg").write_bytes(ws.blob(shas[1]).read_bytes()[:500])
    (tmp_path / "c.txt").write_text("no picture")
    (tmp_path / "d.jpg").write_bytes(b"")
    rows = [r.as_dict() for r in predict_files(predictor, [str(tmp_path), str(tmp_path / "gone.jpg")])]
    assert [r["status"] for r in rows] == ["ok", "rejected", "rejected", "rejected", "failed"]
    assert [r["reason"] for r in rows] == [None, "broken", "not_an_image", "empty_file", "file_missing"]


def test_names_that_are_no_utf_8_are_predicted_and_written(
    served: tuple[Workspace, Predictor, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # the table shows long paths whole
    ws, predictor, shas = served
    folder = tmp_path / "in" / os.fsdecode(b"b\xe4r")
    folder.mkdir(parents=True)
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(ws.blob(shas[0]).read_bytes())
    for form in ("jsonl", "csv"):
        out = tmp_path / os.fsdecode(b"\xe9." + form.encode())
        code, said, err = run(capsys, "predict", folder, "--model", predictor.path, "--to", out)
        assert code == 0, err
        assert "é." in said + err
        assert "bär/café.jpg" in out.read_bytes().decode(errors="replace").replace("\\\\", "\\")
    assert run(capsys, "predict", folder, "--model", predictor.path, "--json")[0] == 0
    assert "café" in run(capsys, "predict", folder, "--model", predictor.path)[1]


def test_too_many_pixels_are_refused_before_decoding(served: tuple[Workspace, Predictor, list[str]]) -> None:
    ws, predictor, shas = served
    with pytest.raises(Refused, match="pixels"):
        predictor.prepare(ws.blob(shas[0]), Limits(max_pixels=100))


def test_what_a_data_set_takes_by_default_is_predicted_too(served: tuple[Workspace, Predictor, list[str]]) -> None:
    config, ours = RunConfig.model_fields, Limits()
    assert ours.max_bytes == config["download"].default.max_bytes
    validate = config["validate_"].default
    assert (ours.max_pixels, ours.formats) == (validate.max_pixels, validate.formats)
    out = io.BytesIO()
    Image.new("L", (8000, 6900)).save(out, "JPEG", quality=1)  # 55 megapixels, more than an upload may have
    assert served[1].prepare(out.getvalue()).shape[2] == 3


def test_no_model_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx"):
        load(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(tmp_path)


def test_prediction_needs_no_torch_and_reports_to_nobody(
    served: tuple[Workspace, Predictor, list[str]], tmp_path: Path
) -> None:
    ws, _, shas = served
    code = "import sys; from keepset import load; load(sys.argv[1]).predict(sys.argv[2]); print('torch' in sys.modules)"
    done = ran(code, ws.root, ws.blob(shas[0]), HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    assert done.stdout.strip() == "False"
    assert list(tmp_path.rglob("*onnxruntime*")) == []  # it keeps no book for its makers


def test_writers_hold_every_row(served: tuple[Workspace, Predictor, list[str]], tmp_path: Path) -> None:
    ws, predictor, shas = served
    rows = list(predict_files(predictor, [str(ws.blob(shas[0])), str(tmp_path / "gone.jpg")]))
    lines, sheet = io.StringIO(), io.StringIO()
    write_json_lines(rows, lines)
    write_csv(rows, sheet)
    assert [json.loads(x) for x in lines.getvalue().splitlines()] == [r.as_dict() for r in rows]
    read = list(csv.DictReader(io.StringIO(sheet.getvalue())))
    assert [r["status"] for r in read] == ["ok", "failed"]


def test_the_command_writes_what_the_file_is_called(
    served: tuple[Workspace, Predictor, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from keepset.cli import main

    def predict(*args: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as e:
            main(["predict", *map(str, args), "-w", str(ws.root)])
        return e.value.code or 0, capsys.readouterr().err  # type: ignore[return-value]

    ws, _, shas = served
    picture = ws.blob(shas[0])
    assert predict(picture, "--to", tmp_path / "new" / "a.csv")[0] == 0
    assert (tmp_path / "new" / "a.csv").read_text().startswith("input,status,label")
    code, err = predict(picture, "--to", tmp_path / "a.parquet")
    assert (code, "one folder" in err) == (2, True)
    (tmp_path / "list.txt").write_text(f"{picture}\n")
    assert predict(tmp_path / "list.txt", "--to", tmp_path / "a.parquet", "--model", ws.promoted())[0] == 0
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 1
    assert predict("--to", tmp_path / "all.parquet")[0] == 0
    assert pq.read_table(tmp_path / "all.parquet").num_rows == len(shas)
    assert predict()[0] == 2
    assert predict(picture, "--to", tmp_path / "a.jsonl", "--model", ws.promoted())[0] == 0
    assert json.loads((tmp_path / "a.jsonl").read_text())["status"] == "ok"
    before = picture.read_bytes()  # what is read is never written over
    (tmp_path / "link.csv").symlink_to(picture)
    for read, write in ((picture, picture), (picture, tmp_path / "link.csv"), (tmp_path / "list.txt",) * 2):
        code, err = predict(read, "--to", write)
        assert (code, "with --to" in err) == (2, True)
    table = tmp_path / "places.parquet"
    pq.write_table(pa.table({"path": [str(picture)]}), table)
    code, err = predict(table, "--to", table)
    assert (code, "is one of the inputs" in err, pq.read_schema(table).names) == (2, True, ["path"])
    assert picture.read_bytes() == before
    (tmp_path / "file").write_text("")
    code, err = predict(picture, "--to", tmp_path / "file" / "a.csv")  # a file is in the way
    assert (code, "→ " in err) == (3, True)
    (tmp_path / "empty").mkdir()
    code, err = predict(tmp_path / "empty")
    assert (code, "There is no file in" in err) == (1, True)


def test_no_cell_of_the_table_runs_as_a_formula() -> None:
    names = ["=1+1.jpg", "+a.jpg", "-a.jpg", "@a.jpg", " =a.jpg", "a  b.jpg"]
    sheet = io.StringIO()
    write_csv([Row(n, ItemStatus.FAILED, reason=ImageReason.NOT_AN_IMAGE, detail=n) for n in names], sheet)
    read = list(csv.DictReader(io.StringIO(sheet.getvalue())))
    assert [r["input"] for r in read] == [*(f"'{n}" for n in names[:-1]), names[-1]]
    assert [r["detail"] for r in read] == [r["input"] for r in read]


def test_the_distance_is_that_of_cleaning_and_noise_is_unfamiliar(template_case: Served) -> None:
    from keepset.train.results import distances

    case, predictor = template_case, load(template_case.ws.root)
    rows = case.ws.current_dataset().rows()
    pixels = [predictor.prepare(case.ws.blob(r["sha256"])) for r in rows]
    features = predictor._session.run(["features"], {"pixels": np.stack(pixels)})[0]
    learn = np.array([r["split"] == "train" for r in rows])
    wanted = distances(features, learn)
    found = predictor.predict_pixels(pixels)
    for row, w, p in zip(rows, wanted, found, strict=True):
        if row["split"] == "valid":  # a training picture is its own nearest neighbour here
            assert p.distance == pytest.approx(w, abs=1e-5)
    assert predictor.far == pytest.approx(float(np.quantile(wanted[~learn], 0.99)), abs=1e-5)
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert predictor.predict(noise).unfamiliar


def test_an_export_of_an_older_version_or_a_damaged_one_is_made_again(model_case: Served) -> None:
    import onnx

    case = model_case
    path = export_model(case.ws, "0" * 16)
    stands = path.stat().st_mtime_ns
    assert export_model(case.ws, "0" * 16).stat().st_mtime_ns == stands
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {"classes": "[]"})
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match="lacks Keepset's metadata"):
        load(path)
    assert load(export_model(case.ws, "0" * 16)).classes == case.config.labels
    path.write_bytes(path.read_bytes()[:100_000])  # a damaged one too
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(path)
    assert load(export_model(case.ws, "0" * 16)).classes == case.config.labels


def test_an_export_that_differs_from_torch_is_refused(model_case: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from keepset.export import onnx as exporting

    case = model_case
    path = case.ws.models / ("0" * 16) / "model.onnx"
    path.unlink()
    real = exporting._write

    def other_weights(network: object, *given: object) -> None:
        import torch

        with torch.no_grad():
            network.network.network.get_classifier().bias[0] += 0.01  # type: ignore[attr-defined]
        real(network, *given)  # type: ignore[arg-type]
        with torch.no_grad():
            network.network.network.get_classifier().bias[0] -= 0.01  # type: ignore[attr-defined]

    monkeypatch.setattr(exporting, "_write", other_weights)
    with pytest.raises(ModelError, match="differs from torch"):
        export_model(case.ws, "0" * 16)
    assert not path.exists()


def test_the_model_is_taken_out_as_one_file_that_needs_no_workspace(
    served: tuple[Workspace, Predictor, list[str]], tmp_path: Path
) -> None:
    from keepset.errors import ConfigError, WorkspaceError
    from keepset.export.model_file import copy_model

    ws, predictor, shas = served
    file = tmp_path / "out" / "bears.onnx"
    assert copy_model(ws, file).changed
    assert not copy_model(ws, file).changed
    assert load(file).predict(ws.blob(shas[0])) == predictor.predict(ws.blob(shas[0]))
    (tmp_path / "mine.onnx").write_bytes(b"somebody's")
    with pytest.raises(WorkspaceError, match="is not a model that Keepset exported"):
        copy_model(ws, tmp_path / "mine.onnx")
    with pytest.raises(ConfigError, match=r"does not end in \.onnx"):
        copy_model(ws, tmp_path)
    with pytest.raises(ModelError):
        copy_model(ws, file, "f" * 16)
    (ws.models / predictor.model_id).rename(ws.models / "gone")  # as in another workspace
    shutil.copytree(ws.models / "gone", ws.models / ("e" * 16))
    (ws.models / ("e" * 16) / "model.json").write_text(
        (ws.models / "gone" / "model.json").read_text().replace(predictor.model_id, "e" * 16)
    )
    with pytest.raises(WorkspaceError, match="holds a model of another workspace"):
        copy_model(ws, file, "e" * 16)
    shutil.rmtree(ws.models / ("e" * 16))
    (ws.models / "gone").rename(ws.models / predictor.model_id)
    assert (tmp_path / "mine.onnx").read_bytes() == b"somebody's"


def test_a_server_of_ones_own_is_asked_only_if_the_run_config_allows_it(
    served: tuple[Workspace, Predictor, list[str]],
) -> None:
    from keepset.demo.pictures import Plant, Planted
    from keepset.demo.server import serve

    ws, predictor, shas = served
    picture = Planted("/a.jpg", "apple", Plant.NOTHING, "apple", ws.blob(shas[0]).read_bytes())
    with serve([picture]) as base:
        config = ws.config()
        allowed = config.download.model_copy(update={"allow_private": (base.removeprefix("http://"),)})
        ws.save_config(config.model_copy(update={"download": allowed}))
        (refused,) = predict_files(predictor, [f"{base}/a.jpg"])
        (taken,) = predict_files(predictor, [f"{base}/a.jpg"], allow_private=own_servers(ws.root))
    assert refused.reason == DownloadReason.BLOCKED_ADDRESS
    assert taken.status == ItemStatus.OK
    assert own_servers(ws.root / "nowhere") == ()


def test_batch_norm_is_folded_for_the_export_only_where_that_is_right() -> None:
    import torch

    from keepset.export.onnx import _plain

    class Ordered(torch.nn.Module):
        def __init__(self, norm_first: bool) -> None:
            super().__init__()
            self.conv, self.norm, self.norm_first = (torch.nn.Conv2d(3, 3, 3), torch.nn.BatchNorm2d(3), norm_first)
            self.norm.running_mean = torch.tensor([1.0, -2.0, 0.5])
            self.norm.running_var = torch.tensor([4.0, 0.3, 1.5])

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.conv(self.norm(x)) if self.norm_first else self.norm(self.conv(x)),)

    x = torch.randn(2, 3, 8, 8)
    for norm_first in (False, True):
        network = Ordered(norm_first).eval()
        with torch.no_grad():
            plain = _plain(network, x)
            assert torch.allclose(plain(x)[0], network(x)[0], atol=1e-5)
        assert any(isinstance(m, torch.nn.BatchNorm2d) for m in plain.modules()) is norm_first
