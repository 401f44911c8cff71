"""How many wrong pictures are left, the certificate that most are found, and the random share that tells."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from keepset.clean import clean, restore
from keepset.models.intervals import wilson
from keepset.reasons import Action, CandidateReason
from keepset.review import Batch, Mark, errors_left, load_batch, mark, review, submit
from keepset.review.left_odds import ENOUGH, Draw, certified, estimate, looks_until_certified
from keepset.review.unproposed import drawn_places, random_share
from keepset.web.home import next_step
from tests.review_fixtures import Case, edit_images, make_case, say, top_up


@pytest.mark.parametrize(
    ("found", "n", "low", "high"),
    # From Newcombe, Statistics in Medicine 17 (1998), table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_agrees_with_the_published_table(found: int, n: int, low: float, high: float) -> None:
    assert wilson(found, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_without_data_knows_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


# -- the mathematics ------------------------------------------------------------------------------------


def test_the_interval_covers_and_the_certificate_is_rarely_wrong() -> None:
    """Sets whose number of wrong pictures has the prior's spread; bench/review/left.py does it on scored pictures."""
    rng = np.random.default_rng(1)
    inside, wrongly, given = [], 0, 0
    for _ in range(60):
        true = min(150, rng.poisson(rng.gamma(0.4, 1.25 * 6 / 0.4)))
        wrong = np.arange(150) < true
        looked, draws, found = np.zeros(150, bool), [], 15
        while not certified(draws, int((~looked).sum()), found):
            frame = np.flatnonzero(~looked)
            picked = rng.choice(frame, min(12, len(frame)), replace=False)
            looked[picked] = True
            now = int(wrong[picked].sum())
            draws = [Draw(d.frame, d.expected, d.drawn, d.wrong, 0, d.later + now) for d in draws]
            draws.append(Draw(len(frame), 6.0 * len(frame) / 150, len(picked), now))
            found += now
            if len(draws) == 1:
                seen = estimate(draws, int((~looked).sum()))
                inside.append(seen.low <= (wrong & ~looked).sum() <= seen.high)
        given += 1
        wrongly += found < ENOUGH * (15 + true)
    assert np.mean(inside) >= 0.9
    assert wrongly <= 0.05 * given + 4  # two standard deviations


def test_without_knowledge_the_certificate_costs_what_the_exact_bound_costs() -> None:
    """None wrong among n of N: more than k are ruled out at 5 % if C(N - k - 1, n) / C(N, n) is at most 0.05."""
    more = looks_until_certified([Draw(1000, 0.0, 1, 0)], 999, 190)  # up to 10 may be left
    exact = next(n for n in range(1000) if math.comb(1000 - 11, n) <= 0.05 * math.comb(1000, n))
    assert exact <= more + 1 <= exact + 2


def test_the_looks_that_are_asked_for_are_enough_and_no_more() -> None:
    draws = [Draw(400, 5.0, 12, 0), Draw(380, 4.0, 12, 1)]
    more = looks_until_certified(draws, 356, 60)
    after = [Draw(400, 5.0, 12, 0), Draw(380, 4.0, 12, 1), Draw(356, 4.0 * 356 / 380, more, 0)]
    assert certified(after, 356 - more, 60)
    assert 0 < more < 356
    assert looks_until_certified(after, 356 - more, 60) == 0


def test_a_random_picture_without_a_decision_does_not_count_as_right() -> None:
    decided, open_ones = Draw(300, 4.0, 100, 0), Draw(300, 4.0, 100, 0, undecided=20)
    assert estimate([open_ones], 220).high > estimate([decided], 200).high
    assert looks_until_certified([open_ones], 220, 100) > looks_until_certified([decided], 200, 100)
    assert estimate([Draw(300, 4.0, 12, 0, undecided=12)], 300).high >= 20  # nothing is known but the scores


def test_pictures_that_came_later_are_not_vouched_for() -> None:
    assert certified([Draw(200, 2.0, 150, 0)], 50, 60)
    assert not certified([Draw(200, 2.0, 150, 0, outside=30)], 80, 60)


