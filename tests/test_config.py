from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keepset.config import RunConfig, load_config, parse_config
from keepset.errors import ConfigError

GOOD = """
name = "bears"
seed = 3
[classes.black]
lists = ["lists/black.txt"]
[classes.teddy]
lists = ["lists/teddy.txt"]
[train]
epochs = 2
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lists").mkdir()
    for name in ("black", "teddy"):
        (tmp_path / "lists" / f"{name}.txt").write_text("http://127.0.0.1/a.jpg\n")
    return tmp_path


def load(folder: Path, text: str) -> RunConfig:
    (folder / "c.toml").write_text(text)
    return load_config(folder / "c.toml")


def test_paths_are_taken_from_the_config_file(folder: Path) -> None:
    config = load(folder, GOOD)
    assert config.labels == ("black", "teddy")
    assert config.classes[0].lists == (str(folder / "lists" / "black.txt"),)
    assert (config.seed, config.train.epochs) == (3, 2)


def test_a_config_survives_json(folder: Path) -> None:
    config = load(folder, GOOD)
    assert RunConfig.model_validate(config.as_dict()) == config


def test_a_class_may_be_just_its_lists(folder: Path) -> None:
    config = load(folder, '[classes]\nblack = ["lists/black.txt"]\nteddy = ["lists/teddy.txt"]\n')
    assert len(config.classes) == 2


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("seed = 3", "sed = 3", "unknown key 'sed'; did you mean 'seed'?"),
        ("epochs", "epoch", "unknown key 'train.epoch'; did you mean 'epochs'?"),
        ("epochs = 2", "epochs = -1", "train.epochs"),
        ("epochs = 2", 'epochs = "two"', "train.epochs"),
        ("lists/black.txt", "lists/brown.txt", "brown.txt, which is not a file"),
        ('lists = ["lists/black.txt"]', "", "class 'black' is empty"),
        ("[classes.teddy]", "[classes.Black]", "two names for one class"),
        ("lists/teddy.txt", "lists/black.txt", "two names for one class"),
        ('[classes.teddy]\nlists = ["lists/teddy.txt"]', "", "at least two classes"),
        (
            'lists = ["lists/teddy.txt"]',
            'list = ["lists/teddy.txt"]',
            "unknown key 'classes.teddy.list'; did",
        ),
        ("seed = 3", "seed = = 3", "not valid TOML"),
        ("[train]", "[split]\nvalid = 0.6\ntest = 0.4\n[train]", "leaves nothing to train on"),
        ("[classes.black]", '[classes."\\u200b"]', "at least one visible character"),
    ],
)
def test_a_wrong_config_names_the_thing(folder: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as e:
        load(folder, GOOD.replace(old, new, 1))
    assert says in str(e.value)
    assert e.value.exit_code == 2


def test_all_missing_sources_are_named_at_once(folder: Path) -> None:
    with pytest.raises(ConfigError) as e:
        load(folder, GOOD.replace("lists/", "list/"))
    assert "black.txt, which is not a file" in str(e.value)
    assert "teddy.txt, which is not a file" in str(e.value)


def test_a_missing_file_and_no_classes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no config file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="'classes' is missing"):
        parse_config({}, base=tmp_path)


@pytest.mark.parametrize("raw", [{"classes": 3}, {"classes": [3, 4]}, {"classes": {"a": 1, "b": 2}}])
def test_nonsense_is_a_config_error_too(raw: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        parse_config(raw, base=tmp_path)
