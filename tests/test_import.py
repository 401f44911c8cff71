"""Imports: trees, tables and our own exports become a run config; the pictures come in the ordinary way."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from keepset.config import load_config, parse_config
from keepset.demo.draw import CLASSES, draw
from keepset.download import download
from keepset.errors import ConfigError, SourceError
from keepset.export.dataset import Format, export_dataset
from keepset.importing import config_text, find_pictures
from keepset.scrape import scrape
from keepset.split import split
from keepset.stages import StageResult
from keepset.text import label_of
from keepset.validate import validate
from keepset.workspace import Workspace
from tests.export_fixtures import Mixed
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
    assert {r["reason"] for r in refused} == {"outside_its_folder"}
    above = tmp_path / "above.csv"  # the remedy: the table above the files
    above.write_text(f"name,label\noutside.jpg,{CLASSES[0]}\nbears/1.jpg,{CLASSES[1]}\n")
    (tmp_path / "again").mkdir()
    assert [r["reason"] for r in urls(above, tmp_path / "again")] == [None, None]
    (gone,) = [r for r in manifests.read(ws.downloads, "downloads").rows() if r["status"] == "failed"]
    assert (gone["reason"], gone["url"].endswith("/gone.jpg")) == ("not_found", True)


@pytest.mark.parametrize("form", [Format.IMAGEFOLDER, Format.CSV])
def test_what_was_exported_comes_back_the_same(form: Format, mixed: Mixed, tmp_path: Path) -> None:
    export_dataset(mixed.ws, form, tmp_path / "out")
    _, rows, _ = bring_in(tmp_path / "out", tmp_path)
    got = {r["sha256"]: (r["label"], r["split"]) for r in rows.values() if r["active"]}
    assert got == {s: (mixed.rows[s]["label"], mixed.rows[s]["split"]) for s in mixed.active}


def urls(source: Path, root: Path) -> list[dict[str, Any]]:
    """Import, then collect: the rows of urls.parquet. What import counts is what is collected, class by class."""
    from keepset import manifests

    found, path = find_pictures(source), root / "urls.toml"
    path.write_text(config_text(found, path))
    config = load_config(path)
    ws = Workspace.create(root / "urls-ws", config.name)
    scrape(ws, config)
    rows = manifests.read(ws.urls, "urls").rows()
    counted = Counter({label: of.total() for label, of in found.counts.items()})
    assert Counter(r["label"] for r in rows if r["label"]) == counted
    return rows


def sides(rows: dict[str, dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter((r["label"], r["split"]) for r in rows.values() if r["active"])


def test_a_linked_folder_of_a_side_is_on_that_side(tmp_path: Path) -> None:
    """A1: the link was replaced by its target, which is in no folder of [split]."""
    tree = tmp_path / "set"
    for i in range(20):
        picture(tree / ("valid", "train")[i % 2] / CLASSES[i // 2 % 2], CLASSES[i // 2 % 2], i)
    (tree / "valid" / CLASSES[1]).rename(tmp_path / "elsewhere")
    (tree / "valid" / CLASSES[1]).symlink_to(tmp_path / "elsewhere")
    _, rows, _ = bring_in(tree, tmp_path)
    assert sides(rows) == {(c, side): 5 for c in CLASSES[:2] for side in ("train", "valid")}


def test_sides_named_by_another_path_are_the_same_sides(tmp_path: Path) -> None:
    """The same kind, by hand: [split] names the real folder, the class a link to it."""
    for i in range(8):
        picture(tmp_path / "real" / ("valid", "train")[i % 2] / CLASSES[i // 2 % 2], CLASSES[i // 2 % 2], i)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    classes = {c: {"folders": [f"link/train/{c}", f"real/../link/valid/{c}"]} for c in CLASSES[:2]}
    config = parse_config({"classes": classes, "split": {"valid_folders": ["real/valid"]}}, base=tmp_path)
    ws = Workspace.create(tmp_path / "ws", "x")
    for stage in (scrape, download, validate, split):
        stage(ws, config)
    assert Counter(r["split"] for r in ws.current_dataset().rows()) == {"train": 4, "valid": 4}


def test_a_folder_of_a_side_that_nothing_comes_from_is_an_error(tmp_path: Path) -> None:
    for i in range(4):
        picture(tmp_path / CLASSES[i % 2], CLASSES[i % 2], i)
    (tmp_path / "valid").mkdir()
    classes = {c: {"folders": [c]} for c in CLASSES[:2]}
    ws = Workspace.create(tmp_path / "ws", "x")
    config = parse_config({"classes": classes, "split": {"valid_folders": ["valid"]}}, base=tmp_path)
    for stage in (scrape, download, validate):
        stage(ws, config)
    with pytest.raises(ConfigError, match="no picture of the data set comes from it"):
        split(ws, config)
    split(ws, parse_config({"classes": classes}, base=tmp_path))  # the remedy: taken out of [split]


def test_linked_sub_folders_are_read_and_loops_are_rows(tmp_path: Path) -> None:
    for i in range(4):
        picture(tmp_path / "set" / CLASSES[i % 2], CLASSES[i % 2], i)
    for i in range(5):
        picture(tmp_path / "more", CLASSES[0], 10 + i)
    (tmp_path / "set" / CLASSES[0] / "more").symlink_to(tmp_path / "more")
    (tmp_path / "set" / CLASSES[0] / "loop").symlink_to(tmp_path / "set")
    rows = urls(tmp_path / "set", tmp_path)
    assert Counter((r["label"], r["reason"]) for r in rows) == {
        (CLASSES[0], None): 7,
        (CLASSES[0], "unreadable"): 1,
        (CLASSES[1], None): 2,
    }


def test_every_file_is_a_picture_or_has_a_reason(tmp_path: Path) -> None:
    """import = scrape = images + reasons, whatever lies in the folders."""
    from keepset import manifests

    tree = tmp_path / "set"
    for i in range(12):
        picture(tree / CLASSES[i % 2], CLASSES[i % 2], i)
    odd = tree / CLASSES[0]
    good = (odd / "0.jpg").read_bytes()
    for name, data in (("cut.jpg", good[:400]), ("empty.jpg", b""), ("notes.txt", b"no picture"), ("twice.jpg", good),
                       ("a.heic", b"\0\0\0\x18ftypheic" + bytes(40)), ("b.svg", b"<svg xmlns='x'/>"), ("c d%.jpg", good + b"!"),
                       ("tiny.gif", b"GIF89a\1\0\1\0\0\0\0;")):  # fmt: skip
        (odd / name).write_bytes(data)
    (odd / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (odd / "loop").symlink_to(tree)
    os.mkfifo(odd / "pipe.jpg")
    counted = sum(of.total() for of in find_pictures(tree).counts.values())
    ws, _, _ = bring_in(tree, tmp_path)
    urls_, downloads = (manifests.read(p, n).rows() for p, n in ((ws.urls, "urls"), (ws.downloads, "downloads")))
    images = manifests.read(ws.images, "images").rows()
    assert counted == 12 + 8 + 3 == len(urls_)
    assert sum(r["status"] == "ok" for r in urls_) == len(downloads)
    assert sum(r["status"] == "ok" for r in downloads) == sum(r["copies"] for r in images)
    lost = [r for rows in (urls_, downloads, images) for r in rows if r["status"] != "ok"]
    assert all(r["reason"] for r in lost)
    assert sum(r["copies"] for r in images if r["status"] == "ok") + len(lost) == counted


def test_hidden_folders_are_in_no_class(tmp_path: Path) -> None:
    for folder in (*CLASSES[:2], f"{CLASSES[0]}/.ipynb_checkpoints", f"{CLASSES[0]}/@eaDir/0.jpg", "__MACOSX/x"):
        picture(tmp_path / "set" / folder, CLASSES[0], 0)
    assert len(urls(tmp_path / "set", tmp_path)) == 2


def test_a_test_set_without_a_validation_set(tmp_path: Path) -> None:
    """C2: Kaggle's layout. test stays test, and valid is drawn from train by seed."""
    for i in range(60):
        picture(tmp_path / "set" / ("test_set" if i < 12 else "training_set") / CLASSES[i % 2], CLASSES[i % 2], i)
    _, rows, done = bring_in(tmp_path / "set", tmp_path)
    assert sides(rows) == {(c, s): n for c in CLASSES[:2] for s, n in (("test", 6), ("train", 19), ("valid", 5))}
    assert all(r["split"] == "test" for name, r in rows.items() if int(name[:-4]) < 12)
    assert "WARNING" not in done.message


