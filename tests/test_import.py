"""Imports: trees, tables and our own exports become a run config; the pictures come in the ordinary way."""

# ruff: noqa: F811 - a fixture is imported, and then named as an argument

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keepset.config import load_config
from keepset.demo.draw import CLASSES, draw
from keepset.download import download
from keepset.errors import ConfigError, SourceError
from keepset.export.dataset import Format, Options, export_dataset
from keepset.export.selection import Wanted
from keepset.importing import config_text, find_pictures
from keepset.scrape import scrape
from keepset.split import split
from keepset.stages import StageResult
from keepset.validate import validate
from keepset.workspace import Workspace
from tests.export_fixtures import Mixed, mixed  # noqa: F401 - a fixture
from tests.factories import jpeg


def bring_in(source: Path, root: Path) -> tuple[Workspace, dict[str, dict[str, Any]], StageResult]:
    """Import, then the ordinary stages up to the split. Returns the rows by the name of the file they came from."""
    path = root / "imported.toml"
    path.write_text(config_text(find_pictures(source), path))
    config = load_config(path)
    ws = Workspace.create(root / "imported-ws", config.name)
    ws.save_config(config)
    for stage in (scrape, download, validate):
        stage(ws, config)
    done = split(ws, config)
    from keepset import manifests

    rows = {r["sha256"]: r for r in ws.current_dataset().rows()}
    images = manifests.read(ws.images, "images").rows()
    return ws, {i["url"].rpartition("/")[2]: rows[i["sha256"]] for i in images if i["sha256"] in rows}, done


def picture(folder: Path, label: str, i: int, name: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or f"{i}.jpg")
    path.write_bytes(jpeg(draw(label, i, width=160, height=120)))
    return path


def test_a_tree_with_splits_keeps_them(tmp_path: Path) -> None:
    tree = tmp_path / "bears"
    for i in range(12):
        picture(tree / ("valid", "train", "train")[i % 3] / CLASSES[i % 2], CLASSES[i % 2], i)
    picture(tree / "test" / CLASSES[0], CLASSES[0], 20)
    picture(tree / "train" / CLASSES[0], CLASSES[0], 0, "copy-of-a-valid-one.jpg")  # the same file, once
    big = draw(CLASSES[1], 3, width=160, height=120).resize((320, 240))
    (tree / "train" / CLASSES[1] / "twin.jpg").write_bytes(jpeg(big))
    _, rows, done = bring_in(tree, tmp_path)
    for name, row in rows.items():
        if name[:-4].isdigit():
            want = "test" if name == "20.jpg" else ("valid", "train", "train")[int(name[:-4]) % 3]
            assert (row["split"], row["active"]) == (want, True), name
    assert not rows["twin.jpg"]["active"]  # it would leak from a picture that measures
    assert "copy-of-a-valid-one.jpg" not in rows or rows["copy-of-a-valid-one.jpg"]["split"] == "valid"
    assert "1 left out" in done.message


def test_a_flat_tree_is_split_by_seed(tmp_path: Path) -> None:
    for i in range(20):
        picture(tmp_path / "flat" / CLASSES[i % 2], CLASSES[i % 2], i)
    (tmp_path / "flat" / "empty").mkdir()
    found = find_pictures(tmp_path / "flat")
    assert found.classes == sorted(CLASSES[:2])
    assert found.notes == ["empty is empty and is left out."]
    _, rows, _ = bring_in(tmp_path / "flat", tmp_path)
    assert sum(r["split"] == "valid" for r in rows.values()) == 4


def test_cleaned_csv_of_fastai(tmp_path: Path) -> None:
    """Written as fastai's ImageCleaner does: what was deleted is not in it, what was relabelled has the new label."""
    for i in range(8):
        picture(tmp_path / "bears" / CLASSES[i % 2], CLASSES[i % 2], i)
    picture(tmp_path, CLASSES[0], 30, "outside.jpg")
    lines = [f"{CLASSES[i % 2]}/{i}.jpg,{CLASSES[0] if i == 1 else CLASSES[i % 2]}" for i in range(7)]
    lines += [f"gone.jpg,{CLASSES[0]}", f"../outside.jpg,{CLASSES[0]}", f"/etc/passwd,{CLASSES[1]}"]
    cleaned = tmp_path / "bears" / "cleaned.csv"
    cleaned.write_text("\n".join(["name,label", *lines]) + "\n")
    assert find_pictures(tmp_path / "bears").notes[-1].startswith("There is a cleaned.csv")
    ws, rows, _ = bring_in(cleaned, tmp_path)
    assert {n: r["label"] for n, r in rows.items()} == {
        f"{i}.jpg": CLASSES[0] if i == 1 else CLASSES[i % 2] for i in range(7)
    }
    from keepset import manifests

    refused = [r for r in manifests.read(ws.urls, "urls").rows() if r["status"] == "rejected"]
    assert [r["detail"] for r in refused] == ["it lies outside the table's folder"] * 2
    (gone,) = [r for r in manifests.read(ws.downloads, "downloads").rows() if r["status"] == "failed"]
    assert (gone["reason"], gone["url"].endswith("/gone.jpg")) == ("not_found", True)


@pytest.mark.parametrize("form", [Format.IMAGEFOLDER, Format.CSV])
def test_what_was_exported_comes_back_the_same(form: Format, mixed: Mixed, tmp_path: Path) -> None:
    export_dataset(mixed.ws, form, tmp_path / "out", Options(Wanted()))
    _, rows, _ = bring_in(tmp_path / "out", tmp_path)
    got = {r["sha256"]: (r["label"], r["split"]) for r in rows.values() if r["active"]}
    assert got == {s: (mixed.rows[s]["label"], mixed.rows[s]["split"]) for s in mixed.active}


def test_what_is_no_data_set_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "one" / "bear").mkdir(parents=True)
    picture(tmp_path / "one" / "bear", CLASSES[0], 0)
    (tmp_path / "bad.csv").write_text("file,class\na.jpg,b\n")
    wrong: list[tuple[Path, type[Exception], str]] = [
        (tmp_path / "none", ConfigError, "There is no"),
        (tmp_path / "one", ConfigError, "only the class 'bear'"),
        (tmp_path / "bad.csv", SourceError, "no column 'label'"),
    ]
    for path, error, words in wrong:
        with pytest.raises(error, match=words):
            find_pictures(path)


def test_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.test_cli import run

    monkeypatch.chdir(tmp_path)
    for i in range(6):
        picture(tmp_path / "my bears" / ("train", "val")[i // 4] / CLASSES[i % 2], CLASSES[i % 2], i)
    code, out, _ = run(capsys, "import", "my bears")
    assert code == 0
    assert "Next: keepset run 'my bears.toml' -w 'my bears-workspace'" in out
    config = load_config(tmp_path / "my bears.toml")
    assert config.split.valid_folders == (str(tmp_path / "my bears" / "val"),)
    assert config.labels == tuple(sorted(CLASSES[:2]))
    assert run(capsys, "import", "my bears")[0] == 2
