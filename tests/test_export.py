"""Exports, each loaded with its own library; what is left out, what is refused, and what a kill leaves behind."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from keepset import manifests
from keepset.errors import ConfigError, StageError, WorkspaceBusy, WorkspaceError
from keepset.export.dataset import Format, ImageFilter, export_dataset
from keepset.export.place import MARKER
from keepset.reasons import Split
from keepset.stages import StageResult
from keepset.storage.filenames import folder_names
from keepset.workspace import Workspace
from tests.export_fixtures import LABELS, Mixed, make_mixed, write_revision
from tests.factories import add_revision
from tests.processes import ran, started, wait_for
from tests.storage_fixtures import moved

FOLDERS = {".hidden": "%2Ehidden", "bär": "bär", "con": "%63on"}


def export(mixed: Mixed, form: Format, to: Path, **wanted: Any) -> StageResult:
    return export_dataset(mixed.ws, form, to, ImageFilter(**wanted))


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# -- each format by its own library ----------------------------------------------------------------


def test_imagefolder_loads_with_torchvision(mixed: Mixed, tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    done = export(mixed, Format.IMAGEFOLDER, tmp_path / "out")
    readable = lambda p: Path(p).suffix != ".txt"  # noqa: E731
    for split in Split:
        found = ImageFolder(str(tmp_path / "out" / split), is_valid_file=readable)
        assert found.classes == sorted(FOLDERS.values())
        labels = {FOLDERS[mixed.rows[s]["label"]] for s in mixed.of(split)}
        got = {Path(p).stem: found.classes[n] for p, n in found.samples}
        assert got == {s: FOLDERS[mixed.rows[s]["label"]] for s in mixed.of(split)}
        assert labels == set(got.values())
        for path, _ in found.samples:
            assert Path(path).read_bytes() == mixed.files[Path(path).stem]  # EXIF and all
        assert found[0][0].mode == "RGB"
    usual = ImageFolder(str(tmp_path / "out" / "train"))
    gifs = [s for s in mixed.of("train") if mixed.files[s].startswith(b"GIF")]
    assert len(usual) == len(mixed.of("train")) - len(gifs)
    assert gifs
    assert any("passes over" in n and "gif" in n for n in done.summary["notes"])
    assert "1 deleted, 1 exact copies" in done.message


def test_csv_loads_with_pandas_and_nothing_in_it_is_a_formula(mixed: Mixed, tmp_path: Path) -> None:
    import pandas as pd

    export(mixed, Format.CSV, tmp_path / "out")
    found = pd.read_csv(tmp_path / "out" / "labels.csv")
    assert set(found["sha256"]) == mixed.active
    for row in found.to_dict("records"):
        want = mixed.rows[row["sha256"]]
        assert (row["label"], row["split"]) == (want["label"], want["split"])
        assert row["is_valid"] is (want["split"] == "valid")
        assert (tmp_path / "out" / row["name"]).read_bytes() == mixed.files[row["sha256"]]
    text = (tmp_path / "out" / "labels.csv").read_text()
    cells = [c for row in csv.reader(io.StringIO(text)) for c in row]
    assert not any(c.startswith(("=", "+", "@")) for c in cells)


def test_no_export_tells_of_this_machine_or_of_secrets(mixed: Mixed, tmp_path: Path) -> None:
    for form in Format:
        export(mixed, form, tmp_path / form)
        everything = b"".join(p.read_bytes() for p in (tmp_path / form).rglob("*") if p.is_file())
        for secret in (b"/home/me", b"u:p@", b"Signature", b"javascript:", str(tmp_path).encode()):
            assert secret not in everything, (form, secret)


def _by(code: str, *given: Path, **environment: str) -> Any:
    """What ``code`` prints as JSON, in a process of its own: these libraries leave files open and threads behind."""
    return json.loads(ran(code, *given, **environment).stdout)


_WEBDATASET = """
import glob, hashlib, json, sys, webdataset
found = {}
for split in ("train", "valid", "test"):
    shards = sorted(glob.glob(f"{sys.argv[1]}/{split}-*.tar"))
    raw = {s["__key__"]: s for s in webdataset.WebDataset(shards, shardshuffle=False)}
    for s in webdataset.WebDataset(shards, shardshuffle=False).decode("pil"):
        (kind,) = {"jpg", "png", "webp", "gif"} & s.keys()
        size = None if kind == "gif" else s[kind].size  # it leaves gif as bytes
        digest = hashlib.sha256(raw[s["__key__"]][kind]).hexdigest()
        found[s["__key__"]] = [split, len(shards), s["cls"], s["json"], digest, size]
