"""The arithmetic of the review benches against figures worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.review.evaluated import copies
from bench.review.peers import distances
from bench.review.ranking import average_precision, found_in, measured
from bench.review.real import sets_of
from bench.review.truth import Pair, Truth, Verdict, kind_of, linked, read_truth, standing
from keepset.errors import ConfigError


def test_average_precision_is_the_mean_of_the_precision_at_each_bad_image() -> None:
    assert average_precision("abcd", {"a", "b"}) == 1.0
    assert average_precision("abcd", {"b", "d"}) == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert average_precision("abcd", {"d", "x"}) == pytest.approx((1 / 4) / 2)  # x is never shown
    assert average_precision("abcd", set()) == 0.0


def test_average_precision_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(3)
    for _ in range(20):
        bad = rng.random(50) < 0.2
        bad[7] = True
        order = [str(i) for i in range(50)]
        wanted = average_precision_score(bad, -np.arange(50))
        assert average_precision(order, {str(i) for i in np.flatnonzero(bad)}) == pytest.approx(wanted)


def test_ignored_images_take_no_look() -> None:
    order = [str(i) for i in range(30)]
    bad = {"1": "drawing", "3": "swap", "25": "swap"}
    f = measured(order, bad, ignored={"0", "2", *map(str, range(10, 18))})
    # left are 20 images, in this order: 1 3 4 5 6 7 8 9 18 ... 25 (the 16th) ...
    assert (f.images, f.bad) == (20, 3)
    assert f.first == (1, 2, 2)  # the first 1, 2 and 4 images
    assert f.twice == 2  # the first 6
    assert f.precision == pytest.approx((1 + 1 + 3 / 16) / 3)
    assert f.kinds == {"drawing": (1, 1, 1, 1, 1), "swap": (2, 0, 1, 1, 1)}


def test_shares_are_rounded_up_and_whole_ones_stay() -> None:
    order = [str(i) for i in range(100)]
    assert measured(order, {"4": "other", "5": "other", "19": "other"}, ()).first == (1, 2, 3)  # 5, 10, 20
    assert measured([*order, "100"], {"5": "other"}, ()).first[0] == 1  # 5 % of 101 are 6 images
    assert found_in(order, {"0", "9"}, 9) == 1


@pytest.mark.parametrize(
    ("verdict", "kind", "note", "label", "wanted"),
    [
        ("junk", "drawing", "", "teddys", "drawing"), ("junk", "clip-art", "", "teddys", "drawing"),
        ("junk", "", "web banner with a slogan", "teddys", "text/graphic"),
        ("junk", "odd", "a plaza", "teddys", "other"), ("wrong_label", "grizzly/brown bear", "", "black", "swap"),
        ("wrong_label", "Asiatic black bear", "", "black", "foreign class"),
        ("wrong_label", "teddy", "", "black", "swap"), ("wrong_label", "polar bear", "", "grizzly", "foreign class"),
        ("wrong_label", "swap", "", "grizzly", "swap"),
    ],
)  # fmt: skip
def test_kinds(verdict: str, kind: str, note: str, label: str, wanted: str) -> None:
    assert kind_of(verdict, kind, note, label, ["black", "grizzly", "teddys"]) == wanted


def test_the_truth_is_read_with_its_quotes(tmp_path: Path) -> None:
    truth, pairs = tmp_path / "t.csv", tmp_path / "p.csv"
    truth.write_text('\ufefffile,verdict,sure,kind,note\n"a/one, two.jpg",junk,yes,drawing,"said ""no"", twice"\n')
    pairs.write_text("file_a,file_b,sure,kind\na/1.jpg,b/2.jpg,no,burst\n")
    found = read_truth(truth, pairs, ["a", "b"])
    assert found.verdicts == [Verdict("a/one, two.jpg", True, "drawing", 'said "no", twice')]
    assert found.pairs == [Pair("a/1.jpg", "b/2.jpg", False, "burst")]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    truth = tmp_path / "t.csv"
    with pytest.raises(ConfigError, match="There is no"):
        read_truth(truth, None, [])
    truth.write_text("file,verdict,kind\n")
    with pytest.raises(ConfigError, match="no column sure"):
        read_truth(truth, None, [])
    truth.write_text("file,verdict,sure,kind\na/1.jpg,junk,yes,\na/2.jpg,bad,yes,\n")
    with pytest.raises(ConfigError, match="line 3: the verdict is 'bad'"):
        read_truth(truth, None, [])
    truth.write_text("file,verdict,sure,kind\na/1.jpg,junk,maybe,\n")
    with pytest.raises(ConfigError, match="line 2: sure is 'maybe'"):
        read_truth(truth, None, [])


FILES = {f"{c}/{i}.jpg": f"{c}{i}" for c in "ab" for i in range(6)}
LABELS = {sha: sha[0] for sha in FILES.values()}
ORDER = sorted(LABELS, reverse=True)  # b5 is the best picture, a0 the worst


def test_copies_and_what_is_not_sure_count_neither_way() -> None:
    truth = Truth(
        [Verdict("a/0.jpg", True, "drawing"), Verdict("a/1.jpg", False, "collage"), Verdict("a/9.jpg", True, "other")],
        [
            Pair("a/2.jpg", "a/3.jpg", True, "copy"), Pair("a/3.jpg", "a/4.jpg", True, "copy"),
            Pair("b/0.jpg", "b/1.jpg", False, "burst"), Pair("a/0.jpg", "a/5.jpg", True, "copy"),
            Pair("b/4.jpg", "b/5.jpg", True, "burst"), Pair("a/5.jpg", "a/9.jpg", False, "copy"),
        ],
    )  # fmt: skip
    said = standing(truth, FILES, LABELS, ORDER)
    assert said.bad == {"a0": "drawing"}  # although it is a copy of a5
    assert said.ignored == {"a1", "a2", "a3", "b0", "b1"}  # a4, b4 and b5 are ordinary pictures


def test_one_file_in_two_folders_is_wrong_only_under_the_label_that_was_wrong() -> None:
    files = FILES | {"b/7.jpg": "a1"}
    truth = Truth([Verdict("b/7.jpg", True, "swap"), Verdict("a/1.jpg", False, "swap")])
    assert standing(truth, files, LABELS, ORDER).bad == {}
    assert standing(truth, files, LABELS | {"a1": "b"}, ORDER).bad == {"a1": "swap"}


def test_linked_joins_chains() -> None:
    assert sorted(map(sorted, linked([("a", "b"), ("c", "d"), ("e", "e"), ("b", "c"), ("x", "y")]))) == [
        ["a", "b", "c", "d"],
        ["x", "y"],
    ]


def row(group: str, dup_of: str | None = None, kind: str | None = None) -> dict[str, str | None]:
    return {"group_id": group, "dup_of": dup_of, "dup_kind": kind}


def test_copies_by_duplicate_group() -> None:
    active = {sha: row(sha) | {"sha256": sha} for sha in LABELS}
    active |= {s: row("g") | {"sha256": s} for s in ("a0", "a1", "a2")}
    active["a1"] = row("g", "a0", "near") | {"sha256": "a1"}
    active["b1"] = row("b0", "b0", "exact") | {"sha256": "b1"}
    active["b3"] = row("b2", "b2", "near") | {"sha256": "b3"}
    truth = Truth(
        [],
        [
            Pair("a/0.jpg", "a/1.jpg", True, "copy"),
            Pair("a/3.jpg", "a/4.jpg", True, "copy"),
            Pair("b/2.jpg", "b/3.jpg", False, "burst"),
            Pair("a/0.jpg", "a/9.jpg", True, "copy"),
        ],
    )
    c = copies(truth, FILES, active, {sha: file for file, sha in FILES.items()})
    assert (c.sure, c.grouped, c.missed) == (2, 1, [("a/3.jpg", "a/4.jpg")])
    assert (c.bursts, c.bursts_grouped, c.bursts_as_copies) == (1, 1, [("b/2.jpg", "b/3.jpg")])
    # a2 is in the group of a0 and a1, and no pair of the truth says so; b0 and b1 have the same pixels
    assert c.wrong == [("a/2.jpg", "a/0.jpg", "group"), ("a/2.jpg", "a/1.jpg", "group")]


def test_distances_are_to_other_images() -> None:
    unit = np.eye(8)
    unit[1] = unit[0]
    wanted = np.ones(8)
    wanted[:2] = 4 / 5  # one neighbour at 0 and four at 1
    assert distances(unit) == pytest.approx(wanted)
    assert distances(unit[:2]) == pytest.approx([0.0, 0.0])  # fewer others than neighbours


def test_a_folder_begins_the_next_set(tmp_path: Path) -> None:
    one, two, truth = tmp_path / "one", tmp_path / "two", tmp_path / "t.csv"
    one.mkdir()
    two.mkdir()
    assert sets_of([one, truth, two, truth, truth]) == [(one, truth, None), (two, truth, truth)]
    with pytest.raises(ConfigError, match="is not a set"):
        sets_of([one, two, truth])
    with pytest.raises(ConfigError, match="is not a set"):
        sets_of([truth, one, truth])
