"""The stop rule and its interval."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepset.clean import clean
from keepset.models.intervals import wilson
from keepset.reasons import Action
from keepset.review import Mark, mark, review, stop_rule, submit
from keepset.review.stopping import BatchYield, advise
from tests.review_fixtures import Case, edit_images, make_case, say


@pytest.mark.parametrize(
    ("found", "n", "low", "high"),
    # From Newcombe, Statistics in Medicine 17 (1998), table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_agrees_with_the_published_table(found: int, n: int, low: float, high: float) -> None:
    assert wilson(found, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_without_data_knows_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def batch_yield(found: int, reviewed: int, candidates: int = 200) -> BatchYield:
    return BatchYield("b", found, reviewed, candidates, *wilson(found, reviewed))


@pytest.mark.parametrize(
    ("yields", "stop"),
    [
        ([], False),
        ([(0, 200)], False),
        ([(1, 50), (4, 200)], True),
        ([(2, 50), (1, 100)], False),
        ([(50, 100), (0, 60), (1, 60)], True),
        ([(0, 60), (0, 60), (20, 60)], False),
        ([(0, 10), (0, 10)], False),
    ],
)
def test_two_poor_batches_running_end_it(yields: list[tuple[int, int]], stop: bool) -> None:
    advice = advise([batch_yield(*y) for y in yields])
    assert advice.stop is stop
    assert ("stopping is reasonable" in advice.words) is stop


def test_two_small_batches_looked_at_whole_are_enough() -> None:
    assert advise([batch_yield(0, 10, 10), batch_yield(0, 5, 5)]).stop


def test_batches_nobody_looked_at_do_not_count() -> None:
    assert not advise([batch_yield(0, 60), batch_yield(0, 0), batch_yield(9, 60)]).stop


@pytest.mark.parametrize(
    ("yields", "words"),
    [
        ([], ""),
        ([(1, 1, 22)], "Only 1 of the last 22 proposed pictures was decided: too few to tell whether to go on."),
        ([(1, 1, 1)], "Of the last 1 picture reviewed, 1 was wrong. Another batch is likely to find more."),
        ([(4, 4, 4)], "Of the last 4 pictures reviewed, 4 were wrong. Another batch is likely to find more."),
        ([(0, 7, 9)], "Of the last 7 pictures reviewed, none was wrong. Another batch is likely to find more."),
        ([(0, 9, 9), (0, 5, 5)], "Of the last 14 pictures reviewed, none was wrong: stopping is reasonable."),
        (
            [(15, 40, 40)],
            "Of the last 40 pictures reviewed, 15 were wrong (37.5 %; likely 24 to 53 %). Another batch is likely to find more.",
        ),
    ],
)
def test_the_advice_says_nothing_silly_on_few_decisions(yields: list[tuple[int, int, int]], words: str) -> None:
    assert advise([batch_yield(*y) for y in yields]).words == words


def decide(case: Case, action: Action) -> None:
    batch = case.open_batch()
    mark(batch, [Mark(r["sha256"], action) for r in batch.candidates().rows()], who="ann")
    submit(batch, "approve", who="ann", confirm=True)
    clean(case.ws, case.config)


def test_found_and_reviewed_are_read_from_the_approvals(case: Case) -> None:
    decide(case, Action.DELETE)
    advice = stop_rule(case.ws)
    assert [(y.found, y.reviewed, y.candidates) for y in advice.yields] == [(4, 4, 4)]
    assert "4 were wrong" in advice.words


def test_after_the_stop_only_a_strong_candidate_opens_a_batch(tmp_path: Path) -> None:
    case = make_case(tmp_path, flips=1, review={"min_score": 0.04})  # what is only dark is shown, too
    dark, later, said = case.clean_ones(3)
    decide(case, Action.KEEP)
    case.train_again("1" * 16)
    edit_images(case, {dark: {"brightness": 0.01}})
    decide(case, Action.KEEP)
    assert stop_rule(case.ws).stop
    case.train_again("2" * 16)
    edit_images(case, {later: {"brightness": 0.01}})
    weak = review(case.ws, case.config)
    assert weak.outputs == {}
    assert "stopping is reasonable" in weak.message
    say(case, said, next(c for c in case.config.labels if c != case.truth[said]))
    assert review(case.ws, case.config).changed