def test_looking_at_everything_leaves_nothing() -> None:
    seen = estimate([Draw(50, 3.0, 50, 4)], 0)
    assert (seen.mean, seen.low, seen.high) == (0.0, 0, 0)
    assert certified([Draw(50, 3.0, 50, 4)], 0, 4)


def test_a_copy_found_wrong_that_was_in_no_frame_changes_nothing() -> None:
    draws = [Draw(frame=100, expected=3.0, drawn=100, wrong=2, later=later) for later in (0, 1)]
    assert estimate(draws[:1], 20) == estimate(draws[1:], 20)
    assert certified(draws[:1], 20, 3) == certified(draws[1:], 20, 3)


def test_of_a_million_pictures_it_is_told_too() -> None:
    draws = [Draw(1_000_000, 60_000.0, 400, 40)]
    seen = estimate(draws, 999_600)
    assert 50_000 < seen.low < seen.mean < seen.high < 150_000
    assert not certified(draws, 999_600, 100_000)


def test_a_random_share_is_spread_evenly_and_left_out_of_tiny_sets() -> None:
    places = drawn_places(1000, 12, np.random.default_rng(3))
    assert len(set(places.tolist())) == 12
    assert np.diff(places).min() >= 83
    counts = np.bincount(
        np.concatenate([drawn_places(10, 3, np.random.default_rng(s)) for s in range(2000)]), minlength=10
    )
    assert counts / 2000 == pytest.approx(np.full(10, 0.3), abs=0.05)
    assert (random_share(99, 12), random_share(100, 12), random_share(100, 0)) == (0, 12, 0)


# -- batches ---------------------------------------------------------------------------------------------


def open_looks(case: Case, looks: int) -> Batch:
    return load_batch(case.ws, review(case.ws, case.config, looks=looks).outputs["batch_id"])


def decide(case: Case, batch: Batch, *, wrong: set[str] | None = None) -> None:
    bad = case.wrong if wrong is None else wrong
    marks = [Mark(s, Action.DELETE if s in bad else Action.KEEP) for s in batch.rows()]
    mark(batch, marks, who="ann")
    submit(batch, "approve", who="ann", confirm=True)
    clean(case.ws, case.config)


def test_a_batch_mixes_a_random_share_into_what_is_proposed(tmp_path: Path) -> None:
    large = make_case(tmp_path, flips=6, per_class=36, review={"random_looks": 5})
    batch = large.open_batch()
    rows = batch.candidates().rows()
    drawn = [r for r in rows if r["drawn"] is not None]
    assert (batch.proposed, batch.record.drawn, len(drawn), batch.record.on_request) == (len(rows) - 5, 5, 5, 0)
    assert {(*r["reasons"], r["suggestion"]) for r in drawn} == {(CandidateReason.RANDOM_LOOK, "keep")}
    assert not batch.drawn() & large.wrong
    assert [r["rank"] for r in drawn] != list(range(len(rows) - 5, len(rows)))  # not simply at the end
    frame = sum(n for n, _ in batch.record.frame.values())
    assert frame == 108 - batch.proposed
    assert [r["drawn"] for r in drawn] == pytest.approx([5 / frame] * 5)
    kept = submit(batch, "approve", who="ann", undecided="suggested", confirm=True)
    assert not batch.drawn() & kept.decisions.keys()  # nobody looked at them
    assert errors_left(large.ws) is None


def test_what_is_left_follows_the_decisions(case: Case) -> None:
    batch = open_looks(case, 10)
    assert (batch.proposed, batch.record.drawn) == (4, 10)
    assert review(case.ws, case.config, looks=10).outputs["batch_id"] == batch.id
    step = next_step(case.ws, [batch], None, None)
    assert step.words.startswith("4 may be mislabelled, out of place, or copies; 10 are drawn at random")
    assert errors_left(case.ws) is None
    (first, *others) = sorted(batch.drawn())
    mark(batch, [Mark(first, Action.KEEP)], who="ann")
    assert errors_left(case.ws) is None  # the share is not decided whole
    decide(case, batch, wrong={*case.wrong, others[0]})
    later = errors_left(case.ws)
    assert (later.looks, later.open_looks, later.found, later.undecided, later.enough) == (10, 0, 5, 22, False)
    assert later.words.startswith("About ")
    assert later.advice.startswith("Probably less than 95 %")
    assert later.command == ("keepset", "review", "--all")
    assert sum(later.by_class.values()) == pytest.approx(later.wrong, abs=1)
    open_looks(case, 7)
    waiting = errors_left(case.ws)
    assert (waiting.looks, waiting.open_looks, waiting.high) == (10, 7, later.high)
    assert waiting.advice.startswith("Decide on the 7 random pictures")
    restore(case.ws, [others[0]], who="ann", why="it is right")
    back = errors_left(case.ws)
    assert (back.found, back.high <= later.high) == (4, True)


