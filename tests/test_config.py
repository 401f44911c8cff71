from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from keepset.config import RunConfig, load_config, parse_config, saved_config
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
    assert RunConfig.model_validate(config.as_dict()) == config
    plain = load(folder, '[classes]\nblack = ["lists/black.txt"]\nteddy = ["lists/teddy.txt"]\n')  # just its lists
    assert plain.classes == config.classes


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("seed = 3", "sed = 3", "unknown key 'sed'; did you mean 'seed'?"),
        ("epochs", "epoch", "unknown key 'train.epoch'; did you mean 'epochs'?"),
        ("epochs = 2", "epochs = -1", "train.epochs"), ("epochs = 2", 'epochs = "two"', "train.epochs"),
        ("lists/black.txt", "lists/brown.txt", "brown.txt, which is not a file"),
        ('lists = ["lists/black.txt"]', "", "class 'black' is empty"),
        ("[classes.teddy]", "[classes.Black]", "two names for one class"),
        ('lists = ["lists/teddy.txt"]', 'search = { openverse = " \u3000" }', "the search text for openverse is empty"),
        ('lists = ["lists/teddy.txt"]', f'search = {{ wikimedia = "{"熊" * 500}" }}', "500 characters ('熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊熊...'), and it takes at most 300"),
        ('lists = ["lists/teddy.txt"]', 'search = { flickr = "bear" }', "no source 'flickr'; known are openverse"),
        ('lists = ["lists/teddy.txt"]', 'lists = ["lists/teddy.txt"]\nexclude = [""]', "would leave out everything"),
        ("lists/teddy.txt", "lists/black.txt", "remove it from one of them"),
        ('[classes.teddy]\nlists = ["lists/teddy.txt"]', "", "at least two classes"),
        ('lists = ["lists/teddy.txt"]', 'list = ["lists/teddy.txt"]', "unknown key 'classes.teddy.list'; did"),
        ("seed = 3", "seed = = 3", "not valid TOML"),
        ("[train]", "[split]\nvalid = 0.6\ntest = 0.4\n[train]", "leaves nothing to train on"),
        ("[classes.black]", '[classes."\\u200b"]', "at least one visible character"),
    ],
)  # fmt: skip
def test_a_wrong_config_names_the_thing(folder: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as e:
        load(folder, GOOD.replace(old, new, 1))
    assert says in str(e.value)
    assert e.value.exit_code == 2


@pytest.mark.parametrize(
    ("old", "new", "says", "mended"),
    [
        ("[classes.teddy]", "[classes.polar bear]", "A name with spaces, dots or accents needs quotes", '[classes."polar bear"]'),
        ("[classes.teddy]", "[classes.polar.bear]", 'quotes: [classes."polar.bear"]', '[classes."polar.bear"]'),
        ("lists/teddy.txt", "lists\\pteddy.txt", "a backslash must be written twice", "lists/teddy.txt"),
        ("lists/teddy.txt", "lists\\teddy.txt", "(in TOML a backslash is written twice", "lists/teddy.txt"),
        ("[train]", '[scrape]\ncontact = "a\\nb"\n[train]', "an HTTP header is one line", "[train]"),
        ("[train]", '[scrape.api_urls]\ngbif = "gbif"\n[train]', "'gbif' is not a web address", "[train]"),
        ("[train]", '[download]\nallow_private = ["http://a:80"]\n[train]', "is not host:port",
         '[download]\nallow_private = ["a:80"]\n[train]'),
        ('lists = ["lists/teddy.txt"]', 'pages = ["bears"]', "is not a web address", 'pages = ["http://x.example/bears.html"]'),
    ],
)  # fmt: skip
def test_what_people_stumble_over_has_its_remedy(folder: Path, old: str, new: str, says: str, mended: str) -> None:
    with pytest.raises(ConfigError) as e:
        load(folder, GOOD.replace(old, new, 1))
    assert says in str(e.value)
    load(folder, GOOD.replace(old, mended, 1))


def test_a_search_names_its_source_and_takes_several_texts(folder: Path) -> None:
    def classes(**first: Any) -> dict[str, Any]:
        return {"classes": {"a": first, "b": {"search": {"gbif": "212"}}}}

    with pytest.raises(ConfigError) as e:
        parse_config(classes(search="grizzly bear"), base=folder)
    remedy = tomllib.loads(e.value.message.rpartition("to search: ")[2])
    config = parse_config(classes(**remedy), base=folder)
    assert config.classes[0].searches == [("openverse", "grizzly bear")]
    assert config.as_dict()["classes"][0]["search"] == {"openverse": "grizzly bear"}  # as older versions wrote it
    config = parse_config(classes(search={"openverse": ["x", "y"]}), base=folder)
    assert saved_config(config.as_dict(), where="") == config


def test_class_names_are_what_a_person_sees(folder: Path) -> None:
    config = load(folder, GOOD.replace("[classes.teddy]", '[classes."cafe\\u0301\\u00a0 a/b\\u200b "]'))
    assert config.labels == ("black", "café a/b")


def test_a_contact_may_have_accents(folder: Path) -> None:
    assert load(folder, GOOD + '[scrape]\ncontact = "Jürgen <j@x.example>"').scrape.contact == "Jürgen <j@x.example>"


def test_links_in_paths_stay_and_home_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    (folder / "link").symlink_to(folder / "lists")
    config = load(folder, GOOD.replace("lists/black", "~/link/../link/black"))
    assert config.classes[0].lists == (str(folder / "link" / "black.txt"),)


def test_a_path_that_is_not_utf8_is_a_file_url(folder: Path) -> None:
    odd = folder / os.fsdecode(b"b\xe4r.txt")
    odd.write_text("http://127.0.0.1/a.jpg\n")
    config = load(folder, GOOD.replace("lists/black.txt", odd.as_uri()))
    assert config.classes[0].lists == (odd.as_uri(),)
    assert RunConfig.model_validate(config.as_dict()) == config
    odd.unlink()
    with pytest.raises(ConfigError, match=r"/bär\.txt, which is not a file"):
        load(folder, GOOD.replace("lists/black.txt", odd.as_uri()))


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"classes": 3}, "classes"), ({"classes": [3, 4]}, "classes"), ({"classes": {"a": 1, "b": 2}}, "class"), ({}, "'classes' is missing"),
        ({"classes": {c: {"lists": [f"{c}.txt"]} for c in "ab"}}, r"a\.txt, which is not a file(?s:.*)b\.txt, which"),
    ],
)  # fmt: skip
def test_nonsense_is_a_config_error_too(raw: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_config(raw, base=tmp_path)


def test_a_config_kept_by_an_earlier_version_is_read_without_the_keys_that_are_gone(folder: Path) -> None:
    cfg = load(folder, GOOD)
    kept = cfg.as_dict()
    kept["train"] |= {"weight_decay": 0.01, "lr_mult": 100.0}
    kept["interpret"] = {"grad_cam": True, "data_size": False}
    assert saved_config(kept, where="config.json") == cfg
    kept["train"]["epochs"] = "many"
    with pytest.raises(ConfigError, match=r"train\.epochs"):
        saved_config(kept, where="config.json")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"seed": "x"}, "seed: must be a whole number"),
        ({"seed": -1}, "seed: must be at least 0"),
        ({"train": 3}, "train: must be a table of keys and values"),
        ({"train": {"device": "gpu"}}, "train.device: must be 'auto', 'cpu', 'cuda' or 'mps'"),
        ({"download": {"robots": "maybe"}}, "download.robots: must be true or false"),
        ({"split": {"valid": 1}}, "split.valid: must be less than 1"),
        ({"validate": {"max_aspect": "wide"}}, "validate.max_aspect: must be a number"),
        ({"name": ""}, "name: must not be empty"),
        ({"name": 5}, "name: must be text (in quotes)"),
        ({"inbox": {"consent": "x" * 2000}}, "inbox.consent: must be at most 1000 characters long"),
        ({"scrape": {"licenses": "cc0"}}, "scrape.licenses: must be a list (in square brackets)"),
        ({"scrape": {"contact": "a\nb"}}, "scrape.contact: an HTTP header is one line of text; write an e-mail"),
    ],
)
def test_a_wrong_value_is_explained_in_plain_english(tmp_path: Path, given: dict[str, Any], line: str) -> None:
    classes = {c: {"urls": [f"https://pictures.example/{c}.jpg"]} for c in ("a", "b")}
    with pytest.raises(ConfigError) as e:
        parse_config({"classes": classes, **given}, base=tmp_path)
    assert f"\n  - {line}" in str(e.value)
    assert not re.search("value error|input should", str(e.value), re.I)


def test_a_wrong_environment_variable_is_explained_in_plain_english(monkeypatch: pytest.MonkeyPatch) -> None:
    from keepset.settings import settings

    monkeypatch.setenv("KEEPSET_WORKERS", "many")
    settings.cache_clear()
    with pytest.raises(ConfigError, match="KEEPSET_WORKERS='many' must be a whole number"):
        settings()
    settings.cache_clear()
