"""The web noise that the bench plants: by seed, and with what is true of it."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from bench.review.evaluated import Card, Copies, Evaluated
from bench.review.noise.base import Base, clean_base, drawn_base
from bench.review.noise.planting import Condition, Planted, planted
from bench.review.noise.spared import by_change, by_note, spared
from bench.review.truth import read_truth
from keepset.demo.draw import draw


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return drawn_base(tmp_path_factory.mktemp("drawn"), 24)


def digest(image: Image.Image) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


EVERYTHING = Condition(
    "all", junk=0.2, swaps=0.1, foreign=0.1, copies=0.1, bursts=0.1, innocents=0.15, per_class=20, seed=3
)


@pytest.fixture(scope="module")
def made(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return planted(base, EVERYTHING, tmp_path_factory.mktemp("planted") / "one")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as f:
        return list(csv.DictReader(f))


def test_what_is_planted_is_what_was_asked_for(made: Planted) -> None:
    classes = sorted(p.name for p in made.folder.iterdir())
    assert len(classes) == 2  # the third is the foreign one
    truth = read_truth(made.truth, made.pairs, classes)
    kinds = Counter(v.kind for v in truth.verdicts)
    # 40 photos of the two classes, 4 of them with a copy and 4 in two shots: 48 files
    assert (kinds["swap"], kinds["foreign class"]) == (4, round(0.1 * 48))
    assert sum(kinds.values()) - kinds["swap"] - kinds["foreign class"] == round(0.2 * 48)
    assert [(p.sure, p.kind) for p in truth.pairs].count((True, "copy")) == 4
    assert [(p.sure, p.kind) for p in truth.pairs].count((False, "burst")) == 4
    assert len(rows(made.innocents)) == 6
    named = truth.files() | {r["file"] for r in rows(made.innocents)}
    assert all((made.folder / f).is_file() for f in named)
    assert len(list(made.folder.rglob("*.*"))) == 48 + round(0.1 * 48) + round(0.2 * 48)


def test_nothing_is_two_things(made: Planted) -> None:
    truth = [r["file"] for r in rows(made.truth)]
    pairs = [r[side] for r in rows(made.pairs) for side in ("file_a", "file_b")]
    every = truth + pairs + [r["file"] for r in rows(made.innocents)]
    assert len(every) == len(set(every))


def test_swaps_and_foreign_pictures_are_what_they_say(base: Base, made: Planted) -> None:
    of = {hashlib.sha256(p.read_bytes()).hexdigest(): label for label, files in base.files.items() for p in files}
    for r in rows(made.truth):
        if r["verdict"] == "wrong_label":
            mine = hashlib.sha256((made.folder / r["file"]).read_bytes()).hexdigest()
            assert of[mine] == r["note"] != r["file"].split("/")[0]


def test_the_same_seed_makes_the_same_bytes_and_a_set_that_is_there_is_kept(
    base: Base, made: Planted, tmp_path: Path
) -> None:
    def tree(folder: Path) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in sorted(folder.rglob("*.*")) if p.name != "mark.txt"}

    again = planted(base, EVERYTHING, tmp_path / "two")
    assert tree(again.folder) == tree(made.folder)
    assert again.truth.read_text() == made.truth.read_text()
    (again.folder / "mark.txt").write_text("")
    planted(base, EVERYTHING, tmp_path / "two")
    assert (again.folder / "mark.txt").exists()
    other = Condition(**{**EVERYTHING.__dict__, "junk": 0.1})
    planted(base, other, tmp_path / "two")
    assert not (again.folder / "mark.txt").exists()


def test_a_base_leaves_out_what_is_bad_and_one_of_each_pair(tmp_path: Path) -> None:
    for label in ("apple", "boat"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for i in range(4):
            draw(label, i).save(tmp_path / "set" / label / f"{i}.jpg")
    (tmp_path / "set" / "boat" / "text.jpg").write_text("no picture")
    truth, pairs = tmp_path / "t.csv", tmp_path / "p.csv"
    truth.write_text("file,verdict,sure,kind,note\napple/1.jpg,junk,no,drawing,\n")
    pairs.write_text("file_a,file_b,sure,kind\nboat/0.jpg,boat/3.jpg,no,burst\n")
    found = clean_base(tmp_path / "set", truth, pairs)
    assert {c: [p.name for p in f] for c, f in found.files.items()} == {
        "apple": ["0.jpg", "2.jpg", "3.jpg"],
        "boat": ["0.jpg", "1.jpg", "2.jpg"],
    }


def test_innocents_and_sorts_are_counted(tmp_path: Path) -> None:
    cards = [
        Card("a/1.jpg", "drawing", True, 0.9, ["outlier"], "delete", ""),
        Card("a/2.jpg", "ignored", True, 0.9, ["outlier"], "delete", ""),
        Card("a/3.jpg", "", True, 0.8, ["dark"], "delete", ""),
        Card("a/4.jpg", "", False, 0.0, ["not_suspected"], "keep", ""),
        *[Card(f"b/{i}.jpg", "", False, 0.0, [], "keep", "") for i in range(16)],
        Card("a/5.jpg", "swap", False, 0.0, [], "keep", ""),
    ]
    e = Evaluated("s", 21, {}, 3, 1, {}, 1, [], 0, [], Copies(0, 0, [], 0, 0, [], []), [], [], {}, cards)
    files = [tmp_path / n for n in ("truth.csv", "pairs.csv", "innocents.csv")]
    files[0].write_text(
        "file,verdict,sure,kind,note\na/1.jpg,junk,yes,drawing,comic\na/5.jpg,wrong_label,yes,swap,b\n"
        "a/6.jpg,junk,yes,other,blank\n"
    )
    files[1].write_text("file_a,file_b,sure,kind\n")
    files[2].write_text("file,kind\na/3.jpg,night\na/4.jpg,grey\n")
    found = Planted(tmp_path, *files)
    assert spared(e, found).startswith("innocents: 2, in the batch 1, suggested to delete 1, to relabel 0")
    table = by_note([(e, found), (e, found)])
    # 20 images count, so the first tenth is two of them: a/1 and a/3
    for line in (
        "| drawing: comic | 2 | 2 | 2 | 2 | 0 |",
        "| swap | 2 | 0 | 0 | 0 | 0 |",
        "| innocent: night | 2 | 2 | 2 | 2 | 0 |",
        "| innocent: grey | 2 | 0 | 0 | 0 | 0 |",
        "| other: blank | 2 | 0 | 0 | 0 | 0 |",
    ):
        assert line in table


def test_copies_are_counted_by_what_was_done(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(
        "file_a,file_b,sure,kind,note\na/1,a/2,yes,copy,crop\na/3,a/4,yes,copy,crop\na/5,a/6,yes,copy,mirror\n"
        "a/7,a/8,no,burst,\n"
    )
    missed = [("a/3", "a/4"), ("a/5", "a/6")]
    e = Evaluated("s", 8, {}, 0, 0, {}, 0, [], 0, [], Copies(3, 1, missed, 1, 0, [], []), [], [], {}, [])
    table = by_change([(e, Planted(tmp_path, pairs, pairs, pairs))])
    assert table.splitlines()[2:] == ["| crop | 2 | 1 |", "| mirror | 1 | 0 |"]
