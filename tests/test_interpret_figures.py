"""Figures of the report: right against other ways to count."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score

from keepset.interpret.metrics import confusion, per_class, reliability
from keepset.interpret.mistakes import confused_pairs, worst
from keepset.interpret.scored import Scored
from keepset.train.results import measure


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
    assert all(c["recall_interval"][0] <= c["recall"] <= c["recall_interval"][1] for c in by_label.values())
    f1s = [c["f1"] for c in per_class(s)]
    assert f1s == sorted(f1s)  # the weakest first


def test_bins_of_sureness_hold_every_picture() -> None:
    s = scored(300)
    bins, m = reliability(s), measure(s.probs, s.given)
    by_hand = sum(abs(b["accuracy"] - b["confidence"]) * b["n"] for b in bins) / 300
    assert m["ece"] == pytest.approx(by_hand)
    assert sum(b["n"] for b in bins) == 300
    assert m["errors"] == int((s.given != s.predicted).sum())
    assert m["nll"] == pytest.approx(s.losses.mean())


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