print(json.dumps(found))
"""


def test_webdataset_loads_with_webdataset(mixed: Mixed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepset.export.webdataset.SHARD_BYTES", 20_000)
    export(mixed, Format.WEBDATASET, tmp_path / "out")
    classes = json.loads((tmp_path / "out" / "classes.json").read_text())
    found = _by(_WEBDATASET, tmp_path / "out")
    assert found.keys() == mixed.active
    for key, (split, shards, number, told, digest, size) in found.items():
        assert (split, classes[number]) == (mixed.rows[key]["split"], mixed.rows[key]["label"])
        assert (told["label"], told["license"], digest) == (classes[number], "cc-by-4.0", key)
        assert size in ([56, 40], None)
        assert shards > 1 or split != "train"


_DATASETS = """
import hashlib, json, sys, datasets
data = datasets.load_dataset(sys.argv[1], cache_dir=sys.argv[2])
raw = data.cast_column("image", datasets.Image(decode=False))
print(json.dumps({name: {
    "classes": split.features["label"].names, "sizes": sorted({r["image"].size for r in split}),
    "rows": [[hashlib.sha256(r["image"]["bytes"]).hexdigest(), r["image"]["path"], r["label"], r["license"]]
             for r in raw[name]],
} for name, split in data.items()}))
"""


def test_huggingface_loads_with_datasets(mixed: Mixed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepset.export.huggingface.SHARD_BYTES", 20_000)
    export(mixed, Format.HUGGINGFACE, tmp_path / "out")
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    found = _by(_DATASETS, tmp_path / "out", tmp_path / "cache", **offline)
    assert found.keys() == {"train", "validation", "test"}
    assert len(list((tmp_path / "out" / "data").glob("train-*-of-*.parquet"))) > 1
    for split, name in (("train", "train"), ("valid", "validation"), ("test", "test")):
        assert found[name]["classes"] == sorted(LABELS)
        assert found[name]["sizes"] in ([[40, 56], [56, 40]], [[56, 40]])
        got = {digest: facts for digest, *facts in found[name]["rows"]}
        assert got.keys() == mixed.of(split)
        for digest, (path, label, license_) in got.items():
            assert path.partition(".")[0] == digest
            assert (sorted(LABELS)[label], license_) == (mixed.rows[digest]["label"], "cc-by-4.0")


# -- what is in it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", Format)
def test_again_does_nothing_and_a_new_revision_is_exported(form: Format, mixed: Mixed, tmp_path: Path) -> None:
    assert export(mixed, form, tmp_path / "out").changed
    before = _tree(tmp_path / "out")
    again = export(mixed, form, tmp_path / "out")
    assert not again.changed
    assert again.message.startswith("up to date")
    assert _tree(tmp_path / "out") == before
    one = min(mixed.of("train"))
    mixed.rows[one] |= {"label": "con" if mixed.rows[one]["label"] != "con" else "bär"}
    write_revision(mixed, 2)
    assert export(mixed, form, tmp_path / "out").changed
    assert _tree(tmp_path / "out") != before
    assert export(mixed, form, tmp_path / "old", revision=1).changed
    assert _tree(tmp_path / "old") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old", "out", "ws"]


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_one_split_numbers_the_classes_as_all_do(mixed: Mixed, tmp_path: Path) -> None:
    done = export(mixed, Format.IMAGEFOLDER, tmp_path / "out", splits=(Split.TEST,))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "README.md", "attribution.csv", "images.csv", MARKER, "test"
    ]  # fmt: skip
    assert sorted(p.name for p in (tmp_path / "out" / "test").iterdir()) == sorted(FOLDERS.values())
    assert done.summary["left_out"]["other_splits"] == len(mixed.of("train") | mixed.of("valid"))


# -- what is refused -------------------------------------------------------------------------------


def test_what_is_not_its_own_is_left_alone(mixed: Mixed, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(WorkspaceError, match="not empty and is not a Keepset export"):
        export(mixed, Format.CSV, folder)
    with pytest.raises(WorkspaceError, match="holds the workspace"):
        export(mixed, Format.CSV, tmp_path)
    other = Workspace.create(tmp_path / "other", "other")
    with pytest.raises(WorkspaceError, match="is in the workspace"):
        export(mixed, Format.CSV, other.root / "out")
    with pytest.raises(WorkspaceError, match="is a file"):
        export(mixed, Format.CSV, folder / "thesis.tex")
    assert _tree(folder) == {"thesis.tex": b"years of work"}
    export(mixed, Format.CSV, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(WorkspaceError, match="added, removed or changed"):
        export(mixed, Format.CSV, tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    (tmp_path / "out" / "notes.txt").unlink()
    with pytest.raises(WorkspaceError, match=r"holds another export: csv of the data set 'Mixed \| set'"):
        export(mixed, Format.WEBDATASET, tmp_path / "out")
    (tmp_path / "elsewhere").mkdir()
    other = make_mixed(tmp_path / "elsewhere", per_class=4)
    with pytest.raises(WorkspaceError, match="Give another folder with --to, or delete that one"):
        export(other, Format.CSV, tmp_path / "out")
    assert not export(mixed, Format.CSV, tmp_path / "out").changed
    shutil.rmtree(tmp_path / "out")
    assert export(mixed, Format.WEBDATASET, tmp_path / "out").changed


def test_damaged_and_missing_files_are_named_and_nothing_half_done_stays(mixed: Mixed, tmp_path: Path) -> None:
    one = min(mixed.active)
    mixed.ws.blob(one).write_bytes(mixed.files[one] + b"!")
    with pytest.raises(StageError, match=f"{one} is damaged"):
        export(mixed, Format.CSV, tmp_path / "out")
    mixed.ws.blob(one).unlink()
    with pytest.raises(StageError, match="gone from the workspace"):
        export(mixed, Format.HUGGINGFACE, tmp_path / "out")
    with pytest.raises(ConfigError, match="no revision 9"):
        export(mixed, Format.CSV, tmp_path / "out", revision=9)
    assert [p.name for p in tmp_path.iterdir()] == ["ws"]


def test_a_kill_leaves_nothing_that_looks_finished(mixed: Mixed, tmp_path: Path) -> None:
    """And the older export stands as it was; two at once do not mix."""
    export(mixed, Format.CSV, tmp_path / "out", splits=(Split.TRAIN,))
    before = _tree(tmp_path / "out")
    one = max(mixed.active)
    blob = mixed.ws.blob(one)
    blob.unlink()
    os.mkfifo(blob)  # the export waits for it for ever
    code = (
        "import sys; from pathlib import Path; from keepset.workspace import Workspace\n"
        "from keepset.export.dataset import *\n"
        "export_dataset(Workspace.open(Path(sys.argv[1])), Format.CSV, Path(sys.argv[2]))"
    )
    (temp := tmp_path / "temp").mkdir()
    process = started(code, mixed.ws.root, tmp_path / "out", TMPDIR=str(temp))
    part = tmp_path / ".out.keepset-part" / "images"
    wait_for(lambda: part.is_dir() and any(part.iterdir()), "the first pictures", every_s=0.02)
    with pytest.raises(WorkspaceBusy):
        export(mixed, Format.CSV, tmp_path / "out")
    process.kill()
    process.communicate()
    assert _tree(tmp_path / "out") == before
    assert list(temp.iterdir()) == []
    blob.unlink()
    blob.write_bytes(mixed.files[one])
    assert export(mixed, Format.CSV, tmp_path / "out").changed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "temp", "ws"]


def test_killed_between_the_two_renames(mixed: Mixed, tmp_path: Path) -> None:
    export(mixed, Format.CSV, tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.keepset-old")
    export(mixed, Format.CSV, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "ws"]


# -- names -----------------------------------------------------------------------------------------


def test_folder_names_are_safe_and_differ() -> None:
    labels = [
        "a/b", "a\\b", "..", ".", ".git", "Bear", "bear", "CON", "con.txt", "x" * 300, "x" * 301, "ünï", "日本",
        "a b ", "tab\there", "100%", "-rf", "",
    ]  # fmt: skip
    found = folder_names(labels)
    assert set(found) == set(labels)
    assert len({n.casefold() for n in found.values()}) == len(labels)
    for name in found.values():
        assert 0 < len(name.encode()) <= 200
        assert not set(name) & set('/\\<>:"|?*\t')
        assert not name.startswith(".")
        assert not name.endswith((".", " "))
    assert found["ünï"] == "ünï"
    assert found["bear"] == "bear" or found["Bear"] == "Bear"


# -- size ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_does_not_grow_with_the_data_set(tmp_path: Path) -> None:
    """Five times the pictures (60 MB), the same peak, within a tenth of the difference."""
    peaks = [_peak(tmp_path / str(n), n) for n in (1, 5)]
    assert peaks[1] - peaks[0] < 25, peaks


def _peak(root: Path, times: int) -> float:
    """MB at most resident while three formats are exported, in a fresh process."""
    import numpy as np

    from keepset.manifests import Header
    from tests.factories import dataset_row, image_row

    root.mkdir()
    ws = Workspace.create(root / "ws", "large")
    rows, images = [], []
    picture = Image.new("RGB", (8, 8))
    for i in range(30 * times):
        data = b"\xff\xd8\xff" + np.random.default_rng(i).bytes(400_000)
        digest = sha(data)
        ws.blob(digest).parent.mkdir(parents=True, exist_ok=True)
        ws.blob(digest).write_bytes(data)
        images.append(image_row(digest, "a", data, picture, i))
        rows.append(dataset_row(digest, "a", i, 1))
    manifests.write(ws.images, images, Header("images", "validate", "factory"))
    add_revision(ws, rows)
    code = (
        "import sys, resource; from pathlib import Path; from keepset.workspace import Workspace\n"
        "from keepset.export.dataset import *\n"
        "ws = Workspace.open(Path(sys.argv[1]))\n"
        "for f in ('imagefolder', 'webdataset', 'huggingface'):\n"
        "    export_dataset(ws, Format(f), Path(sys.argv[2]) / f)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    return float(ran(code, ws.root, root / "out").stdout)


def test_from_the_command_line(mixed: Mixed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.test_cli import run

    where = ("-w", mixed.ws.root, "--to", tmp_path / "out")
    code, out, _ = run(capsys, "export", "imagefolder", *where, "--split", "train", "--split", "valid")
    assert code == 0
    assert "left out: 1 deleted, 1 exact copies" in out
    code, out, _ = run(capsys, "export", "imagefolder", *where, "--split", "train", "--split", "valid", "--json")
    (done,) = json.loads(out)["results"]
    assert (done["changed"], set(done["summary"]["images"])) == (False, {"train", "valid"})
    code, _, err = run(capsys, "export", "csv", *where, "--revision", 7)
    assert (code, "no revision 7" in err) == (2, True)
    assert run(capsys, "export", "tfrecord", *where)[0] == 2


def test_a_workspace_on_an_object_store_is_exported_alike(mixed: Mixed, tmp_path: Path, s3: str) -> None:
    export(mixed, Format.CSV, tmp_path / "disk")
    ws = Workspace.open(moved(mixed.ws.root, f"{s3}/ws"))
    export_dataset(ws, Format.CSV, tmp_path / "store")
    assert _tree(tmp_path / "store") == _tree(tmp_path / "disk")
