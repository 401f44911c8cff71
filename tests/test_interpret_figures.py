"""Figures and their intervals: right against other ways to count, and intervals that cover what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score

from keepset.interpret.comparing import paired_difference
from keepset.interpret.metrics import confusion, f1_interval, measure, per_class, reliability
from keepset.interpret.mistakes import confused_pairs, worst
from keepset.interpret.scored import Scored


def scored(n: int = 200, classes: int = 4, seed: int = 0) -> Scored:
    rng = np.random.default_rng(seed)
    given = rng.integers(classes, size=n)
    logits = rng.normal(0, 1, (n, classes)) + 1.5 * np.eye(classes)[given]
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    losses = -np.log(probs[np.arange(n), given])
    names = tuple(f"c{i}" for i in range(classes))
    return Scored(names, [f"{i:064x}" for i in range(n)], given, probs.argmax(1), probs, losses)


def test_scores_agree_with_scikit_learn() -> None:
    s = scored()
    assert confusion(s) == confusion_matrix(s.given, s.predicted).tolist()
    by_label = {c["label"]: c for c in per_class(s)}
    for key, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        expected = score(s.given, s.predicted, average=None)
        assert [by_label[c][key] for c in s.classes] == pytest.approx(list(expected))
        for c in by_label.values():
            low, high = c[f"{key}_interval"]
            assert low <= c[key] <= high
    f1s = [c["f1"] for c in per_class(s)]
    assert f1s == sorted(f1s)  # the weakest first


def test_the_interval_of_f1_covers_what_it_promises() -> None:
    """2000 data sets of 60 images whose true F1 is known: 95 % of the intervals should hold it, within noise."""
    rng = np.random.default_rng(1)
    shares = np.array([0.25, 0.06, 0.04, 0.65])  # TP, FP, FN, TN
    true = 2 * shares[0] / (2 * shares[0] + shares[1] + shares[2])
    held = 0
    for tp, fp, fn, _ in rng.multinomial(60, shares, 2000):
        low, high = f1_interval(int(tp), int(tp + fn), int(tp + fp))
        held += low <= true <= high
    assert 0.93 <= held / 2000 <= 0.98


def test_no_mistake_seen_is_not_certainty() -> None:
    low, high = f1_interval(10, 10, 10)
    assert high == pytest.approx(1.0)
    assert 0.8 < low < 0.9  # a bootstrap would say 1 to 1
    assert f1_interval(0, 5, 3)[0] == 0.0


def test_measures_and_their_intervals() -> None:
    s = scored(300)
    m = measure(s, seed=3)
    assert m == measure(s, seed=3)
    assert m["errors"] == int((s.given != s.predicted).sum())
    assert m["nll"] == pytest.approx(s.losses.mean())
    half = 1.96 * s.losses.std() / np.sqrt(300)
    assert m["nll_interval"] == pytest.approx((m["nll"] - half, m["nll"] + half), abs=0.3 * half)
    bins = reliability(s)
    by_hand = sum(abs(b["accuracy"] - b["confidence"]) * b["n"] for b in bins) / 300
    assert m["ece"] == pytest.approx(by_hand)
    assert sum(b["n"] for b in bins) == 300
    assert measure(scored(0), 0) == {"n": 0}


def test_mistakes_are_sorted_and_counted() -> None:
    s = scored(400)
    first = worst(s)
    losses = [r["loss"] for r in first]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == s.losses[s.wrong].max()
    few = worst(scored(20, classes=4, seed=1))  # the mistakes come before right ones, whatever the losses are
    right = [r["label"] == r["predicted"] for r in few]
    assert right == sorted(right)
    assert 0 < sum(right) < len(few)
    table = np.array(confusion(s))
    np.fill_diagonal(table, 0)
    pairs = confused_pairs(s)
    assert [p["n"] for p in pairs] == sorted(table.ravel().tolist(), reverse=True)[:6]
    for p in pairs:
        assert all((r["label"], r["predicted"]) == (p["label"], p["predicted"]) for r in p["images"])


def test_the_paired_interval_covers_what_it_promises() -> None:
    rng = np.random.default_rng(2)
    shares, n, held = np.array([0.08, 0.05, 0.87]), 95, 0  # fixed, broken, neither
    for fixed, broken, _ in rng.multinomial(n, shares, 2000):
        low, high = paired_difference(int(fixed), int(broken), n) or (0, 0)
        held += low <= shares[1] - shares[0] <= high
    assert 0.93 <= held / 2000 <= 0.98
    assert paired_difference(0, 0, 0) is None
