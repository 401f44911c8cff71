"""Words for the sides of a split, as people and tools write them in folders and tables."""

from __future__ import annotations

import re
from typing import Any

from keepset.reasons import Split

__all__ = ["SIDE_WORDS", "is_nothing", "side_of", "truth_of"]

_WORDS = {
    Split.TRAIN: {"train", "training", "trn", "tr"},
    Split.VALID: {"valid", "val", "validation", "validate", "validating", "dev", "development"},
    Split.TEST: {"test", "testing", "tst"},
}
_SIDES = {word: side for side, words in _WORDS.items() for word in words}
SIDE_WORDS = "train, valid (or val, validation, dev) and test"
_BESIDE = {
    "set",
    "sets",
    "split",
    "data",
    "dataset",
    "images",
    "image",
    "imgs",
    "img",
    "pictures",
    "photos",
    "seg",
    "folder",
}
_TRUE, _FALSE = {"true", "t", "yes", "y", "1"}, {"false", "f", "no", "n", "0"}
_NOTHING = {"", "nan", "none", "null", "na", "n/a", "<na>"}


def side_of(text: str) -> Split | None:
    """The side that a word names: ``Training``, ``test_set``, ``val2017``, ``seg_train``; None for any other word."""
    words = [w for w in re.split(r"[\W\d_]+", text.casefold()) if w and w not in _BESIDE]
    if len(words) != 1:
        return None
    word = re.sub(r"(set|split|data)$", "", words[0]) if words[0] not in _SIDES else words[0]
    return _SIDES.get(word)


def truth_of(value: Any) -> bool | None:
    """True or false as spreadsheets and pandas write them (``True``, ``1.0``, ``yes``); None for anything else."""
    text = re.sub(r"\.0*$", "", str(value).strip().casefold())
    return True if text in _TRUE else False if text in _FALSE else None


def is_nothing(value: Any) -> bool:
    """Whether a cell says nothing: empty, or a missing value as pandas writes it."""
    return value is None or value != value or str(value).strip().casefold() in _NOTHING
