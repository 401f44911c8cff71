"""The forecast of a batch: it says what retraining says, and where it cannot, why."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from bench.review.forecast.judged import Features
from keepset.clean import clean
from keepset.errors import TrainingError
from keepset.files import read_json, write_bytes
from keepset.forecast import Forecast, forecast, heads, of_decisions, of_model
from keepset.forecast.words import sentence
from keepset.history.timeline import timeline
from keepset.interpret.comparing import before_and_after
from keepset.models.columns import Column, Columns, columns
from keepset.models.promote import compare_and_promote
from keepset.reasons import Action
from keepset.review import Mark, mark, submit
from keepset.train.head import choose_strength, cross_validate, fit_head
from tests.review_fixtures import Case, delete, top_up


def drawn(n: int, seed: int = 0) -> tuple[Any, np.ndarray, heads.Known]:
    """Features of three classes that overlap, labels of which some are wrong, and what the forecast makes of them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    features = (rng.normal(0, 1, (n, 300)) + rng.normal(0, 0.16, (3, 300))[labels]).astype(np.float32)
    labels[: n // 20] = (labels[: n // 20] + 1) % 3
    known = heads.Known(heads.compressed(Features(features)), np.arange(n) % 5, np.arange(n) % 4 > 0, 3)  # type: ignore[arg-type]
    return features, labels, known


@pytest.mark.parametrize("few", [False, True])
def test_it_says_what_training_says(monkeypatch: pytest.MonkeyPatch, few: bool) -> None:
    """Also on fewer directions than the pictures span, as in a large set."""
    if few:
        monkeypatch.setattr(heads, "EXACT", 120)
        monkeypatch.setattr(heads, "WIDTH", 100)
    features, labels, known = drawn(200)
    out = np.arange(200) >= 190
    used, learn = ~out, known.learn & ~out
    strength = choose_strength(features[learn], labels[learn], known.folds[learn], 3).strength
    cv = cross_validate(features[used], labels[used], known.folds[used], 3, (strength,))[0].argmax(1)
    said = fit_head(features[learn], labels[learn], 3, strength).logits(features).argmax(1)
    found = heads.retrained(known, np.where(out, heads.OUT, labels))
    assert 10 < (cv != labels[used]).sum() < 100  # something is to be told
    agree = ((found.probs.argmax(1)[used] == cv).mean(), (found.said == said).mean())
    assert min(agree) >= (0.9 if few else 0.985)
    assert few or found.strength == strength


def converged(known: heads.Known, labels: np.ndarray, strength: float) -> np.ndarray:
    """Out-of-sample probabilities to the last digit: training stops earlier, which hides what a single mark does."""
    from sklearn.linear_model import LogisticRegression

    probs = np.zeros((len(labels), known.classes))
    for fold in range(5):
        out, learn = known.folds == fold, (known.folds != fold) & (labels != heads.OUT)
        model = LogisticRegression(C=strength, tol=1e-9, max_iter=5000).fit(
            known.rows[learn].astype(float), labels[learn]
        )
        probs[out] = model.predict_proba(known.rows[out].astype(float))
    return probs


def test_the_effect_of_a_mark_is_what_leaving_it_out_changes() -> None:
    _, before, known = drawn(150, seed=2)
    after, marked = before.copy(), np.arange(0, 150, 10)
    after[marked] = np.where(marked % 20 == 0, (before[marked] + 1) % 3, heads.OUT)
    probs = converged(known, after, 0.003)
    effect = heads.effects(known, heads.Heads(probs, probs.argmax(1), 0.003), before, after)
    assert set(np.flatnonzero(effect)) == set(marked)
    real = []
    for i in marked:
        without = converged(known, np.where(np.arange(150) == i, before, after), 0.003)
        others = np.flatnonzero((after != heads.OUT) & (np.arange(150) != i))
        real.append(np.log(without[others, after[others]]).sum() - np.log(probs[others, after[others]]).sum())
    assert np.corrcoef(real, effect[marked])[0, 1] > 0.8


def test_columns_count_pairs() -> None:
    was, now = np.array(list("aabbb")), np.array(list("aabba"))
    before, after = np.array(list("abbba")), np.array(list("aaaba"))
    found = columns(was, now, before, after)
    assert (found.was.before, found.was.after, found.was.fixed, found.was.broken) == (2, 2, 1, 1)
    assert (found.now.before, found.now.after, found.now.fixed, found.now.broken) == (1, 1, 1, 1)
    assert found.now.low < 0 < found.now.high
    assert not found.now.clear
    assert Columns.from_json(json.loads(json.dumps(found.as_json()))) == found


def flipped(fixed: int, broken: int, n: int = 400) -> Column:
    """Of two models on ``n`` pictures of which the first has half wrong."""
    wrong = np.arange(n) < n // 2
    later = wrong.copy()
    later[:fixed], later[n - broken :] = False, True
    right = np.zeros(n, bool)
    return columns(right, right, wrong, later).now


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ((0, 0), (9, 0), "About 9 fewer mistakes among 400 pictures, likely 3–16; no picture gets worse."),
        ((5, 0), (12, 1), "About 11 fewer mistakes among 400 pictures, likely"),
        ((0, 3), (0, 20), "About 20 more mistakes among 400 pictures, likely"),
        ((0, 0), (2, 1), "Too small to tell: about 1 fewer mistake among 400 pictures, likely"),
        ((0, 0), (1, 1), "Too small to tell: about as many mistakes among 400 pictures, likely"),
        ((0, 0), (0, 0), "No change expected among 400 pictures."),
        ((0, 20), (20, 0), "By your labels 20 fewer mistakes among 400 pictures, by the labels as they were 20 more"),
    ],
)  # fmt: skip
def test_one_sentence(was: tuple[int, int], now: tuple[int, int], words: str) -> None:
    found = sentence(Columns(400, flipped(*was), flipped(*now)))
    assert found.startswith(words)
    assert ("no picture gets worse" in found) == (now == (9, 0))


