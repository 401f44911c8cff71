"""Text that others wrote: undecodable bytes, halves of characters, invisible ones, words for sides and truth."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepset.reasons import Split
from keepset.scrape.sides import is_nothing, side_of, truth_of
from keepset.text import decoded, label_of, many, no_formula, one_line, with_formula, without_surrogates


def test_bytes_that_are_not_utf8_are_windows_1252() -> None:
    assert decoded("Bär, café – ok".encode()) == "Bär, café – ok"
    assert decoded("Bär, café – 5 €".encode("cp1252")) == "Bär, café – 5 €"
    assert decoded(b"caf\xe9, " + "cafè".encode()) == "café, cafè"
    assert decoded(b"\x81\x8d") == "\x81\x8d"  # in no code page: nothing is lost


@given(st.binary(max_size=40))
def test_any_bytes_are_text_that_utf8_can_hold(data: bytes) -> None:
    assert without_surrogates(os.fsdecode(data)) == decoded(data)
    decoded(data).encode()


@given(st.text(st.characters(), max_size=30))
def test_a_label_is_stable_visible_and_composed(text: str) -> None:
    label = label_of(text)
    assert label_of(label) == label == unicodedata.normalize("NFC", label)
    label.encode()
    assert "  " not in label
    assert label == label.strip()
    one_line(text).encode()


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("cafe\u0301", "café"), (" polar\u00a0 bear\n", "polar bear"), ("cat\u200b", "cat"), ("\ufeffcat\u00ad", "cat"),
        (os.fsdecode(b"b\xe4r"), "bär"), ("cat/tabby", "cat/tabby"), ("\u200b", ""), ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)  # fmt: skip
def test_labels_as_people_write_them(written: str, label: str) -> None:
    assert label_of(written) == label


@pytest.mark.parametrize(
    ("word", "side"),
    [
        ("training", Split.TRAIN), ("Train", Split.TRAIN), ("training_set", Split.TRAIN), ("seg_train", Split.TRAIN),
        ("trainset", Split.TRAIN), ("val2017", Split.VALID), ("Validation set", Split.VALID), ("dev", Split.VALID),
        ("testing", Split.TEST), ("TEST", Split.TEST), ("test1", Split.TEST), ("test-images", Split.TEST),
        ("bus", None), ("train station", None), ("trains", None), ("contest", None), ("", None), ("1", None),
    ],
)  # fmt: skip
def test_words_for_sides(word: str, side: Split | None) -> None:
    assert side_of(word) == side


def test_truth_as_spreadsheets_and_pandas_write_it() -> None:
    assert [truth_of(v) for v in ("True", "1.0", "yes", " Y ", 1, 1.0, True)] == [True] * 7
    assert [truth_of(v) for v in ("FALSE", "0.0", "no", "0", 0, False)] == [False] * 6
    assert [truth_of(v) for v in ("maybe", "2", "", "1.5", None)] == [None] * 5
    assert all(map(is_nothing, ("", " ", None, float("nan"), "NaN", "None", "<NA>")))
    assert not is_nothing("0")


@given(st.text(max_size=20))
def test_a_guarded_cell_comes_back(text: str) -> None:
    if not text.startswith("'"):
        assert with_formula(no_formula(text)) == text


def test_counts_are_words() -> None:
    assert [many(n, "line") for n in (0, 1, 2)] == ["0 lines", "1 line", "2 lines"]