def test_a_closed_batch_tells_little_where_random_pictures_were_left_undecided(case: Case) -> None:
    batch = open_looks(case, 10)
    mark(batch, [Mark(s, Action.KEEP) for s in sorted(batch.drawn())[:7]], who="ann")
    submit(batch, "approve", who="ann")
    left = errors_left(case.ws)
    assert (left.looks, left.open_looks, left.undecided, left.enough) == (7, 0, 29, False)
    assert left.high > 0


def test_once_enough_is_found_only_a_strong_candidate_opens_a_batch(tmp_path: Path) -> None:
    case = make_case(tmp_path, flips=20, per_class=20)
    batch = open_looks(case, 36)
    decide(case, batch)
    left = errors_left(case.ws)
    assert (left.enough, left.found, left.more, left.command) == (True, 20, 0, ())
    assert 2 <= left.undecided <= 4
    assert left.advice.endswith("you can stop.")
    case.train_again("1" * 16)
    others = [r for r in case.active() if r["sha256"] not in batch.rows()]
    alike, said = next((a["sha256"], b["sha256"]) for a, b in combinations(others, 2) if a["label"] == b["label"])
    edit_images(case, {alike: {"group_id": said, "dup_of": said, "dup_kind": "near"}, said: {"group_id": said}})
    weak = review(case.ws, case.config)
    assert weak.outputs == {}
    assert "nothing to review that is likely enough to be wrong" in weak.message
    assert "you can stop" in weak.message
    say(case, said, next(c for c in case.config.labels if c != case.truth[said]))
    assert review(case.ws, case.config).changed


def test_a_new_picture_takes_the_certificate_away(case: Case) -> None:
    decide(case, open_looks(case, 36))
    before = errors_left(case.ws)
    assert (before.enough, before.undecided, before.words) == (True, 0, "Every picture was looked at.")
    top_up(case, "f" * 64, case.config.labels[0])
    after = errors_left(case.ws)
    assert (after.undecided, after.enough) == (1, False)


def test_a_copy_that_is_deleted_is_no_wrong_picture(case: Case) -> None:
    one, two = case.clean_ones(2)
    edit_images(case, {one: {"dup_of": two, "dup_kind": "near", "group_id": two}})
    batch = open_looks(case, 5)
    assert one not in batch.drawn()
    decide(case, batch, wrong={*case.wrong, one})
    left = errors_left(case.ws)
    assert left.found == 4


def test_a_batch_of_an_older_keepset_has_no_random_share(case: Case) -> None:
    batch = case.open_batch()
    file = batch.folder / "candidates.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["drawn"]), file)
    old = load_batch(case.ws, batch.id)
    assert {r["drawn"] for r in old.candidates().rows()} == {None}
    assert (old.proposed, old.drawn(), errors_left(case.ws)) == (4, frozenset(), None)


def test_with_every_picture_deleted_there_is_nothing_to_review(case: Case) -> None:
    batch = load_batch(case.ws, review(case.ws, case.config, everything=True).outputs["batch_id"])
    decide(case, batch, wrong=set(batch.rows()))
    for asked in ({}, {"everything": True}, {"looks": 3}):
        done = review(case.ws, case.config, **asked)  # type: ignore[arg-type]
        assert (done.message, done.outputs) == ("nothing to review: no picture is in use", {})
    assert errors_left(case.ws) is None
