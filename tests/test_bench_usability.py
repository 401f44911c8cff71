"""The simulated reviewer's choices, and how actions in other tools are counted."""

from __future__ import annotations

from bench.review import controls
from bench.review.reviewer import best_run


def test_the_best_run_has_most_bad_pictures_beyond_right_ones() -> None:
    def run(flags: str) -> str:
        begin, end = best_run([c == "X" for c in flags])
        return flags[begin:end]

    assert run("..XXX..") == "XXX"
    assert run("XX.XXX...X") == "XX.XXX"
    assert run("X...XX") == "XX"
    assert run("...") == ""


def test_a_picture_costs_fastai_a_menu_and_each_list_two_menus_and_a_cell() -> None:
    cards = [{"sha256": s, "label": label, "split": "train"} for s, label in (("a", "x"), ("b", "x"), ("c", "y"))]
    assert controls.fastai_mixed(cards, {"a": "delete"}) == 2 + 5
    assert controls.fastai_mixed(cards, {"a": "delete", "c": "relabel x"}) == 4 + 10


def test_fastai_shows_thirty_of_a_list() -> None:
    rows = [{"sha256": str(i), "label": "x", "split": "train"} for i in range(100)]
    assert controls.fastai_deletes(rows, {"3", "5"}, 2) == 5 + 4 + 1
    assert controls.fastai_deletes(rows, {"50"}, 1) == 1 + 5 + 2 + 1  # the second thirty


def test_fiftyone_selects_a_run_and_tags_it() -> None:
    order = [str(i) for i in range(10)]
    bad = {"2", "3", "4"}
    first, last = 1, 1
    assert controls.fiftyone_deletes(order, lambda s: order, bad, 3) == 2 + 1 + first + last + 3
    assert controls.fiftyone_mixed({"a": "delete", "b": "delete", "c": "relabel x"}) == 3 + 2 * 3 + 1