def test_a_batch_is_foretold_and_the_result_stands_beside_it(case: Case) -> None:
    batch = case.open_batch()
    assert forecast(batch).words.startswith("Nothing changes")
    wrong = sorted(case.wrong)
    mark(batch, [Mark(s, Action.RELABEL, case.truth[s]) for s in wrong], who="ann")
    odd = case.clean_ones(1)[0]
    other = next(c for c in case.config.labels if c != case.truth[odd])
    if odd in batch.markable():
        mark(batch, [Mark(odd, Action.RELABEL, other)], who="ann")
    found = forecast(batch)
    assert found.columns.now.before < found.columns.was.before  # the labels alone take mistakes away
    assert {w.sha256 for w in found.disputed} <= {odd}
    (file,) = (batch.folder / "forecasts").iterdir()
    assert Forecast.from_json(read_json(file)) == found == forecast(batch)
    for damaged in (file, *(case.ws.cache / "forecast").iterdir()):
        damaged.write_bytes(b"[")
    import_module("keepset.forecast.marked")._start.cache_clear()
    assert forecast(batch) == found  # made again
    mark(batch, delete(wrong[0]), who="ann")
    assert forecast(batch).columns != found.columns

    submit(batch, "approve", who="ann", confirm=True)
    clean(case.ws, case.config)
    case.train_again("1" * 16)
    case.ws.promote("0" * 16, "as it was")
    compare_and_promote(case.ws, case.config, "1" * 16)
    expected = of_model(case.ws, "1" * 16, "0" * 16, make=False)
    shown = before_and_after(case.ws, "1" * 16)
    assert shown["forecast"]["columns"] == expected.columns.as_json()
    assert shown["columns"]["n"] == expected.columns.n == 35
    effect = next(e.effect for e in timeline(case.ws) if e.batch == batch.id and not e.quiet)
    real = Columns.from_json(shown["columns"]).now
    assert (
        f"on all 35 pictures, cross-checked: {real.before} → {real.after} (forecast: {expected.columns.now.after})"
        in effect
    )


def test_what_stands_in_the_way_is_said_and_submitting_works(case: Case) -> None:
    batch = case.open_batch()
    shas = sorted(case.wrong)
    mark(batch, delete(*shas[:2]), who="ann")
    record = case.ws.models / ("0" * 16) / "model.json"
    write_bytes(record, json.dumps(read_json(record) | {"winner": "fine_tuned"}).encode())
    top_up(case, "f" * 64, case.config.labels[0])
    notes = " ".join(forecast(batch).notes)
    assert "fine-tuned" in notes
    assert "proposed for revision 1; the forecast starts from 2" in notes
    assert "1 picture is left out" in notes

    (case.ws.models / ("0" * 16) / "features.safetensors").unlink()
    mark(batch, delete(shas[2]), who="ann")
    assert forecast(batch).words.startswith("No forecast:")
    assert "features.safetensors is missing" in forecast(batch).words
    assert forecast(batch, undecided="perhaps").columns is None
    submit(batch, "approve", who="ann", confirm=True)


@pytest.mark.parametrize("what", ["class", "validation"])
def test_marks_that_would_stop_training(case: Case, what: str) -> None:
    batch, label = case.open_batch(), case.config.labels[0]
    gone = [r["sha256"] for r in case.active() if (r["label"] == label if what == "class" else r["split"] == "valid")]
    decisions = {s: {"action": "delete", "label": None, "by": "mark", "who": "ann"} for s in gone}
    said = f"The class '{label}' has 0 training images." if what == "class" else "There is no validation image."
    with pytest.raises(TrainingError, match=said):
        of_decisions(batch, decisions, case.ws.newest())
