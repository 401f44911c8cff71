"""Labelled tables: names, classes and sides as people write them; nothing in them is ignored in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepset import manifests
from keepset.config import parse_config
from keepset.errors import SourceError
from keepset.reasons import Split
from keepset.scrape import scrape
from keepset.scrape.tables import Labelled, read_labelled
from keepset.workspace import Workspace
from tests.factories import Told

SIDE = {"T": Split.TRAIN, "V": Split.VALID, "X": Split.TEST, "-": None}


def rows_of(path: Path, content: str | bytes) -> tuple[list[Labelled], list[str]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    notes: list[str] = []
    return list(read_labelled(str(path), notes.append)), notes


def with_sides(folder: Path, column: str, *values: str) -> str:
    """The sides that are understood, a letter per row."""
    lines = [f"{i}.jpg,a,{v}" for i, v in enumerate(values)]
    found, _ = rows_of(folder / "t.csv", "\n".join([f"name,label,{column}", *lines]))
    return "".join(k for row in found for k, side in SIDE.items() if side == row.side)


@pytest.mark.parametrize(
    ("column", "values", "sides"),
    [
        ("split", ("training", "testing", "Validation", "val", "dev", ""), "TXVVV-"),
        ("Split", ("TRAIN", "Test", "nan"), "TX-"), ("is_valid", ("1.0", "0.0"), "VT"),
        ("is_valid", ("yes", "no", "TRUE", "f", ""), "VTVT-"), ("is_test", ("1", "0"), "XT"),
        ("is_training_image", ("1", "0"), "TX"), ("data set", ("train", "valid", "test"), "TVX"),
        ("subset", ("train", "web"), "--"),
    ],
)  # fmt: skip
def test_sides_as_tools_write_them(tmp_path: Path, column: str, values: tuple[str, ...], sides: str) -> None:
    assert with_sides(tmp_path, column, *values) == sides


def test_a_column_that_is_not_the_split_after_all_is_mentioned(tmp_path: Path) -> None:
    _, notes = rows_of(tmp_path / "t.csv", "name,label,subset\n1.jpg,a,web\n")
    assert notes == ["t.csv: the column 'subset' is not used as the split."]
    assert not rows_of(tmp_path / "t.csv", "name,label,split,is_valid\n1.jpg,a,valid,1\n2.jpg,a,train,0\n")[1]
    _, notes = rows_of(tmp_path / "t.csv", "name,label,split,is_valid\n1.jpg,a,test,0\n")
    assert notes == ["t.csv: the split is taken from the column 'split' only."]


@pytest.mark.parametrize(("column", "value"), [("split", "foo"), ("is_valid", "maybe"), ("is_test", "2")])
def test_a_side_that_is_not_understood_is_an_error_that_names_it(tmp_path: Path, column: str, value: str) -> None:
    with pytest.raises(SourceError) as e:
        with_sides(tmp_path, column, "", value)
    assert f"'{column}'" in e.value.message
    assert f"'{value}'" in e.value.message
    assert "rename the column" in e.value.remedy
    assert with_sides(tmp_path, "remark", "", value) == "--"  # the remedy, followed


@pytest.mark.parametrize(
    "head", ["Name,Label", "file_name,class", " name, label", "filepaths,labels", "File Name,Category", "image,target"]
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_as_people_name_them(tmp_path: Path, head: str, separator: str) -> None:
    (tmp_path / "1.jpg").touch()
    found, _ = rows_of(tmp_path / "t.csv", f"{head}\n1.jpg,cat\n".replace(",", separator))
    assert [(r.label, r.found.url) for r in found] == [("cat", (tmp_path / "1.jpg").as_uri())]


@pytest.mark.parametrize("content", ["foo,bar\n1.jpg,cat\n", "1.jpg,cat\n2.jpg,dog\n", "name\n1.jpg\n", ""])
def test_a_table_without_its_columns_is_an_error_whose_remedy_works(tmp_path: Path, content: str) -> None:
    with pytest.raises(SourceError) as e:
        rows_of(tmp_path / "t.csv", content)
    assert "The first line must name the columns: name" in e.value.remedy
    found, _ = rows_of(tmp_path / "t.csv", "name,label\n1.jpg,cat\n2.jpg,dog\n")
    assert [r.label for r in found] == ["cat", "dog"]


def test_labels_are_compared_as_the_config_writes_them(tmp_path: Path) -> None:
    found, _ = rows_of(tmp_path / "t.csv", "name,label\n1.jpg,cafe\u0301\n2.jpg, polar\u00a0bear\n3.jpg,x\\y/z\n")
    assert [r.label for r in found] == ["café", "polar bear", "x\\y/z"]


def test_labels_in_another_encoding_stay_apart(tmp_path: Path) -> None:
    found, notes = rows_of(tmp_path / "t.csv", "name;label\n1.jpg;café\n2.jpg;cafè\n".encode("latin-1"))
    assert [r.label for r in found] == ["café", "cafè"]
    assert "Windows-1252" in notes[0]


def test_rows_that_cannot_be_taken_have_their_reason(tmp_path: Path) -> None:
    found, _ = rows_of(
        tmp_path / "t.csv", "name,label\n1.jpg,\n,cat\n2.jpg,cat,more\n../out.jpg,cat\n/etc/passwd,cat\n"
    )
    assert [(r.label, str(r.found.reason), r.found.detail) for r in found[:3]] == [
        ("", "no_label", "line 2 gives no class"),
        ("cat", "unreadable", "line 3 names no file"),
        ("", "unreadable", "line 4 has 3 cells, the header has 2"),
    ]
    assert [r.found.url for r in found[3:]] == ["../out.jpg", "/etc/passwd"]  # the border refuses what is outside


def test_names_from_windows(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "a00.jpg").touch()
    found, _ = rows_of(tmp_path / "t.csv", "name,label\nimg\\a00.jpg,a\n.\\IMG\\A00.JPG,a\nC:\\img\\a00.jpg,a\n")
    there = (tmp_path / "img" / "a00.jpg").as_uri()
    assert [r.found.url == there for r in found] == [True, True, False]


def test_formats_and_addresses(tmp_path: Path) -> None:
    frame = pd.DataFrame({"file_name": ["1.jpg", "http://x.example/2.jpg"], "label": ["a", 7], "is_valid": [1.0, None]})
    frame["label"] = frame["label"].astype(str)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    frame.to_json(tmp_path / "t.json")
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    (tmp_path / "p.json").write_text(json.dumps({"1.jpg": "a", "http://x.example/2.jpg": "7"}))
    (tmp_path / "c.json").write_text(json.dumps({"a": ["1.jpg"], "7": ["http://x.example/2.jpg"]}))
    for path in sorted(tmp_path.glob("*.*")):
        found = list(read_labelled(str(path), lambda _: None))
        assert [(r.label, r.found.source, r.found.url) for r in found] == [
            ("a", "table", (tmp_path / "1.jpg").as_uri()),
            ("7", "list", "http://x.example/2.jpg"),
        ], path.name
        if path.stem == "t":
            assert [r.side for r in found] == [Split.VALID, None], path.name


def config(root: Path, *labels: str) -> Any:
    classes = {label: {"tables": ["t.csv"]} for label in labels}
    return parse_config({"classes": classes}, base=root)


def test_a_table_is_read_once_for_all_its_classes_and_counts_add_up(tmp_path: Path) -> None:
    lines = [f"{i}.jpg,{('a', 'b', '', 'other')[i % 4]}" for i in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["name,label", *lines]))
    ws, notes = Workspace.create(tmp_path / "ws", "x"), Told()
    done = scrape(ws, config(tmp_path, "a", "b"), progress=notes)
    rows = manifests.read(ws.urls, "urls").rows()
    assert sorted((r["label"], r["reason"]) for r in rows if r["reason"]) == [("", "no_label")] * 5
    assert "10 pictures listed" in done.message
    assert "5 no_label" in done.message
    assert "5 rows are of classes not in the config: other 5" in notes
    assert not scrape(ws, config(tmp_path, "a", "b")).changed
    (tmp_path / "t.csv").write_text("name,label\n2.jpg,a\n1.jpg,b\n")  # the remedy of no_label, followed for one row
    scrape(ws, config(tmp_path, "a", "b"))
    assert not [r for r in manifests.read(ws.urls, "urls").rows() if r["reason"]]


def test_a_class_that_no_row_has_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("name,label\n1.jpg,Cat\n2.jpg,dog\n")
    with pytest.raises(SourceError, match="no row of the class 'cat'") as e:
        scrape(Workspace.create(tmp_path / "ws", "x"), config(tmp_path, "cat", "dog"))
    assert e.value.remedy == "Its classes are: Cat, dog."


NAME = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='",'), max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAME, NAME), min_size=1, max_size=8))
def test_every_row_of_any_table_is_a_row(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("t")
    body = [f"x{name},{label}" for name, label in cells]  # no line is blank, or a comment
    found, _ = rows_of(folder / "t.csv", "\n".join(["name,label", *body]))
    assert len(found) == len(cells)
    assert all(r.label or r.found.reason for r in found)


def test_files_in_the_only_folder_that_holds_them(tmp_path: Path) -> None:
    """Kaggle: train.csv beside train/, with names or with ids that have no ending."""
    for name in ("train/1.jpg", "train/2.jpg", "other/9.jpg", "deep/er/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found, notes = rows_of(tmp_path / "train.csv", "image_id,label\n1.jpg,a\n2,b\ngone,b\n")
    there = [(tmp_path / "train" / name).as_uri() for name in ("1.jpg", "2.jpg", "gone")]
    assert [r.found.url for r in found] == there
    assert "train.csv: the files are in train." in notes
    assert rows_of(tmp_path / "t.csv", "id,name,label\n7,3,a\n")[1] == ["t.csv: the files are in deep/er."]
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "1.jpg").touch()
    with pytest.raises(SourceError, match=r"in several folders: small, train\.") as e:
        rows_of(tmp_path / "t.csv", "name,label\n1.jpg,a\n")
    assert "as in train/1.jpg" in e.value.remedy
    assert rows_of(tmp_path / "t.csv", "name,label\ntrain/1.jpg,a\n")[0][0].found.url == there[0]


def test_pictures_inside_a_table_are_one_sentence(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": [{"bytes": b"\xff\xd8\xff", "path": None}], "label": [0]})
    frame.to_parquet(tmp_path / "train.parquet")
    with pytest.raises(SourceError, match=r"'image' of .* holds the pictures themselves") as e:
        list(read_labelled(str(tmp_path / "train.parquet"), print))
    assert "one folder per class" in e.value.remedy
