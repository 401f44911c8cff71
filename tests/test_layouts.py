"""What a folder tree is: the layouts of Kaggle, torchvision, Hugging Face and fast.ai; and trees that are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepset.errors import ConfigError
from keepset.files import write_bytes
from keepset.importing import LocalPictures, find_pictures
from keepset.workspace import Workspace


def tree(root: Path, *folders: str, n: int = 2) -> Path:
    """``n`` files in each folder; what is asked is the layout, not the pictures."""
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            (root / folder / f"{i}.jpg").touch()
    return root


def counts(found: LocalPictures) -> dict[str, str]:
    """``{"cats": "train 2, valid 2"}``"""
    return {c: ", ".join(f"{s or '?'} {n}" for s, n in sorted(of.items())) for c, of in sorted(found.counts.items())}


def both(*sides: str) -> list[str]:
    return [f"{side}/{c}" for side in sides for c in ("cats", "dogs")]


@pytest.mark.parametrize(
    ("folders", "each"),
    [
        (["cats", "dogs"], "? 2"), (["bears/cats", "bears/dogs"], "? 2"), (both("train", "valid"), "train 2, valid 2"),
        (both("Training", "Testing"), "test 2, train 2"),
        (both("data/train", "data/validation", "data/test"), "test 2, train 2, valid 2"),
        (both("training_set/training_set", "test_set/test_set"), "test 2, train 2"),
        (both("archive/seg_train/seg_train", "archive/seg_test/seg_test"), "test 2, train 2"),
        (["cats/train", "cats/val", "dogs/train", "dogs/val"], "train 2, valid 2"),
        (["cats", "dogs", *both("valid")], "? 2, valid 2"), (["cats/x/y", "dogs/z"], "? 2"),
        (["train/cats/images", "train/dogs/images"], "? 2"),
    ],
)  # fmt: skip
def test_layouts(tmp_path: Path, folders: list[str], each: str) -> None:
    assert counts(find_pictures(tree(tmp_path / "set", *folders))) == {"cats": each, "dogs": each}


@pytest.mark.parametrize(
    ("folders", "says"),
    [
        (["train", "test"], "test, train hold pictures without class folders"),
        (["training_set", "test_set"], "without class folders"),
        (["images/train", "images/val"], "train, val hold pictures without class folders"),
        ([*both("train"), "valid"], "valid hold pictures without class folders"),
        (both("raw", "small"), "it is not clear which of them are the classes"),
        (["train/n1/images", "train/n2/images", "val/images"], "val holds the classes images, of which the training"),
        (["valid/cats", "test/cats"], "no folder train"),
        (["cats/train", "cats/val", "dogs"], "cats are divided into train and valid or test, dogs not"),
        (["one/bear"], "only the class 'bear'"),
        ([], "no class"),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path: Path, folders: list[str], says: str) -> None:
    root = tree(tmp_path / "set", *folders)
    root.mkdir(exist_ok=True)
    with pytest.raises(ConfigError, match=says) as e:
        find_pictures(root)
    assert e.value.remedy


@pytest.mark.parametrize(
    ("folders", "note"),
    [
        ([*both("train"), "test"], "test (2 files) holds pictures without class folders"),
        ([*both("train"), "extra"], "extra (2 files) is none of train, valid and test; it is left out."),
        ([*both("train"), "valid/cats", "valid/dogs", "valid/owls"], "valid/owls (2 files) is a class that has no"),
        (["cats", "dogs", "train"], "The folder train is taken as a class"),
        (["cats/indoor", "cats/outdoor", "dogs/small"], "All pictures in the folders of cats (indoor, outdoor)"),
        (["archive/cats", "archive/dogs"], "The classes are looked for in archive."),
        (["cats", "dogs", "."], "2 pictures directly in"),
        ([*both("train"), "train"], "2 pictures directly in train, in no class folder: left out."),
    ],
)
def test_what_is_left_out_or_decided_is_mentioned(tmp_path: Path, folders: list[str], note: str) -> None:
    assert note in " ".join(find_pictures(tree(tmp_path / "set", *folders)).notes)


def test_folders_without_pictures(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "cats", "dogs")
    (root / "none").mkdir()
    (root / "annotations").mkdir()
    (root / "annotations" / "1.xml").write_text("<a/>")
    os.mkfifo(root / "annotations" / "pipe")
    os.mkfifo(root / "pipe")
    ws = Workspace.create(root / "ws", "x")
    write_bytes(ws.blob("0" * 64), b"\xff\xd8\xff a picture that came from here")
    assert find_pictures(root).notes == [
        "annotations holds no picture and is left out.",
        "none is empty and is left out.",
        "ws (this is a Keepset workspace) is left out.",
    ]


def test_following_the_remedies_works(tmp_path: Path) -> None:
    flat = tree(tmp_path / "flat", "train", "test")
    (flat / "labels.csv").write_text("name,label\ntrain/0.jpg,cats\ntest/1.jpg,dogs\n")
    with pytest.raises(ConfigError) as e:
        find_pictures(flat)
    assert e.value.remedy == f"Import the table that gives the classes: keepset import {flat}/labels.csv"
    assert counts(find_pictures(flat / "labels.csv")) == {"cats": "? 1", "dogs": "? 1"}
    twice = tree(tmp_path / "my twice", *both("raw", "small"))
    with pytest.raises(ConfigError) as e:
        find_pictures(twice)
    assert e.value.remedy.endswith(f"keepset import '{twice}/raw'")
    assert counts(find_pictures(twice / "raw")) == {"cats": "? 2", "dogs": "? 2"}


def test_a_tree_beside_a_table_of_classes(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "cats", "dogs")
    (root / "metadata.jsonl").write_text('{"file_name": "cats/0.jpg", "label": "cat"}\n')
    assert find_pictures(root).notes == ["Classes are also in metadata.jsonl: to use them, import that file instead."]


FOLDER = st.lists(
    st.sampled_from(["train", "valid", "test", "cats", "dogs", "images", ".hidden", "Train", "a b", "@eaDir"]),
    min_size=1,
    max_size=3,
).map("/".join)


@settings(max_examples=120, deadline=None)
@given(st.lists(FOLDER, min_size=1, max_size=6))
def test_any_tree_is_recognised_or_refused_and_says_where_each_file_went(
    tmp_path_factory: pytest.TempPathFactory, folders: list[str]
) -> None:
    root = tree(tmp_path_factory.mktemp("t"), *folders, n=1)
    try:
        found = find_pictures(root)
    except ConfigError as e:
        assert e.remedy  # noqa: PT017 - either way is right
        return
    files = [p for p in root.rglob("*.jpg") if not any(x in p.parts for x in (".hidden", "@eaDir"))]
    counted = sum(of.total() for of in found.counts.values())
    assert counted <= len(files)
    assert counted == len(files) or any("left out" in note for note in found.notes)