def test_rows_without_a_class_are_reported(tmp_path: Path) -> None:
    for i in range(12):
        picture(tmp_path, CLASSES[i % 2], i)
    lines = [f"{i}.jpg,{('a', 'b', '')[i % 3]}" for i in range(12)]
    (tmp_path / "t.csv").write_text("\n".join(["name,label", *lines]))
    assert "4 rows cannot be taken (no_label: line 4 gives no class" in find_pictures(tmp_path / "t.csv").notes[0]
    rows = urls(tmp_path / "t.csv", tmp_path)
    assert Counter(r["reason"] for r in rows) == {None: 8, "no_label": 4}


def test_a_class_that_only_measures_is_mentioned(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("name,label,split\n1.jpg,a,train\n2.jpg,b,test\n3.jpg,b,valid\n")
    notes = find_pictures(tmp_path / "t.csv").notes
    assert "No row for training: b. Remove these classes from the config, or add rows." in notes


def test_an_export_of_which_only_the_marker_is_odd_is_a_tree(tmp_path: Path) -> None:
    for i in range(2):
        picture(tmp_path / CLASSES[i], CLASSES[i], i)
    for odd in ('{"classes": 7}', '{"classes": [1, null]}', "[]", "{", '{"format": "csv", "classes": "ab"}'):
        (tmp_path / "keepset-export.json").write_text(odd)
        if "csv" not in odd:
            assert find_pictures(tmp_path).classes == sorted(CLASSES[:2])
    with pytest.raises(SourceError, match=r"labels\.csv cannot be read"):
        find_pictures(tmp_path)


def test_names_that_are_not_utf8_come_in(tmp_path: Path) -> None:
    odd = os.fsdecode(b"b\xe4r")
    for i in range(12):
        picture(tmp_path / os.fsdecode(b"d\xfcr") / (odd, "b")[i % 2], CLASSES[i % 2], i)
    picture(tmp_path / os.fsdecode(b"d\xfcr") / "b", CLASSES[2], 20, os.fsdecode(b"caf\xe9.jpg"))
    ws, rows, _ = bring_in(tmp_path / os.fsdecode(b"d\xfcr"), tmp_path)
    assert Counter(r["label"] for r in rows.values()) == {"bär": 6, "b": 7}
    assert ws.config().labels == ("b", "bär")


@pytest.mark.parametrize(
    "labels",
    [
        ("cat/tabby", "x\\y"), ("a" * 120, "b"), ("a\u00a0b", "c\tc"), ("-x", "=y"), ("'q\"", "[z]"),
        ("caf\u00e9", "cafe"),
    ],
)  # fmt: skip
def test_classes_of_any_name_are_taken_by_run(tmp_path: Path, labels: tuple[str, str]) -> None:
    with (tmp_path / "t.csv").open("w", newline="") as f:
        csv.writer(f).writerows([("name", "label"), ("1.jpg", labels[0]), ("2.jpg", labels[1])])
    assert {r["label"] for r in urls(tmp_path / "t.csv", tmp_path)} == {label_of(x) for x in labels}


@pytest.mark.parametrize("labels", [("A", "a"), ("x" * 201, "y"), ("Straße", "STRASSE")])
def test_classes_that_run_would_refuse_are_refused_before_a_config_is_written(
    tmp_path: Path, labels: tuple[str, str]
) -> None:
    (tmp_path / "t.csv").write_text(f"name,label\n1.jpg,{labels[0]}\n2.jpg,{labels[1]}\n")
    with pytest.raises(ConfigError, match=labels[0]) as e:
        config_text(find_pictures(tmp_path / "t.csv"), tmp_path / "t.toml")
    assert e.value.remedy == "Rename the folders, or the classes in the table, then import again."
    (tmp_path / "t.csv").write_text("name,label\n1.jpg,one\n2.jpg,two\n")
    assert len(urls(tmp_path / "t.csv", tmp_path)) == 2


def test_a_table_of_addresses_becomes_a_config(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("url,label\nhttp://x.example/1.jpg,a\nhttp://x.example/2.jpg,b\n")
    assert [(r["url"], r["label"], r["source"]) for r in urls(tmp_path / "t.csv", tmp_path)] == [
        ("http://x.example/1.jpg", "a", "list"),
        ("http://x.example/2.jpg", "b", "list"),
    ]


def test_what_is_no_data_set_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "one" / "bear").mkdir(parents=True)
    picture(tmp_path / "one" / "bear", CLASSES[0], 0)
    (tmp_path / "bad.csv").write_text("number,colour\n1,red\n")
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
    assert "Next: keepset run 'my bears.toml'" in out
    config = load_config(tmp_path / "my bears.toml")
    assert config.split.valid_folders == (str(tmp_path / "my bears" / "val"),)
    assert config.labels == tuple(sorted(CLASSES[:2]))
    assert run(capsys, "import", "my bears")[0] == 2
